"""The segment contract, frames: who reaches whom, what the wire carries, what passes nowhere.

Witnesses: the guests' kernels (ICMP), raw sockets on the wire and in the guests.
"""

from __future__ import annotations

import contextlib
import time

import pytest
from tests.agent.conftest import BROADCAST, arp, frame, ipv4, tag, until
from tests.agent.segments.conftest import HOST_VLAN, NATIVE, PER_VLAN

pytestmark = pytest.mark.root
NOBODY = "52:54:00:00:99:99"
SETTLE_S = 0.1


@contextlib.contextmanager
def watching(*guests):
    found = {guest.name: guest.witness() for guest in guests}
    try:
        yield found
    finally:
        for witness in found.values():
            witness.close()


def test_guests_of_one_vlan_reach_each_other_across_the_trunk(vms):
    for one, other in (("a1", "a2"), ("b2", "b1"), ("c1", "c2")):
        assert vms[one].ping(vms[other].ip, 2) == 2, (one, other)


def test_no_frame_of_a_vlan_is_seen_in_another(vms):
    a1, a2 = vms["a1"], vms["a2"]
    others = [vms[name] for name in ("b1", "b2", "c1", "c2")]
    with watching(a2, *others) as seen:
        for guest in others:
            a1.send(frame(guest.mac, a1.mac, ipv4(a1.ip, guest.ip)))
            a1.send(frame(BROADCAST, a1.mac, arp(a1.mac, a1.ip, guest.ip)))
        a1.send(frame(NOBODY, a1.mac, ipv4(a1.ip, "10.110.0.99")))
        control = frame(a2.mac, a1.mac, ipv4(a1.ip, a2.ip))
        a1.send(control)
        got = []
        assert until(lambda: got.extend(seen["a2"].seen()) or control in [data for data, _ in got])
        assert sum(data[:6] == b"\xff" * 6 for data, _ in got) == len(others)  # the VLAN itself sees broadcasts
        time.sleep(SETTLE_S)
        assert {guest.name: seen[guest.name].seen() for guest in others} == {guest.name: [] for guest in others}


def test_the_wire_carries_the_tag_and_the_guest_sees_none(bed, vms):
    for name in ("a1", "b1", "c1"):
        guest, peer = vms[name], vms[name[0] + "2"]
        station = bed.station()
        with watching(peer) as seen:
            guest.send(frame(BROADCAST, guest.mac, arp(guest.mac, guest.ip, "10.0.0.99")))
            got = []
            assert until(lambda seen=seen, peer=peer, got=got: got.extend(seen[peer.name].seen()) or got)
            assert {vid for _, vid in got} == {None}
            assert {vid for _, vid in station.seen()} == {None if guest.vlan == NATIVE else guest.vlan}
        station.close()


@pytest.mark.parametrize(
    "tags",
    [tag(130), tag(999), tag(HOST_VLAN), tag(110) + tag(120), tag(110, 0x88A8), tag(0) + tag(110), tag(120, 0x88A8)],
    ids=["130", "999", "99", "110+120", "802.1ad", "0+110", "802.1ad-120"],
)
def test_what_the_wire_sends_in_no_vlan_of_ours_reaches_no_guest(bed, vms, tags):
    with watching(*vms.values()) as seen:
        for guest in vms.values():
            bed.inject(frame(guest.mac, NOBODY, tags + ipv4("10.110.0.99", guest.ip)))
        bed.inject(frame(BROADCAST, NOBODY, tags + arp(NOBODY, "10.110.0.99", "10.110.0.11")))
        time.sleep(SETTLE_S)
        assert {name: witness.seen() for name, witness in seen.items()} == {name: [] for name in vms}


def test_a_tag_of_the_guests_own_goes_nowhere(bed, vms):
    station = bed.station()
    with watching(*vms.values()) as seen:
        for name in ("a1", "c1"):
            guest = vms[name]
            for tags in (tag(120), tag(guest.vlan), tag(0) + tag(120), tag(120, 0x88A8)):
                guest.send(frame(BROADCAST, guest.mac, tags + arp(guest.mac, guest.ip, "10.0.0.99")))
        time.sleep(SETTLE_S)
        assert station.seen() == [] and all(witness.seen() == [] for witness in seen.values())
    station.close()


def test_a_priority_tag_counts_as_untagged(vms):
    a1, a2 = vms["a1"], vms["a2"]
    with watching(a2) as seen:
        a1.send(frame(a2.mac, a1.mac, tag(0) + ipv4(a1.ip, a2.ip)))
        got = []
        assert until(lambda: got.extend(seen["a2"].seen()) or got)
        assert [vid for _, vid in got] == [None]


def test_a_foreign_mac_leaves_no_port(bed, vms):
    station = bed.station()
    vms["a1"].send(frame(BROADCAST, NOBODY, arp(NOBODY, vms["a1"].ip, "10.110.0.99")))
    time.sleep(SETTLE_S)
    assert station.seen() == []
    station.close()


def test_one_mac_in_two_vlans_loses_nothing(bed, vms):
    mac = "52:54:00:00:00:dd"
    one = bed.guest("d1", 0, 110, mac, "10.110.0.60")
    two = bed.guest("e1", 0, 120, mac, "10.120.0.60")
    try:
        for _ in range(5):
            assert (vms["a2"].ping(one.ip), vms["b2"].ping(two.ip)) == (1, 1)
            assert (one.ping(vms["a2"].ip), two.ping(vms["b2"].ip)) == (1, 1)
    finally:
        bed.unplug("d1")
        bed.unplug("e1")


def test_a_port_is_locked_learns_nothing_and_has_a_static_entry_in_its_vlan(bed, vms):
    a1 = vms["a1"]
    flags = a1.node.netlink.brport(a1.ifindex)
    assert (flags["locked"], flags["learning"]) == (1, 0)
    entries = [entry for entry in a1.node.netlink.fdb(a1.node.bridge(110)) if entry.mac == a1.mac]
    assert {entry.index for entry in entries} == {a1.ifindex} and all(entry.static for entry in entries)
    vlans = {entry.vid: (entry.pvid, entry.untagged) for entry in a1.node.netlink.vlans(a1.ifindex)}
    if bed.way == PER_VLAN:
        assert vlans in ({}, {1: (True, True)})  # what the kernel gives a port of a bridge that does not filter
    else:
        assert vlans == {110: (True, True)} and {entry.vlan for entry in entries} == {110}


def test_a_port_that_goes_takes_its_vlan_along(bed, vms):
    guest = bed.guest("g1", 0, 110, "52:54:00:00:00:99", "10.110.0.61")
    guest.node.ports.take_down(guest.ifindex)
    link = guest.node.netlink.link(guest.ifindex)
    assert (link.master, link.up, guest.node.netlink.vlans(guest.ifindex)) == (0, False, [])
    guest.bring_up()
    guest.wait()
    assert vms["a2"].ping(guest.ip) == 1
    bed.unplug("g1")
