"""Every frame is counted: ports against the guest's own counters, the ledger against a known generator."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests_frames import Capture, PacketSender, mac, udp
from tests_lab import BIN, PREFIX, Lab

pytestmark = [pytest.mark.root, pytest.mark.qemu]

DRAIN_S = 1.5
COUNTERS = "cd /sys/class/net/eth0/statistics; cat tx_packets tx_bytes rx_packets rx_bytes tx_dropped rx_dropped"


class Flows:
    """What `bascule flows --follow -o jsonl` printed while it ran: rows, and the ledger line of its end."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.ledger = ""

    def total(self, vm: str, direction: str, **match: str) -> tuple[int, int]:
        """(packets, bytes) over the rows of a VM and direction."""
        rows = [r for r in self.rows if r["vm"] == vm and r["direction"] == direction]
        rows = [r for r in rows if all(r[key] == value for key, value in match.items())]
        return sum(r["packets"] for r in rows), sum(r["bytes"] for r in rows)


@contextmanager
def following() -> Iterator[Flows]:
    """Record flows from now until the block ends, one drain longer."""
    found = Flows()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        command = [str(BIN / "bascule"), "--lab", "-o", "jsonl", "flows", "--follow"]
        process = subprocess.Popen(command, stdout=out, stderr=err)
        time.sleep(2 * DRAIN_S)
        try:
            yield found
            time.sleep(DRAIN_S)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)
        out.seek(0)
        err.seek(0)
        found.rows = [json.loads(line) for line in out]
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


@pytest.mark.usefixtures("quiet")
def test_port_sums_equal_the_guests_own_counters(lab: Lab) -> None:
    before = read(lab, "web-2")
    with following() as flows:
        lab.guest("web-1", "ping -c 20 -i 0.05 -s 400 10.110.0.12")
        lab.guest(
            "web-2", "dd if=/dev/zero bs=1000 count=50 2>/dev/null | nc -w 3 10.110.0.13 7 >/dev/null", check=None
        )
        lab.guest("web-2", "ip addr add 10.110.0.99/24 dev eth0; ping -c 3 -W 1 -I 10.110.0.99 10.110.0.1", check=None)
        lab.guest("web-2", "ip addr del 10.110.0.99/24 dev eth0")
        time.sleep(1)
    after = read(lab, "web-2")
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
