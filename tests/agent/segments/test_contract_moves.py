"""The segment contract, moves: the kernel follows a VM that left, and one that never left takes its port back.

Witnesses: ICMP, the bridges' own forwarding entries, raw sockets.
"""

from __future__ import annotations

import time

import pytest
from tests.agent.conftest import BROADCAST, arp, frame, ipv4, tag, until

from bascule.hostplan.names import link_name
from bascule_agent.bpf.layout import PortState

pytestmark = pytest.mark.root
MAC, IP = "52:54:00:00:6e:aa", "10.110.0.60"
RARP = frame(BROADCAST, MAC, arp(MAC, "0.0.0.0", "0.0.0.0", 3, MAC))


@pytest.fixture
def move(bed, vms):
    """The same VM twice: running on node 1, its target held on node 2."""
    yield bed.guest("src", 0, 110, MAC, IP), bed.guest("dst", 1, 110, MAC, IP, held=True)
    bed.unplug("src")
    bed.unplug("dst")


def state(guest) -> PortState:
    return guest.node.ports.port(guest.ifindex).state


def place(guest) -> int:
    """Where the guest's bridge sends frames for the MAC in its VLAN (VLAN 0 where the bridge does not filter)."""
    entries = [entry for entry in guest.node.netlink.fdb(guest.node.bridge(110)) if entry.mac == MAC]
    (found,) = {entry.index for entry in entries if entry.vlan == max(each.vlan for each in entries)}
    return found


def trunk_side(guest) -> int:
    link = guest.node.netlink.find(link_name("s", "dc1", 110)) or guest.node.netlink.link("trunk0")
    return link.index


def test_a_held_port_lets_nothing_in_until_its_guest_speaks(vms, move):
    source, target = move
    witness = target.witness()
    assert vms["a2"].ping(IP) == 1
    source.send(frame(BROADCAST, MAC, arp(MAC, IP, "10.110.0.99")))
    time.sleep(0.1)
    assert witness.seen() == [] and state(target) is PortState.HELD
    witness.close()


def test_the_first_frame_opens_the_target_and_moves_the_source(vms, move):
    source, target = move
    assert place(source) == source.ifindex
    target.send(RARP)
    assert until(lambda: state(source) is PortState.MOVED) and state(target) is PortState.LIVE
    # the program sees the frame a hop before the bridge does: nothing but that frame moves the entry
    assert until(lambda: place(source) == trunk_side(source)) and place(target) == target.ifindex
    target.node.ports.open_done(target.ifindex)
    source.node.ports.move_done(source.ifindex)
    assert not [e for e in source.node.netlink.fdb(source.node.bridge(110)) if e.mac == MAC and e.static]
    assert (vms["a1"].ping(IP, 2), vms["a2"].ping(IP, 2)) == (2, 2)


def test_a_forged_frame_cuts_nobody_off_for_ever(bed, vms, move):
    source, _ = move
    bed.inject(frame(BROADCAST, MAC, tag(110) + arp(MAC, IP, "10.110.0.99")))
    assert until(lambda: state(source) is PortState.MOVED)
    source.send(frame(vms["a2"].mac, MAC, ipv4(IP, vms["a2"].ip)))
    assert until(lambda: state(source) is PortState.LIVE)
    source.node.ports.open_done(source.ifindex)
    assert place(source) == source.ifindex and vms["a2"].ping(IP) == 1


def test_a_mac_in_another_vlan_moves_nothing(bed, vms, move):
    source, _ = move
    bed.inject(frame(BROADCAST, MAC, tag(120) + arp(MAC, IP, "10.110.0.99")))
    time.sleep(0.1)
    assert state(source) is PortState.LIVE and vms["a2"].ping(IP) == 1


def test_of_one_mac_in_two_vlans_one_moves(bed, vms, move):
    source, target = move
    other = bed.guest("twin", 0, 120, MAC, "10.120.0.60")
    try:
        target.send(RARP)
        assert until(lambda: state(source) is PortState.MOVED)
        source.node.ports.move_done(source.ifindex)
        assert state(other) is PortState.LIVE and vms["b2"].ping(other.ip) == 1
        assert vms["a1"].ping(IP) == 1
    finally:
        bed.unplug("twin")
