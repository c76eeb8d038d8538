"""What a guest may send and what it may be sent: each case with real frames, dropped and counted under its reason.

Witnesses: a raw socket on the wire and one in every other guest.
"""

from __future__ import annotations

import socket
import time

import pytest
from tests.agent.conftest import BROADCAST, Guest, arp, drops, frame, ipv4, tag, until

from bascule_agent.netlink import in_netns

pytestmark = pytest.mark.root
SETTLE_S = 0.03
OTHER = "52:54:00:00:99:98"


def to_peer(guest: Guest, peer: Guest, body: bytes) -> bytes:
    return frame(peer.mac, guest.mac, body)


# name: (guest, frame made from guest and peer, reason)
DROPPED = {
    "a tag of its own VLAN": ("a1", lambda g, p: to_peer(g, p, tag(110) + ipv4(g.ip, p.ip)), "tagged"),
    "a tag of another VLAN": ("a1", lambda g, p: to_peer(g, p, tag(120) + ipv4(g.ip, p.ip)), "tagged"),
    "a tag out of the native VLAN": ("c1", lambda g, p: to_peer(g, p, tag(110) + ipv4(g.ip, p.ip)), "tagged"),
    "802.1ad with VID 0": ("a1", lambda g, p: to_peer(g, p, tag(0, 0x88A8) + ipv4(g.ip, p.ip)), "tagged"),
    "a tag behind a priority tag": (
        "a1",
        lambda g, p: to_peer(g, p, tag(0) + tag(120) + ipv4(g.ip, p.ip)),
        "double-tag",
    ),
    "two priority tags": ("a1", lambda g, p: to_peer(g, p, tag(0) + tag(0) + ipv4(g.ip, p.ip)), "double-tag"),
    "three tags": (
        "a1",
        lambda g, p: to_peer(g, p, tag(0) + tag(0) + tag(120) + ipv4(g.ip, p.ip)),
        "double-tag",
    ),
    "802.1ad behind a priority tag": (
        "a1",
        lambda g, p: to_peer(g, p, tag(0) + tag(110, 0x88A8) + ipv4(g.ip, p.ip)),
        "double-tag",
    ),
    "a neighbour's MAC": ("a1", lambda g, p: frame(p.mac, p.mac, ipv4(g.ip, p.ip)), "spoofed-mac"),
    "a neighbour's address": ("a1", lambda g, p: to_peer(g, p, ipv4(p.ip, p.ip)), "spoofed-ip"),
    "no address": ("a1", lambda g, p: to_peer(g, p, ipv4("0.0.0.0", p.ip)), "spoofed-ip"),
    "IPv4 broadcast": ("a1", lambda g, p: frame(BROADCAST, g.mac, ipv4(g.ip, "10.110.0.255")), "ip-broadcast"),
    "IPv4 broadcast to a MAC": ("a1", lambda g, p: to_peer(g, p, ipv4(g.ip, "255.255.255.255")), "ip-broadcast"),
    "IPv4 multicast": ("a1", lambda g, p: frame("01:00:5e:00:00:05", g.mac, ipv4(g.ip, "224.0.0.5")), "ip-multicast"),
    "IPv4 multicast to a MAC": ("a1", lambda g, p: to_peer(g, p, ipv4(g.ip, "224.0.0.5")), "ip-multicast"),
    "ARP with a neighbour's address": ("a1", lambda g, p: frame(BROADCAST, g.mac, arp(g.mac, p.ip, g.ip)), "arp-spoof"),
    "ARP with a neighbour's MAC": ("a1", lambda g, p: frame(BROADCAST, g.mac, arp(p.mac, g.ip, p.ip)), "arp-spoof"),
    "RARP of a neighbour": (
        "a1",
        lambda g, p: frame(BROADCAST, g.mac, arp(p.mac, "0.0.0.0", "0.0.0.0", 3, p.mac)),
        "arp-spoof",
    ),
    "RARP asking for a neighbour": (
        "a1",
        lambda g, p: frame(BROADCAST, g.mac, arp(g.mac, "0.0.0.0", "0.0.0.0", 3, p.mac)),
        "arp-spoof",
    ),
    "ARP to a group": ("a1", lambda g, p: frame("01:00:5e:00:00:05", g.mac, arp(g.mac, g.ip, p.ip)), "multicast"),
    "IPv6": ("a1", lambda g, p: frame("33:33:00:00:00:01", g.mac, b"\x86\xdd" + b"h4-witness" * 6), "ipv6"),
    "LLDP": ("a1", lambda g, p: frame("01:80:c2:00:00:0e", g.mac, b"\x88\xcc" + b"h4-witness" * 6), "ethertype"),
    "spanning tree": ("a1", lambda g, p: frame("01:80:c2:00:00:00", g.mac, b"\x00\x26h4-witness" * 3), "ethertype"),
    "half an IPv4 header": ("a1", lambda g, p: to_peer(g, p, ipv4(g.ip, p.ip)[:12]), "runt"),
    "half an ARP": ("a1", lambda g, p: frame(BROADCAST, g.mac, arp(g.mac, g.ip, p.ip)[:20]), "runt"),
    "IPv4 of version 6": ("a1", lambda g, p: to_peer(g, p, b"\x08\x00\x65" + ipv4(g.ip, p.ip)[3:]), "malformed"),
    "IPv4 with a header of 16 bytes": (
        "a1",
        lambda g, p: to_peer(g, p, b"\x08\x00\x44" + ipv4(g.ip, p.ip)[3:]),
        "malformed",
    ),
    "ARP for another hardware": (
        "a1",
        lambda g, p: frame(BROADCAST, g.mac, b"\x08\x06\x00\x06" + arp(g.mac, g.ip, p.ip)[4:]),
        "malformed",
    ),
}


