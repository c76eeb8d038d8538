"""A move as two nodes see it: held until the guest speaks, the source's entry follows in the kernel, late frames drop.

Nothing here tells the kernel of the move but the guest's own frames. Witnesses: ICMP, `bridge fdb` through netlink,
raw sockets.
"""

from __future__ import annotations

import time

import pytest
from tests.agent.conftest import BROADCAST, Bed, Guest, Node, arp, drops, frame, ipv4, until

from bascule_agent.bpf.layout import EVENT, EventKind, PortState
from bascule_agent.bpf.ring import Ring
from bascule_agent.netlink import FdbEntry

pytestmark = pytest.mark.root
MAC, IP = "52:54:00:00:6e:aa", "10.110.0.60"


@pytest.fixture
def move(bed: Bed, vms):
    """The same VM twice: running on node 1, its target held on node 2."""
    source = bed.guest("src", 0, 110, MAC, IP)
    target = bed.guest("dst", 1, 110, MAC, IP, held=True)
    for node in bed.nodes:
        with_ring(node, lambda ring: ring.read())
    bed.drain()
    yield source, target
    bed.unplug("src")
    bed.unplug("dst")


def with_ring(node: Node, use):
    ring = Ring(node.objects.maps["events"], EVENT)
    try:
        return use(ring)
    finally:
        ring.close()


def events(node: Node) -> list[tuple[EventKind, int, int, str, int]]:
    records = with_ring(node, lambda ring: ring.read())
    return [
        (EventKind(int(e["kind"])), int(e["ifindex"]), int(e["ethertype"]), bytes(e["mac"]).hex(":"), int(e["vlan"]))
        for e in records
    ]


def entry(guest: Guest) -> FdbEntry:
    (found,) = [e for e in guest.node.netlink.fdb(guest.node.bridge(110)) if e.mac == MAC]
    return found


def rarp(guest: Guest) -> bytes:
    return frame(BROADCAST, guest.mac, arp(guest.mac, "0.0.0.0", "0.0.0.0", 3, guest.mac))


def test_a_held_port_lets_nothing_in_until_its_guest_speaks(bed: Bed, vms, move):
    source, target = move
    witness = target.witness()
    assert vms["a2"].ping(IP) == 1  # the source answers, and its broadcasts arrive at the target's node
    source.send(frame(BROADCAST, MAC, arp(MAC, IP, "10.110.0.99")))
    vms["a2"].send(frame(BROADCAST, vms["a2"].mac, arp(vms["a2"].mac, vms["a2"].ip, IP)))
    time.sleep(0.05)
    assert witness.seen() == []
    assert target.node.ports.port(target.ifindex).state is PortState.HELD
    found = drops(target.node, target.ifindex)
    assert set(found) == {"held"} and found["held"] >= 2
    witness.close()


def test_a_bad_frame_does_not_open_a_held_port(move):
    _, target = move
    target.send(frame(BROADCAST, "52:54:00:00:6e:ab", arp("52:54:00:00:6e:ab", IP, IP)))
    time.sleep(0.03)
    assert target.node.ports.port(target.ifindex).state is PortState.HELD
    assert drops(target.node, target.ifindex) == {"spoofed-mac": 1}


def test_the_first_frame_opens_the_target_and_moves_the_source_without_user_space(bed: Bed, vms, move):
    source, target = move
    assert entry(source).index == source.ifindex and entry(source).static
    before = time.monotonic_ns()
    target.send(rarp(target))
    after = time.monotonic_ns()
    assert until(lambda: source.node.ports.port(source.ifindex).state is PortState.MOVED)
    opened, moved = target.node.ports.port(target.ifindex), source.node.ports.port(source.ifindex)
    assert opened.state is PortState.LIVE
    assert before < opened.opened_ns < moved.moved_ns < after + 50_000_000
    assert events(target.node) == [(EventKind.OPENED, target.ifindex, 0x8035, MAC, 110)]
    assert events(source.node) == [(EventKind.MOVED, source.ifindex, 0x8035, MAC, 110)]
    # The bridges followed by themselves: the source's static entry now points at the trunk's side.
    assert entry(source).index == source.node.stub(110) and entry(source).static
    assert entry(target).index == target.ifindex and not entry(target).static
    assert vms["a1"].ping(IP, 2) == 2 and vms["a2"].ping(IP, 2) == 2


def test_afterwards_the_target_is_pinned_and_the_source_ages(bed: Bed, vms, move):
    source, target = move
    target.send(rarp(target))
    assert until(lambda: source.node.ports.port(source.ifindex).state is PortState.MOVED)
    target.node.ports.open_done(target.ifindex)
    source.node.ports.move_done(source.ifindex)
    flags = target.node.netlink.brport(target.ifindex)
    assert (flags["locked"], flags["learning"]) == (1, 0) and entry(target).static
    assert [e for e in source.node.netlink.fdb(source.node.bridge(110)) if e.mac == MAC and e.static] == []
    assert vms["a1"].ping(IP) == 1
    assert entry(source).index == source.node.stub(110) and not entry(source).static  # learned anew, and ages


def test_what_still_arrives_at_the_source_is_dropped_and_counted(bed: Bed, vms, move):
    source, target = move
    target.send(rarp(target))
    assert until(lambda: source.node.ports.port(source.ifindex).state is PortState.MOVED)
    bed.drain()
    witness = source.witness()
    vms["a1"].send(frame(BROADCAST, vms["a1"].mac, arp(vms["a1"].mac, vms["a1"].ip, "10.110.0.99")))
    time.sleep(0.05)
    assert drops(source.node, source.ifindex) == {"moved": 1}
    assert witness.seen() == []
    witness.close()


def test_a_guest_that_never_left_takes_its_port_back(bed: Bed, vms, move):
    """One forged frame on the wire must not cut a VM off for ever."""
    source, _ = move
    bed.station().close()
    bed.inject(frame(BROADCAST, MAC, b"\x81\x00\x00\x6e" + arp(MAC, IP, "10.110.0.99")))
    assert until(lambda: source.node.ports.port(source.ifindex).state is PortState.MOVED)
    source.send(frame(vms["a2"].mac, MAC, ipv4(IP, vms["a2"].ip)))
    assert until(lambda: source.node.ports.port(source.ifindex).state is PortState.LIVE)
    kinds = [kind for kind, *_ in events(source.node)]
    assert kinds == [EventKind.MOVED, EventKind.RETURNED]
    source.node.ports.open_done(source.ifindex)
    assert entry(source).index == source.ifindex
    assert vms["a2"].ping(IP) == 1


def test_a_mac_in_another_vlan_moves_nothing(bed: Bed, vms, move):
    source, _ = move
    bed.station().close()
    bed.inject(frame(BROADCAST, MAC, b"\x81\x00\x00\x78" + arp(MAC, IP, "10.110.0.99")))
    time.sleep(0.05)
    assert source.node.ports.port(source.ifindex).state is PortState.LIVE
    assert vms["a2"].ping(IP) == 1
