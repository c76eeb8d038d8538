"""Every frame at a port is in exactly one record or in the overflow; the port's own total says so, at every swap.

Witnesses: the guest's interface statistics, and the test's own count of what it sent.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from tests.agent.conftest import BROADCAST, Bed, Guest, arp, frame, ipv4, mac_raw, tag, until

from bascule.flows.record import ALLOW, EGRESS, INGRESS
from bascule_agent.bpf import layout
from bascule_agent.bpf.flows_map import Drained, swap_and_drain
from bascule_agent.bpf.objects import ensure
from bascule_agent.netlink import in_netns
from bascule_agent.ports import PortManager

pytestmark = pytest.mark.root


def sums(rows: np.ndarray, ifindex: int, direction: int) -> tuple[int, int]:
    mine = rows[(rows["ifindex"] == ifindex) & (rows["direction"] == direction)]
    return int(mine["packets"].sum()), int(mine["bytes"].sum())


def balanced(drained: Drained) -> bool:
    """Do records and overflow add up to the totals, for every port and direction, packets and bytes?"""
    ends = {(int(row["ifindex"]), int(row["direction"])) for row in drained.totals}
    ends |= {(int(row["ifindex"]), int(row["direction"])) for row in drained.records}
    return all(
        tuple(np.add(sums(drained.records, *end), sums(drained.overflow, *end))) == sums(drained.totals, *end)
        for end in ends
    )


def statistics(guest: Guest) -> dict[str, int]:
    names = ("tx_packets", "tx_bytes", "rx_packets", "rx_bytes")
    return in_netns(guest.netns, lambda: {name: _statistic(name) for name in names})


def _statistic(name: str) -> int:
    # /sys shows the namespace of whoever mounted it; /proc/thread-self follows the thread.
    line = next(row for row in Path("/proc/thread-self/net/dev").read_text().splitlines() if "eth0:" in row)
    fields = line.split(":")[1].split()
    return int(fields[{"rx_bytes": 0, "rx_packets": 1, "tx_bytes": 8, "tx_packets": 9}[name]])


def mixed(guest: Guest, peer: Guest, count: int) -> list[bytes]:
    """Good frames and every kind of bad one."""
    good = frame(peer.mac, guest.mac, ipv4(guest.ip, peer.ip))
    kinds = [
        good,
        good[:12] + tag(0) + good[12:],
        good[:12] + tag(120) + good[12:],
        good[:20],
        frame(peer.mac, peer.mac, ipv4(guest.ip, peer.ip)),
        frame(BROADCAST, guest.mac, arp(guest.mac, guest.ip, peer.ip)),
        frame(BROADCAST, guest.mac, b"\x86\xdd" + bytes(60)),
    ]
    return [kinds[n % len(kinds)] for n in range(count)]


def cut_off_tag(data: bytes) -> bool:
    """The kernel's own untagging throws such frames away before any program on the link can see them."""
    return data[12:14] in (b"\x81\x00", b"\x88\xa8") and len(data) < 20


def test_records_equal_the_guests_own_counters_drops_included(bed: Bed, vms):
    a1, a2 = vms["a1"], vms["a2"]
    a1.ping(a2.ip)
    time.sleep(0.05)
    bed.drain()
    before = statistics(a1)
    a1.send(*mixed(a1, a2, 140))
    assert a1.ping(a2.ip, 5) == 5
    time.sleep(0.05)
    drained, after = swap_and_drain(a1.node.objects), statistics(a1)
    delta = {name: after[name] - before[name] for name in after}
    assert balanced(drained)
    assert sums(drained.records, a1.ifindex, EGRESS) == (delta["tx_packets"], delta["tx_bytes"])
    passed = drained.records[drained.records["verdict"] == ALLOW]
    assert sums(passed, a1.ifindex, INGRESS) == (delta["rx_packets"], delta["rx_bytes"])


def test_a_record_says_who_and_what(bed: Bed, vms):
    a1, a2 = vms["a1"], vms["a2"]
    bed.drain()
    before = time.monotonic_ns()
    udp = b"\x12\x34\x00\x35\x00\x08\x00\x00"
    a1.send(*[frame(a2.mac, a1.mac, ipv4(a1.ip, a2.ip, udp, 17))] * 3)
    time.sleep(0.03)
    records = swap_and_drain(a1.node.objects).records
    (row,) = records[(records["ifindex"] == a1.ifindex) & (records["proto"] == 17)]
    assert (row["direction"], row["verdict"], row["reason"], row["vlan"], row["rule"]) == (EGRESS, ALLOW, 0, 110, 0)
    assert (row["ethertype"], row["src_port"], row["dst_port"]) == (0x0800, 0x1234, 53)
    assert (bytes(row["src_mac"]), bytes(row["dst_mac"])) == (mac_raw(a1.mac), mac_raw(a2.mac))
    assert (bytes(row["src_ip"]), bytes(row["dst_ip"])) == (bytes([10, 110, 0, 11]), bytes([10, 110, 0, 12]))
    assert (row["packets"], row["bytes"]) == (3, 3 * 42)
    assert before < row["first"] <= row["last"] < time.monotonic_ns()


