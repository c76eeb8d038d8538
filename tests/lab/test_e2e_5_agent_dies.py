"""An agent killed under numbered UDP: no frame is missing, VLANs stay apart, the restart adopts and changes nothing."""

from __future__ import annotations

import json
import struct
import threading
import time

import pytest
from tests_frames import Capture, PacketSender, mac, udp
from tests_lab import PREFIX, Lab, until

pytestmark = [pytest.mark.root, pytest.mark.qemu]

PORT = 7777
RATE = 2_000
SECONDS = 10.0
TARGET = "52:54:00:00:6e:02"


def numbered(source_mac: str, number: int) -> bytes:
    """One numbered UDP frame from the gateway to web-2."""
    return udp(source_mac, TARGET, "10.110.0.1", "10.110.0.12", (PORT, PORT), struct.pack("!Q", number) + b"." * 10)


def filters(lab: Lab, node: str) -> object:
    """Every BPF filter of a node as tc shows it: program ids and tags."""
    links = lab.lab("exec", node, "--", "ip", "-j", "link").json
    found = {}
    for link in links:
        for side in ("ingress", "egress"):
            shown = lab.lab(
                "exec", node, "--", "tc", "-j", "filter", "show", "dev", link["ifname"], side, check=None
            ).out
            found[link["ifname"], side] = json.loads(shown) if shown.strip() else []
    return found


def links(lab: Lab, node: str) -> object:
    """Links and bridge entries of a node, by iproute2."""
    shown = lab.lab("exec", node, "--", "ip", "-j", "-d", "link").json
    fdb = lab.lab("exec", node, "--", "bridge", "-j", "fdb").json
    static = [f for f in fdb if f.get("state") in ("static", "permanent")]
    return [{k: v for k, v in link.items() if k not in ("linkinfo",)} for link in shown], static


def test_agent_killed_under_traffic(lab: Lab) -> None:
    entry = {g["name"]: g for g in lab.status()["guests"]}["web-2"]
    node = entry["node"]
    other = next(g for g in lab.status()["guests"] if g["name"].startswith("db-") and g["node"] == node)
    source_mac = json.loads(lab.lab("exec", "gateway", "--", "ip", "-j", "link", "show", "vlan110").out)[0]["address"]
    before = filters(lab, node), links(lab, node)
    sent = [0]

    def generate() -> None:
        with PacketSender(f"{PREFIX}-gw", "vlan110") as sender:
            started = time.monotonic()
            while time.monotonic() < started + SECONDS:
                for _ in range(8):
                    sender.send(numbered(source_mac, sent[0]))
                    sent[0] += 1
                time.sleep(max(0.0, started + sent[0] / RATE - time.monotonic()))

    thread = threading.Thread(target=generate)
    with Capture(entry["netns"], entry["interface"]) as receiver, Capture(other["netns"], other["interface"]) as apart:
        thread.start()
        time.sleep(2)
        lab.lab("fault", "kill-agent", node, "--down", "3")
        assert lab.cli("nodes", "list", "-o", "json", check=5).json, "a silent agent is exit 5"
        lab.guest("web-2", "ip route add 10.120.0.0/24 dev eth0; ping -c 2 -W 1 10.120.0.11", check=1)
        lab.guest("web-2", "ip route del 10.120.0.0/24 dev eth0")
        thread.join()
        got = receiver.frames(lambda d: d[:6] == mac(TARGET) and d[36:38] == struct.pack("!H", PORT))
        crossed = apart.frames(lambda d: d[6:12] == mac(TARGET))
    numbers = [struct.unpack("!Q", frame.data[42:50])[0] for frame in got]
    assert sent[0] >= RATE * SECONDS * 0.95, f"the generator made only {sent[0] / SECONDS:.0f}/s"
    gaps = sorted(set(range(sent[0])) - set(numbers))
    assert gaps == []
    assert len(numbers) == len(set(numbers)), "duplicates"
    assert crossed == []

    def back() -> object:
        nodes = {n["name"]: n for n in lab.cli("nodes", "list", "-o", "json", check=None).json}
        return nodes[node]["agent"] and nodes[node]

    report = until("the agent is back", back, 20)
    here = [g for g in lab.status()["guests"] if g["node"] == node]
    assert report["agent"]["adopted"] == len(here)  # type: ignore[index]
    assert (filters(lab, node), links(lab, node)) == before