@pytest.fixture
def watched(bed, vms):
    """Witnesses on the wire and in all guests but a1 and c1, and empty counters."""
    found = {name: guest.witness() for name, guest in vms.items() if name not in ("a1", "c1")}
    found["wire"] = bed.station()
    bed.drain()
    yield found
    for witness in found.values():
        witness.close()


@pytest.mark.parametrize("case", DROPPED)
def test_dropped_at_the_port_and_counted_under_its_reason(vms, watched, case):
    name, make, reason = DROPPED[case]
    guest, peer = vms[name], vms["a2"]
    guest.send(make(guest, peer))
    time.sleep(SETTLE_S)
    assert drops(guest.node, guest.ifindex) == {reason: 1}
    assert {name: witness.seen() for name, witness in watched.items() if witness.seen()} == {}


ADMITTED = {
    "IPv4": lambda g, p: to_peer(g, p, ipv4(g.ip, p.ip)),
    "IPv4 without payload": lambda g, p: to_peer(g, p, ipv4(g.ip, p.ip, b"")),
    "ARP request": lambda g, p: frame(BROADCAST, g.mac, arp(g.mac, g.ip, p.ip)),
    "ARP probe": lambda g, p: frame(BROADCAST, g.mac, arp(g.mac, "0.0.0.0", "10.110.0.77")),
    "ARP reply": lambda g, p: to_peer(g, p, arp(g.mac, g.ip, p.ip, 2, p.mac)),
    "its own RARP": lambda g, p: frame(BROADCAST, g.mac, arp(g.mac, "0.0.0.0", "0.0.0.0", 3, g.mac)),
    "IPv4 out of its subnet": lambda g, p: to_peer(g, p, ipv4(g.ip, "198.51.100.10")),
}


@pytest.mark.parametrize("case", ADMITTED)
def test_admitted_and_on_the_wire_with_the_vlans_tag(bed, vms, watched, case):
    a1, a2 = vms["a1"], vms["a2"]
    sent = ADMITTED[case](a1, a2)
    a1.send(sent)
    mark = sent[12:]
    got = []
    assert until(lambda: got.extend(watched["wire"].seen(mark)) or got)
    assert got == [(sent, 110)]
    assert drops(a1.node, a1.ifindex) == {}


def test_a_priority_tag_counts_as_untagged(bed, vms, watched):
    a1, a2 = vms["a1"], vms["a2"]
    plain = to_peer(a1, a2, ipv4(a1.ip, a2.ip))
    a1.send(plain[:12] + tag(0x2000) + plain[12:])  # priority 1, VID 0
    got = []
    assert until(lambda: got.extend(watched["wire"].seen()) or got)
    assert got == [(plain, 110)]
    assert until(lambda: watched["a2"].seen() == [(plain, None)])
    assert drops(a1.node, a1.ifindex) == {}


# name: (what the bridge has for a1, reason)
TOWARDS = {
    "unicast for another MAC": (
        lambda g: frame("52:54:00:00:99:97", OTHER, ipv4("10.110.0.98", g.ip)),
        "not-for-this-mac",
    ),
    "IPv4 broadcast": (lambda g: frame(BROADCAST, OTHER, ipv4("10.110.0.98", "10.110.0.255")), "ip-broadcast"),
    "IPv4 multicast": (lambda g: frame("01:00:5e:00:00:05", OTHER, ipv4("10.110.0.98", "224.0.0.5")), "ip-multicast"),
    "ARP to a group": (lambda g: frame("01:00:5e:00:00:05", OTHER, arp(OTHER, "10.110.0.98", g.ip)), "multicast"),
    "IPv6": (lambda g: frame(g.mac, OTHER, b"\x86\xdd" + b"h4-witness" * 6), "ipv6"),
    "RARP of another": (lambda g: frame(BROADCAST, OTHER, arp(OTHER, "0.0.0.0", "0.0.0.0", 3, OTHER)), "ethertype"),
    "a runt": (lambda g: frame(g.mac, OTHER, b"\x08\x00" + b"h4-witness"), "runt"),
    "a tag in the data": (lambda g: frame(g.mac, OTHER, b"\x81\x00" + b"h4-witness" * 6), "double-tag"),
}


@pytest.mark.parametrize("case", TOWARDS)
def test_what_the_guest_must_not_get_is_dropped_towards_it(bed, vms, case):
    make, reason = TOWARDS[case]
    a1 = vms["a1"]
    bed.drain()
    witness = a1.witness()
    bridge_in(a1, make(a1))  # straight into the bridge: what the trunk lets in is another test's matter
    time.sleep(SETTLE_S)
    found = drops(a1.node, a1.ifindex)
    assert found == {reason: 1}
    assert witness.seen() == []
    witness.close()


def bridge_in(guest: Guest, data: bytes) -> None:
    """Send a frame as the bridge's own device, which floods or forwards it to the port."""
    name = guest.node.netlink.link(guest.node.bridge(guest.vlan)).name

    def go() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
            sock.bind((name, 0))
            sock.send(data)

    in_netns(guest.node.netns, go)
