"""The lab's own switch: tags on the wire, VLANs apart, learning, refusals. Witness: raw sockets at every port."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from bascule_agent.netlink import in_netns
from bascule_lab import machine
from bascule_lab.config import VLANS, LabConfig
from bascule_lab.fabric.errors import FabricError
from bascule_lab.fabric.fabric import Fabric
from bascule_lab.faults import switch
from bascule_lab.faults.errors import FaultError
from bascule_lab.nodes import netns

pytestmark = pytest.mark.root

MAC_A, MAC_B, ALL = "52:54:00:00:6e:0a", "52:54:00:00:6e:0b", "ff:ff:ff:ff:ff:ff"
SOL_PACKET, PACKET_AUXDATA, PACKET_OUTGOING, TP_STATUS_VLAN_VALID = 263, 8, 4, 0x10


def frame(dst: str, src: str, tags: tuple[tuple[int, int], ...] = (), note: bytes = b"") -> bytes:
    """An Ethernet frame of a local experimental EtherType; `tags` are (protocol, VLAN), outer first."""
    head = bytes.fromhex(dst.replace(":", "")) + bytes.fromhex(src.replace(":", ""))
    for protocol, vlan in tags:
        head += struct.pack("!HH", protocol, vlan)
    return head + b"\x88\xb5" + note.ljust(46, b".")


class Wire:
    """A raw socket on one link: sends, and keeps (VLAN or None, note) of what arrives from outside."""

    def __init__(self, namespace: str, link: str) -> None:
        self.socket = in_netns(namespace, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)))
        self.socket.bind((link, 0))
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.socket.setblocking(False)

    def send(self, data: bytes) -> None:
        self.socket.send(data)

    def heard(self, note: bytes, wait: float = 0.15) -> list[int | None]:
        """The VLANs under which `note` arrived (None: untagged) within `wait` seconds."""
        found: list[int | None] = []
        deadline = time.monotonic() + wait
        while time.monotonic() < deadline:
            try:
                data, notes, _, where = self.socket.recvmsg(2048, 256)
            except BlockingIOError:
                time.sleep(0.005)
                continue
            if where[2] != PACKET_OUTGOING and note in data:
                found.append(vlan_of(notes))
        return found


def vlan_of(notes: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, data in notes:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, tci, _ = struct.unpack("IIIHHHH", data)
            if status & TP_STATUS_VLAN_VALID:
                return int(tci & 0xFFF)
    return None


@dataclass
class Rig:
    """A fabric of two nodes and a wire at each node's trunk and each of the gateway's interfaces."""

    fabric: Fabric
    one: Wire
    two: Wire
    gateway: dict[int, Wire]


@pytest_asyncio.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    config = LabConfig(prefix=f"h5-{os.getpid()}", state=tmp_path / "lab")
    machine.prepare(config)
    fabric = Fabric(config, ["node1", "node2"])
    wires: list[Wire] = []
    try:
        await fabric.start()
        places = [(config.node("node1"), "trunk0"), (config.node("node2"), "trunk0")]
        wires += [Wire(*place) for place in places + [(config.gateway, f"vlan{vlan}") for vlan in VLANS]]
        yield Rig(fabric, wires[0], wires[1], dict(zip(VLANS, wires[2:], strict=True)))
    finally:
        for wire in wires:
            wire.socket.close()
        await fabric.stop()
        assert machine.cleanup(config) == []


async def test_tags_native_and_isolation(rig: Rig) -> None:
    one, two = rig.one, rig.two
    one.send(frame(ALL, MAC_A, ((0x8100, 110),), b"tagged"))
    assert two.heard(b"tagged") == [110], "a VLAN travels tagged between trunks"
    one.send(frame(ALL, MAC_A, (), b"native"))
    assert two.heard(b"native") == [None], "the native VLAN travels untagged"


async def test_other_vlans_hear_nothing(rig: Rig) -> None:
    for note, target in ((b"broadcast", ALL), (b"unknown-unicast", "52:54:00:99:99:99")):
        rig.one.send(frame(target, MAC_A, ((0x8100, 110),), note))
        assert rig.gateway[110].heard(note) == [None], "the witness hears what it should"
        assert rig.gateway[120].heard(note, 0.02) == []
        assert rig.gateway[100].heard(note, 0.02) == []


async def test_learning_per_vlan_and_moving(rig: Rig) -> None:
    one, two, gateway = rig.one, rig.two, rig.gateway
    one.send(frame(ALL, MAC_A, ((0x8100, 110),), b"hello"))
    two.send(frame(ALL, MAC_A, ((0x8100, 120),), b"hello"))
    time.sleep(0.05)
    learned = {(s.mac, s.vlan): s.port for s in await rig.fabric.stations()}
    assert learned[MAC_A, 110] == "t-node1" and learned[MAC_A, 120] == "t-node2", "one MAC in two VLANs is two stations"
    gateway[110].send(frame(MAC_A, MAC_B, (), b"to-one"))
    assert one.heard(b"to-one") == [110]
    assert two.heard(b"to-one", 0) == []
    two.send(frame(ALL, MAC_A, ((0x8100, 110),), b"moved"))
    gateway[110].send(frame(MAC_A, MAC_B, (), b"to-two"))
    assert two.heard(b"to-two") == [110], "one frame from elsewhere moves a station"
    assert one.heard(b"to-two", 0.05) == []


@pytest.mark.parametrize(
    ("tags", "cause"),
    [
        (((0x88A8, 110),), "not 802.1Q"),
        (((0x8100, 130),), "VLAN not allowed on the port"),
        (((0x8100, 0), (0x8100, 110)), "a tag below the tag"),
        (((0x8100, 100), (0x8100, 110)), "a tag below the tag"),
    ],
)
async def test_refused_frames(rig: Rig, tags: tuple[tuple[int, int], ...], cause: str) -> None:
    one, two, gateway = rig.one, rig.two, rig.gateway
    one.send(frame(ALL, MAC_A, tags, b"refused"))
    assert two.heard(b"refused") == []
    assert all(wire.heard(b"refused", 0.02) == [] for wire in gateway.values())
    assert cause in {drop.cause for drop in await rig.fabric.drops()}


async def test_tag_on_an_access_port_is_refused(rig: Rig) -> None:
    two, gateway = rig.two, rig.gateway
    gateway[110].send(frame(ALL, MAC_A, ((0x8100, 120),), b"hop"))
    assert two.heard(b"hop") == []
    assert [(d.port, d.cause, d.frames) for d in await rig.fabric.drops()] == [("gw-110", "tag on an access port", 1)]


async def test_vlan_taken_off_and_put_back(rig: Rig) -> None:
    one, two = rig.one, rig.two
    await rig.fabric.deny_vlan("node2", 110)
    assert await rig.fabric.vlans("node2") == (100, 120)
    one.send(frame(ALL, MAC_A, ((0x8100, 110),), b"off"))
    assert two.heard(b"off") == []
    await rig.fabric.allow_vlan("node2", 110)
    one.send(frame(ALL, MAC_A, ((0x8100, 110),), b"on"))
    assert two.heard(b"on") == [110]


async def test_faults_reach_a_running_switch(rig: Rig) -> None:
    """As another process does it: only the lab's names are known."""
    config = rig.fabric.config
    await switch.deny_vlan(config, "node2", 120)
    assert await rig.fabric.vlans("node2") == (100, 110)
    with pytest.raises(FabricError, match="does not carry VLAN 120"):
        await switch.deny_vlan(config, "node2", 120)
    await switch.allow_vlan(config, "node2", 120)
    with pytest.raises(FabricError, match="VLAN 4095"):
        await switch.allow_vlan(config, "node2", 4095)
    await switch.cut(config, "node1")
    assert not await netns.net(lambda: netns.link_in(config.node("node1")).link("trunk0").carrier)
    await switch.restore(config, "node1")
    rig.one.send(frame(ALL, MAC_A, ((0x8100, 120),), b"all-back"))
    assert rig.two.heard(b"all-back") == [120]
    with pytest.raises(FaultError, match="no lab"):
        await switch.cut(LabConfig(prefix="h5-none", state=config.state), "node1")


async def test_cut_and_restore(rig: Rig) -> None:
    node = rig.fabric.config.node("node2")
    two = rig.two
    two.send(frame(ALL, MAC_A, ((0x8100, 110),), b"hello"))
    await rig.fabric.cut("node2")
    assert not await netns.net(lambda: netns.link_in(node).link("trunk0").carrier)
    assert MAC_A not in {station.mac for station in await rig.fabric.stations()}
    await rig.fabric.restore("node2")
    assert await netns.net(lambda: netns.link_in(node).link("trunk0").carrier)


async def test_counters_equal_what_was_sent(rig: Rig) -> None:
    one, two = rig.one, rig.two
    data = frame(ALL, MAC_A, ((0x8100, 120),), b"count")
    for _ in range(50):
        one.send(data)
    assert two.heard(b"count") == [120] * 50
    counts = {(row.port, row.vlan): row for row in await rig.fabric.counts()}
    assert (counts["t-node1", 120].rx_packets, counts["t-node1", 120].rx_bytes) == (50, 50 * (len(data) - 4))
    assert (counts["t-node2", 120].tx_packets, counts["gw-120", 120].tx_packets) == (50, 50)
    assert counts["t-node2", 110].tx_packets == 0
