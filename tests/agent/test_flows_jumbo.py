"""Frames of 9,000 bytes, whole and as fragments of a larger packet, through real ports: counted to the byte, let
through and refused as any other. Witnesses: a raw socket at the other guest, the sender's counters, a kernel's ping."""

from __future__ import annotations

import subprocess
import time

import pytest
from tests.agent.conftest import MARK, Guest, frame, ipv4, tag
from tests.agent.test_ports_count import balanced, statistics, sums

from bascule.flows.reasons import Reason
from bascule.flows.record import ALLOW, DROP, EGRESS, INGRESS
from bascule_agent.bpf.flows_map import swap_and_drain
from bascule_agent.netlink import Netlink

pytestmark = pytest.mark.root

MTU = 9000
UDP = b"\x12\x34\x00\x35\x23\x14\x00\x00"  # 8,980 bytes of it
ENDS = (("big1", "52:54:00:00:6e:e1", "10.110.0.81"), ("big2", "52:54:00:00:6e:e2", "10.110.0.82"))


@pytest.fixture(scope="module")
def pair(bed):
    """Two guests on one node whose links and bridge carry 9,000 bytes."""
    guests = []
    node = bed.nodes[0]
    node.netlink.set(node.bridge(110), mtu=MTU)
    for name, mac, ip in ENDS:
        guest = bed.plug(name, 0, 110, mac, ip)
        node.netlink.set(guest.ifindex, mtu=MTU)
        with Netlink(guest.netns) as inside:
            inside.set(inside.link("eth0").index, mtu=MTU)
        node.ports.bring_up(guest.spec(), node.bridge(110))
        guest.wait()
        guests.append(guest)
    yield guests
    for name, _, _ in ENDS:
        bed.unplug(name)
    node.netlink.set(node.bridge(110), mtu=1500)


def jumbo(one: Guest, two: Guest, src_ip: str = "", mac: str = "") -> bytes:
    filling = MARK + bytes(n % 251 for n in range(MTU - 20 - len(UDP) - len(MARK)))
    made = frame(two.mac, mac or one.mac, ipv4(src_ip or one.ip, two.ip, UDP + filling, 17))
    assert len(made) == 14 + MTU, len(made)
    return made


def test_a_frame_of_nine_thousand_bytes_arrives_as_sent_and_is_counted_to_the_byte(bed, pair):
    one, two = pair
    good = jumbo(one, two)
    witness = two.witness()
    bed.drain()
    before = statistics(one)
    one.send(*[good] * 5)
    time.sleep(0.1)
    arrived = [data for data, _ in witness.seen()]
    witness.close()
    drained, after = swap_and_drain(one.node.objects), statistics(one)
    assert arrived == [good] * 5
    assert balanced(drained)
    udp = drained.records[drained.records["proto"] == 17]
    assert {int(row["verdict"]) for row in udp} == {ALLOW}
    for guest, direction in ((one, EGRESS), (two, INGRESS)):
        assert sums(udp, guest.ifindex, direction) == (5, 5 * len(good))
    assert after["tx_bytes"] - before["tx_bytes"] >= 5 * len(good)


def test_a_bad_one_is_refused_for_its_reason(bed, pair):
    one, two = pair
    good = jumbo(one, two)
    witness = two.witness()
    bed.drain()
    one.send(jumbo(one, two, src_ip=two.ip), jumbo(one, two, mac=two.mac), good[:12] + tag(120) + good[12:-4])
    time.sleep(0.1)
    assert witness.seen() == []
    witness.close()
    drained = swap_and_drain(one.node.objects)
    assert balanced(drained)
    mine = drained.records[(drained.records["ifindex"] == one.ifindex) & (drained.records["verdict"] == DROP)]
    wanted = {Reason.SPOOFED_IP: len(good), Reason.SPOOFED_MAC: len(good), Reason.TAGGED: len(good)}
    assert {Reason(int(row["reason"])): int(row["bytes"]) for row in mine} == wanted


def test_the_kernels_own_jumbo_and_its_fragments_are_answered(bed, pair):
    one, two = pair
    bed.drain()
    for size in (MTU - 28, 20_000):  # one whole frame; three pieces, of which two are full
        run = ["ip", "netns", "exec", one.netns, "ping", "-c", "2", "-i", "0.2", "-W", "5", "-s", str(size), two.ip]
        done = subprocess.run(run, capture_output=True, text=True, check=False)
        assert " 2 received" in done.stdout, done.stdout + done.stderr
    drained = swap_and_drain(one.node.objects)
    assert balanced(drained)
    icmp = drained.records[drained.records["proto"] == 1]
    assert {int(row["verdict"]) for row in icmp} == {ALLOW}
    whole, pieces = 2 * (MTU + 14), 2 * (20_000 + 8 + 3 * (20 + 14))
    assert sums(icmp, one.ifindex, EGRESS) == (2 + 2 * 3, whole + pieces)
