"""Every frame is counted: ports against the guest's own counters, the ledger against a known generator."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import pytest
from tests_frames import Capture, PacketSender, mac, udp
from tests_lab import BIN, PREFIX, Lab, until

pytestmark = [pytest.mark.root, pytest.mark.qemu]

DRAIN_S = 1.5
VLANS = {"web": 110, "db": 120, "legacy": 100}
COUNTERS = "cd /sys/class/net/eth0/statistics; cat tx_packets tx_bytes rx_packets rx_bytes tx_dropped rx_dropped"


class Flows:
    """What `bascule flows --follow -o jsonl` printed while it ran: rows, and the ledger line of its end."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.rows: list[dict[str, Any]] = []
        self.ledger = ""

    def read(self) -> list[dict[str, Any]]:
        """The rows so far; a line that is not whole yet is left out."""
        self._out.seek(0)
        self.rows = [json.loads(line) for line in self._out if line.endswith("\n")]
        return self.rows

    def has(self, vm: str) -> bool:
        """Whether a row of a VM has come."""
        return any(row["vm"] == vm for row in self.read())

    def total(self, vm: str, direction: str, **match: str) -> tuple[int, int]:
        """(packets, bytes) over the rows of a VM and direction."""
        rows = [r for r in self.rows if r["vm"] == vm and r["direction"] == direction]
        rows = [r for r in rows if all(r[key] == value for key, value in match.items())]
        return sum(r["packets"] for r in rows), sum(r["bytes"] for r in rows)


@contextmanager
def following() -> Iterator[Flows]:
    """Record flows from now until the block ends, one drain longer."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        command = [str(BIN / "bascule"), "--lab", "-o", "jsonl", "flows", "--follow"]
        # the program appends, so that reading at another place of the same file moves nothing
        fcntl.fcntl(out, fcntl.F_SETFL, fcntl.fcntl(out, fcntl.F_GETFL) | os.O_APPEND)
        found = Flows(out)
        process = subprocess.Popen(command, stdout=out, stderr=err)
        time.sleep(2 * DRAIN_S)
        try:
            yield found
            time.sleep(DRAIN_S)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)
        found.read()
        err.seek(0)
        said = err.read().splitlines()
        found.ledger = next((line for line in said if line.startswith("ledger:")), "\n".join(said))


@pytest.fixture
def quiet(lab: Lab) -> Iterator[None]:
    """Guests that do not talk by themselves."""
    names = [g["name"] for g in lab.status()["guests"] if g["state"] == "running"]
    for name in names:
        lab.guest(name, "touch /run/quiet")
    time.sleep(3)
    yield
    for name in names:
        lab.guest(name, "rm -f /run/quiet", check=None)


def read(lab: Lab, vm: str) -> list[int]:
    """The guest's own counters."""
    return [int(word) for word in lab.guest(vm, COUNTERS).split()]


def exchange(lab: Lab) -> tuple[Flows, list[int], list[int]] | None:
    """Traffic of web-2 while flows are followed: what they show, its counters before and after.

    None when a frame passed at one of the edges, where it cannot be said whether the flows have it: a stranger's ARP.
    """
    guests = {guest["name"]: guest for guest in lab.status()["guests"]}
    beside = next(g["name"] for g in guests.values() if g["node"] == guests["web-2"]["node"] and g["name"] != "web-2")
    edge = read(lab, "web-2")
    with following() as flows:

        def followed() -> bool:
            lab.guest(beside, f"ping -c 1 -W 1 10.{VLANS[beside.rpartition('-')[0]]}.0.1", check=None)
            return flows.has(beside)

        until("the flows of this node are followed", followed)
        before = read(lab, "web-2")
        if before != edge:
            return None
        lab.guest("web-1", "ping -c 20 -i 0.05 -s 400 10.110.0.12")
        lab.guest(
            "web-2", "dd if=/dev/zero bs=1000 count=50 2>/dev/null | nc -w 3 10.110.0.13 7 >/dev/null", check=None
        )
        lab.guest("web-2", "ip addr add 10.110.0.99/24 dev eth0; ping -c 3 -W 1 -I 10.110.0.99 10.110.0.1", check=None)
        lab.guest("web-2", "ip addr del 10.110.0.99/24 dev eth0")
        time.sleep(1)
        after = read(lab, "web-2")
    return (flows, before, after) if read(lab, "web-2") == after else None


@pytest.mark.usefixtures("quiet")
def test_port_sums_equal_the_guests_own_counters(lab: Lab) -> None:
    flows, before, after = until("a run with nothing at its edges", lambda: exchange(lab), 120)
    tx_packets, tx_bytes, rx_packets, rx_bytes, tx_dropped, rx_dropped = (
        b - a for a, b in zip(before, after, strict=True)
    )
    assert tx_dropped == rx_dropped == 0
    assert flows.total("web-2", "egress") == (tx_packets, tx_bytes)
    assert flows.total("web-2", "ingress", verdict="allow") == (rx_packets, rx_bytes)
    assert flows.total("web-2", "egress", verdict="drop")[0] >= 3
    assert tx_packets > 60


def test_the_ledger_adds_up_under_2000_new_flows_a_second(lab: Lab) -> None:
    source_mac = json.loads(lab.lab("exec", "gateway", "--", "ip", "-j", "link", "show", "vlan110").out)[0]["address"]
    target = "52:54:00:00:6e:02"
    entry = {g["name"]: g for g in lab.status()["guests"]}["web-2"]
    count, rate = 10_000, 2_000
    frames = [
        udp(source_mac, target, f"10.110.{200 + n // 5000}.9", "10.110.0.12", (10_000 + n % 5000, 9999), b"x" * 18)
        for n in range(count)
    ]
    gateway = PacketSender(f"{PREFIX}-gw", "vlan110")
    with following() as flows, Capture(entry["netns"], entry["interface"]) as witness, gateway:
        started = time.monotonic()
        for n in range(0, count, 20):
            for frame in frames[n : n + 20]:
                gateway.send(frame)
            time.sleep(max(0.0, started + (n + 20) / rate - time.monotonic()))
        took = time.monotonic() - started
        time.sleep(1)
        arrived = [f for f in witness.frames(lambda d: d[:6] == mac(target) and d[36:38] == b"\x27\x0f")]
    assert count / took > 0.9 * rate, f"the generator made only {count / took:.0f}/s"
    rows = [r for r in flows.rows if r["vm"] == "web-2" and r["dst"]["port"] == 9999 and r["direction"] == "ingress"]
    per_flow: Counter[tuple[str, int]] = Counter()
    for row in rows:
        per_flow[row["src"]["ip"], row["src"]["port"]] += row["packets"]
    assert len(arrived) == count
    assert len(per_flow) == count
    assert set(per_flow.values()) == {1}
    assert "unaccounted" not in flows.ledger
    seen, sent = (int(flows.ledger.split(word)[1].split()[0]) for word in ("seen ", "sent "))
    lost = int(flows.ledger.split("lost ")[1].split(",")[0].split(";")[0])
    assert seen == sent + lost
    assert seen >= count
