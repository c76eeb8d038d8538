"""Who reaches whom over the trunk, and what the wire and the guests see of it.

Witnesses: the guests' kernels (ICMP) and raw sockets on the wire and in the guests.
"""

from __future__ import annotations

import contextlib
import time

import pytest
from tests.agent.conftest import BROADCAST, NATIVE, Bed, Guest, arp, frame, ipv4, tag, until

from bascule.flows.reasons import Reason
from bascule_agent.netlink import Netlink

pytestmark = pytest.mark.root
NOBODY = "52:54:00:00:99:99"
SETTLE_S = 0.05


@contextlib.contextmanager
def watching(*guests: Guest):
    """Witnesses in guests, by name."""
    found = {guest.name: guest.witness() for guest in guests}
    try:
        yield found
    finally:
        for witness in found.values():
            witness.close()


@pytest.mark.parametrize(("one", "other"), [("a1", "a2"), ("a2", "a1"), ("b1", "b2"), ("c1", "c2")])
def test_guests_of_one_vlan_reach_each_other_across_the_trunk(vms, one, other):
    assert vms[one].ping(vms[other].ip, 3) == 3


@pytest.mark.parametrize(("one", "other"), [("a1", "b1"), ("a1", "b2"), ("a1", "c2"), ("c1", "a2"), ("c1", "c2")])
def test_a_guest_with_a_route_into_another_vlan_still_gets_no_answer(vms, one, other):
    if vms[one].vlan == vms[other].vlan:
        assert vms[one].ping(vms[other].ip) == 1  # the same question is answered where it should be
        return
    with Netlink(vms[one].netns) as inside:
        inside.add_route(f"{vms[other].ip}/32", index=inside.link("eth0").index)
    assert vms[one].ping(vms[other].ip, 2) == 0


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
        assert sum(data[:6] == b"\xff" * 6 for data, _ in got) == len(others)  # broadcasts reach the VLAN itself
        time.sleep(SETTLE_S)
        assert {guest.name: seen[guest.name].seen() for guest in others} == {guest.name: [] for guest in others}


def test_an_unknown_unicast_reaches_the_wire_but_no_other_guest(bed, vms):
    a1, a2 = vms["a1"], vms["a2"]
    station = bed.station()
    with watching(a2) as seen:
        a1.send(frame(NOBODY, a1.mac, ipv4(a1.ip, "10.110.0.99")))
        assert until(lambda: station.seen())
        time.sleep(SETTLE_S)
        assert seen["a2"].seen() == []
    station.close()


@pytest.mark.parametrize("name", ["a1", "b1", "c1"])
def test_the_wire_carries_the_tag_and_the_guest_sees_none(bed, vms, name):
    guest, peer = vms[name], vms[name[0] + "2"]
    station = bed.station()
    with watching(peer) as seen:
        sent = frame(peer.mac, guest.mac, ipv4(guest.ip, peer.ip))
        guest.send(sent)
        got = []
        assert until(lambda: got.extend(seen[peer.name].seen()) or got)
        assert got == [(sent, None)]
        on_wire = station.seen()
        assert on_wire == [(sent, None if guest.vlan == NATIVE else guest.vlan)]
    station.close()


WIRE = {
    "a tag behind the tag": (tag(110) + tag(120), Reason.TRUNK_DOUBLE_TAG),
    "a priority tag, then a tag": (tag(0) + tag(120), Reason.TRUNK_DOUBLE_TAG),
    "802.1ad": (tag(110, 0x88A8), Reason.TRUNK_OTHER_TAG),
    "a VLAN nobody needs": (tag(130), Reason.TRUNK_NOT_CARRIED),
}


@pytest.mark.parametrize("case", WIRE)
def test_what_the_trunk_must_not_bring_in_is_dropped_and_counted(bed: Bed, vms, case):
    tags, reason = WIRE[case]
    bed.station().close()
    bed.drain()
    with watching(*vms.values()) as seen:
        bed.inject(frame(BROADCAST, NOBODY, tags + arp(NOBODY, "10.120.0.77", "10.120.0.12")))
        node = bed.nodes[0]

        def counted() -> list[tuple[int, int]]:
            keys, rows = node.objects.rows("trunk_drops")
            return [(int(key["cause"]), int(row["packets"])) for key, row in zip(keys, rows, strict=True)]

        assert until(counted)
        assert counted() == [(reason, 1)]
        time.sleep(SETTLE_S)
        assert all(witness.seen() == [] for witness in seen.values())


def test_a_tagged_frame_from_outside_reaches_its_vlan(bed: Bed, vms):
    """The control of the cases above: the station's frames do arrive when they are as they should be."""
    bed.station().close()
    with watching(*vms.values()) as seen:
        bed.inject(frame(BROADCAST, NOBODY, tag(120) + arp(NOBODY, "10.120.0.77", "10.120.0.12")))
        assert until(lambda: seen["b1"].seen()) and until(lambda: seen["b2"].seen())
        assert all(seen[name].seen() == [] for name in ("a1", "a2", "c1", "c2"))


def test_one_mac_lives_in_two_vlans(bed: Bed, vms):
    mac = "52:54:00:00:dd:dd"
    one = bed.guest("d1", 0, 110, mac, "10.110.0.50")
    two = bed.guest("d2", 1, 120, mac, "10.120.0.50")
    try:
        for _ in range(5):
            assert vms["a2"].ping(one.ip) == 1 and vms["b1"].ping(two.ip) == 1
            assert one.ping(vms["a1"].ip) == 1 and two.ping(vms["b2"].ip) == 1
        assert {one.node.ports.port(one.ifindex).state.name, two.node.ports.port(two.ifindex).state.name} == {"LIVE"}
    finally:
        bed.unplug("d1")
        bed.unplug("d2")