def test_a_thousand_random_frames_never_break_the_sum(bed: Bed, vms):
    a1, a2 = vms["a1"], vms["a2"]
    time.sleep(0.05)
    bed.drain()
    rng = random.Random(20261123)
    good = frame(a2.mac, a1.mac, ipv4(a1.ip, a2.ip))

    def scrambled() -> bytes:
        data = bytearray(good + rng.randbytes(rng.randrange(0, 80)))
        for _ in range(rng.randrange(0, 6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.2:
            data[12:12] = tag(rng.choice((0, 0, 110, 120)), rng.choice((0x8100, 0x88A8)))
        return bytes(data[: rng.randrange(14, len(data) + 1)])

    frames = [data for data in (scrambled() for _ in range(1100)) if not cut_off_tag(data)][:1000]
    a1.send(*frames)
    time.sleep(0.1)
    drained = swap_and_drain(a1.node.objects)
    assert balanced(drained)
    assert sums(drained.records, a1.ifindex, EGRESS) == (1000, sum(map(len, frames)))
    assert balanced(swap_and_drain(a2.node.objects))


def test_what_no_record_has_room_for_is_counted(pins: Path, bed: Bed, vms):
    """A flow map of 16 entries, 100 flows: the port's overflow says how much is missing, and why."""
    small = layout.defines(flow_entries=16)
    guest = bed.plug("full", 0, 110, "52:54:00:00:6e:f0", "10.110.0.70")
    with ensure(layout.SOURCE, pins / "small", small, layout.LAYOUT) as objects:
        ports = PortManager(guest.node.netlink, objects)
        ports.bring_up(guest.spec(), guest.node.bridge(110))
        guest.wait()
        before = statistics(guest)
        guest.send(*(frame(BROADCAST, guest.mac, arp(guest.mac, guest.ip, f"10.110.0.{n}")) for n in range(100)))
        assert until(lambda: statistics(guest)["tx_packets"] - before["tx_packets"] >= 100)
        time.sleep(0.03)
        drained = swap_and_drain(objects)
        assert balanced(drained)
        assert len(drained.records) <= 16 and set(drained.overflow["cause"].tolist()) == {7}
        assert sums(drained.totals, guest.ifindex, EGRESS)[0] >= 100
        ports.take_down(guest.ifindex)
        assert int(objects.get("lost", 0)) == 0
    bed.unplug("full")


def test_tcp_super_frames_cross_whole_and_are_counted_as_segments(bed: Bed, vms):
    """Segmentation and checksum offload survive tag and port programs: 8 MB arrive as sent, as tagged super-frames."""
    a1, a2 = vms["a1"], vms["a2"]
    size = 8 << 20
    data = random.Random(1).randbytes(size)
    station = bed.station()
    bed.drain()
    listener = in_netns(a2.netns, lambda: socket.create_server((a2.ip, 7000)))
    with listener, in_netns(a1.netns, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as sender:
        sender.connect((a2.ip, 7000))
        writer = threading.Thread(target=lambda: (sender.sendall(data), sender.shutdown(socket.SHUT_WR)))
        writer.start()
        with listener.accept()[0] as receiver:
            got = b"".join(iter(lambda: receiver.recv(1 << 20), b""))
        writer.join()
    assert got == data
    wire = [(len(seen), vid) for seen, vid in station.seen(mark=b"") if len(seen) > 1518]
    assert wire and {vid for _, vid in wire} == {110}
    station.close()
    drained = swap_and_drain(a1.node.objects)
    assert balanced(drained)
    packets, sent = sums(drained.records[drained.records["proto"] == 6], a1.ifindex, EGRESS)
    assert size // 1448 <= packets and size < sent < size * 1.1 and packets > len(data) // 65536


def test_swaps_while_frames_flow_lose_and_double_nothing(bed: Bed, vms):
    a1, a2 = vms["a1"], vms["a2"]
    bed.drain()
    seen = 0
    for n in range(20):
        a1.send(*[frame(a2.mac, a1.mac, ipv4(a1.ip, a2.ip, bytes([n]) * 8))] * 50)
        drained = swap_and_drain(a1.node.objects)
        assert balanced(drained)
        seen += sums(drained.records, a1.ifindex, EGRESS)[0]
    seen += sums(swap_and_drain(a1.node.objects).records, a1.ifindex, EGRESS)[0]
    assert seen == 1000
