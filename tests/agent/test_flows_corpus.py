"""Five thousand random frames and the named bad ones through a port's programs: parsed as dpkt parses them, and a
frame's fate never depends on counting.

Frames run by BPF_PROG_TEST_RUN (`lo` is the port: ifindex 1), so their tags stand in the data, as behind a tag that the
kernel took off; tags beside the data are tests/agent/test_isolation_wire.py's and test_ports_count.py's. The kernel
refuses to test-run IP frames that are shorter than an IP header; those are sent through a real port in the latter.
"""

from __future__ import annotations

import random
import socket
import struct
from pathlib import Path

import dpkt
import numpy as np
import pytest

from bascule.flows.reasons import Reason
from bascule.flows.record import ALLOW, DROP
from bascule_agent.bpf import layout, raw
from bascule_agent.bpf.flows_map import swap_and_drain
from bascule_agent.bpf.objects import Objects, ensure, mount_bpffs, unmount_bpffs
from bascule_agent.ports.types import ip_bytes, mac_bytes

pytestmark = pytest.mark.root

GUEST, OTHER, ALL = "52:54:00:00:6e:01", "52:54:00:00:6e:02", "ff:ff:ff:ff:ff:ff"
IP, PEER = "10.110.0.11", "10.110.0.12"
LO, OK, SHOT = 1, 0, 2


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    root = tmp_path_factory.mktemp("h6") / "bpf"
    mount_bpffs(root)
    try:
        with ensure(layout.SOURCE, root, layout.defines(), layout.LAYOUT) as found:
            names = layout.PORT.names or ()
            fields = dict.fromkeys(names, 0) | {"mac": tuple(mac_bytes(GUEST)), "vlan": 110, "ip": tuple(ip_bytes(IP))}
            found.put("ports", (LO,), tuple(fields[name] for name in names))
            yield found
    finally:
        unmount_bpffs(root)


def run(objects: Objects, data: bytes, program: str = "port_in") -> tuple[int, bytes, np.ndarray]:
    """Its verdict, the frame as it left, and the one record it made."""
    verdict, after = raw.test_run(objects.programs[program], data)
    drained = swap_and_drain(objects, 0.0)
    assert int(drained.records["packets"].sum()) == int(drained.totals["packets"].sum()) == 1
    assert not len(drained.overflow)
    return verdict, after, drained.records[0]


def ether(body: bytes, kind: int = 0x0800, src: str = GUEST, dst: str = OTHER, tags: bytes = b"") -> bytes:
    return mac_bytes(dst) + mac_bytes(src) + tags + struct.pack("!H", kind) + body


def ipv4(payload: bytes = b"", proto: int = 17, src: str = IP, dst: str = PEER, **more: int) -> bytes:
    words = more.get("header", 5)
    total, place = more.get("total", words * 4 + len(payload)), more.get("place", 0)
    head = struct.pack("!BBHHHBBH", more.get("version", 4) << 4 | words, 0, total, 7, place, 64, proto, 0)
    return head + socket.inet_aton(src) + socket.inet_aton(dst) + b"\0" * max(0, words * 4 - 20) + payload


def arp(op: int = 1, mac: str = GUEST, ip: str = IP, shape: bytes = b"\0\1\x08\0\6\4") -> bytes:
    ends = mac_bytes(mac) + socket.inet_aton(ip) + mac_bytes(OTHER if op == 2 else mac) + socket.inet_aton(PEER)
    return shape + struct.pack("!H", op) + ends


UDP = struct.pack("!HHHH", 40000, 53, 8, 0)
TCP = struct.pack("!HHIIBBHHH", 40000, 443, 1, 0, 0x50, 2, 1000, 0, 0)
TAG, QTAG, PRIORITY = b"\x81\0\0\x78", b"\x88\xa8\0\x78", b"\x81\0\x60\0"
NAMED = {
    "udp": (ether(ipv4(UDP)), Reason.NONE),
    "tcp": (ether(ipv4(TCP, 6)), Reason.NONE),
    "icmp": (ether(ipv4(b"\x08\0\0\0\0\1\0\1", 1)), Reason.NONE),
    "jumbo": (ether(ipv4(UDP + b"x" * 3300)), Reason.NONE),
    "first fragment": (ether(ipv4(UDP, place=0x2000)), Reason.NONE),
    "later fragment": (ether(ipv4(b"\x9c\x40\x01\xbb" * 4, place=0x00B9)), Reason.NONE),
    "options": (ether(ipv4(UDP, header=7)), Reason.NONE),
    "longest header": (ether(ipv4(UDP, header=15)), Reason.NONE),
    "header longer than the frame": (ether(ipv4(b"", header=5)[:20]), Reason.NONE),
    "udp cut off after its ports": (ether(ipv4(UDP[:7])), Reason.NONE),
    "udp cut off": (ether(ipv4(UDP[:3])), Reason.NONE),
    "tcp cut off": (ether(ipv4(TCP[:9], 6)), Reason.NONE),
    "version 5": (ether(ipv4(UDP, version=5)), Reason.MALFORMED),
    "header of 16": (ether(ipv4(UDP, header=4)), Reason.MALFORMED),
    "total too long": (ether(ipv4(UDP, total=9000)), Reason.NONE),
    "tagged": (ether(ipv4(UDP), tags=TAG), Reason.DOUBLE_TAG),
    "double-tagged": (ether(ipv4(UDP), tags=QTAG + TAG), Reason.DOUBLE_TAG),
    "priority tag behind another": (ether(ipv4(UDP), tags=PRIORITY), Reason.DOUBLE_TAG),
    "tag cut off": (ether(b"\0", 0x8100), Reason.DOUBLE_TAG),
    "ipv6": (ether(b"\x60" + b"\0" * 39, 0x86DD), Reason.IPV6),
    "lldp": (ether(b"\2\7", 0x88CC), Reason.ETHERTYPE),
    "length field": (ether(b"\x42\x42\3" + b"\0" * 43, 0x0026), Reason.ETHERTYPE),
    "not its MAC": (ether(ipv4(UDP), src=OTHER), Reason.SPOOFED_MAC),
    "not its address": (ether(ipv4(UDP, src=PEER)), Reason.SPOOFED_IP),
    "broadcast": (ether(ipv4(UDP), dst=ALL), Reason.IP_BROADCAST),
    "multicast": (ether(ipv4(UDP, dst="224.0.0.5"), dst="01:00:5e:00:00:05"), Reason.IP_MULTICAST),
    "arp request": (ether(arp(), 0x0806, dst=ALL), Reason.NONE),
    "arp probe": (ether(arp(ip="0.0.0.0"), 0x0806, dst=ALL), Reason.NONE),
    "arp reply": (ether(arp(2), 0x0806), Reason.NONE),
    "arp of another": (ether(arp(ip=PEER), 0x0806, dst=ALL), Reason.ARP_SPOOF),
    "arp cut off": (ether(arp()[:27], 0x0806, dst=ALL), Reason.RUNT),
    "arp of a token ring": (ether(arp(shape=b"\0\6\x08\0\6\4"), 0x0806, dst=ALL), Reason.MALFORMED),
    "rarp": (ether(arp(3), 0x8035, dst=ALL), Reason.NONE),
}


def reference(data: bytes) -> dict[str, object]:
    """What dpkt reads in a frame: addresses as bytes, ports 0 where there are none; nothing where a header is none."""
    found: dict[str, object] = {"dst_mac": data[0:6], "src_mac": data[6:12], "ethertype": 0}
    found |= {"src_ip": bytes(4), "dst_ip": bytes(4), "proto": 0, "src_port": 0, "dst_port": 0}
    found["ethertype"] = int.from_bytes(data[12:14], "big")
    body = data[14:]
    if found["ethertype"] == 0x0800 and len(body) >= 20:
        head = dpkt.ip.IP.__new__(dpkt.ip.IP)
        dpkt.Packet.unpack(head, body)  # the fixed header alone: lengths may lie
        found |= {"src_ip": head.src, "dst_ip": head.dst, "proto": head.p}
        start = head.hl * 4
        if head.v == 4 and head.hl >= 5 and not head.offset:
            found |= ports(head.p, body[start:])
    elif found["ethertype"] in (0x0806, 0x8035) and len(body) >= 28:
        words = dpkt.arp.ARP(body[:28])
        found |= {"src_ip": words.spa, "dst_ip": words.tpa}
    return found


SHORTEST_L4 = 8  # of a header that is cut shorter nothing counts: ICMP's length, and UDP's


def ports(proto: int, rest: bytes) -> dict[str, object]:
    kind = dpkt.tcp.TCP if proto == 6 else dpkt.udp.UDP
    if proto not in (6, 17, 132, 136) or len(rest) < SHORTEST_L4:
        return {}
    head = kind.__new__(kind)
    dpkt.Packet.unpack(head, rest[: kind.__hdr_len__].ljust(kind.__hdr_len__, b"\0"))
    return {"src_port": head.sport, "dst_port": head.dport}


def parsed(record: np.ndarray) -> dict[str, object]:
    texts = {name: record[name].tobytes() for name in ("dst_mac", "src_mac", "src_ip", "dst_ip")}
    return texts | {name: int(record[name]) for name in ("ethertype", "proto", "src_port", "dst_port")}


def check(objects: Objects, data: bytes) -> np.ndarray:
    verdict, after, record = run(objects, data)
    assert parsed(record) == reference(data), data.hex()
    assert after == data, "a program that counts changes nothing"
    assert int(record["bytes"]) == len(data)
    assert (verdict, int(record["verdict"])) == ((OK, ALLOW) if not record["reason"] else (SHOT, DROP))
    return record


@pytest.mark.parametrize("name", NAMED)
def test_named_frames_are_read_as_dpkt_reads_them(objects, name):
    data, reason = NAMED[name]
    assert Reason(int(check(objects, data)["reason"])) is reason


SHORTEST = {b"\x08\x00": 34, b"\x86\xdd": 54}


def mutated(source: random.Random) -> bytes:
    """A frame that the kernel test-runs."""
    while len(made := _mutated(source)) < SHORTEST.get(made[12:14], 14):
        continue
    return made


def _mutated(source: random.Random) -> bytes:
    """A named frame, then cut, changed or grown; or bytes of any kind."""
    if source.random() < 0.1:
        return source.randbytes(source.randint(14, 200))
    data = bytearray(source.choice([each for each, _ in NAMED.values()]))
    for _ in range(source.choice((0, 1, 1, 2, 8))):
        data[source.randrange(len(data))] = source.randrange(256)
    if source.random() < 0.3:
        data = data[: source.randint(14, len(data))]
    if source.random() < 0.1:
        data += source.randbytes(source.randint(1, 60))
    return bytes(data)


def some_thousand(objects: Objects, count: int, seed: int) -> None:
    """In batches, so that one drain serves many frames; each batch must be exactly the reference's multiset."""
    source = random.Random(seed)
    for _ in range(count // 50):
        frames = [mutated(source) for _ in range(50)]
        fates = [raw.test_run(objects.programs["port_in"], data) for data in frames]
        assert [after for _, after in fates] == frames
        drained = swap_and_drain(objects, 0.0)
        counted: dict[tuple[object, ...], int] = {}
        for record in drained.records:
            key = (int(record["reason"]) == 0, *sorted(parsed(record).items()))
            counted[key] = counted.get(key, 0) + int(record["packets"])
        expected: dict[tuple[object, ...], int] = {}
        for (verdict, _), data in zip(fates, frames, strict=True):
            key = (verdict == OK, *sorted(reference(data).items()))
            expected[key] = expected.get(key, 0) + 1
        assert counted == expected
        assert int(drained.totals["bytes"].sum()) == sum(map(len, frames))


def test_random_frames(objects):
    some_thousand(objects, 1000, seed=20261123)


@pytest.mark.long
def test_five_thousand_random_frames(objects):
    some_thousand(objects, 5000, seed=5)


def test_a_frames_fate_is_the_same_when_nothing_can_be_counted(objects, tmp_path: Path):
    root = tmp_path / "bpf"
    mount_bpffs(root)
    try:
        with ensure(layout.SOURCE, root, layout.defines(flow_entries=1), layout.LAYOUT) as full:
            row = objects.get("ports", LO)
            full.put("ports", (LO,), tuple(row[name] for name in layout.PORT.names or ()))
            raw.test_run(full.programs["port_in"], ether(ipv4(UDP)))  # the one flow there is room for
            for data, reason in NAMED.values():
                verdict, after = raw.test_run(full.programs["port_in"], data)
                assert (verdict, after) == (SHOT if reason else OK, data)
            drained = swap_and_drain(full, 0.0)
            recorded, failed = (int(part["packets"].sum()) for part in (drained.records, drained.overflow))
            assert recorded + failed == int(drained.totals["packets"].sum()) == len(NAMED) + 1
            assert failed > 20
    finally:
        unmount_bpffs(root)


def test_a_link_past_the_end_of_the_totals_is_counted_as_any(tmp_path: Path):
    root = tmp_path / "bpf"
    mount_bpffs(root)
    try:
        with ensure(layout.SOURCE, root, layout.defines() | {"NEAR_LINKS": LO}, layout.LAYOUT) as small:
            for _ in range(3):
                raw.test_run(small.programs["port_in"], ether(ipv4(UDP)))
            drained = swap_and_drain(small, 0.0)
            (total,) = drained.totals
            assert (int(total["ifindex"]), int(total["direction"]), int(total["packets"])) == (LO, 1, 3)
            assert int(total["bytes"]) == int(drained.records["bytes"].sum())
            assert not len(swap_and_drain(small, 0.0).totals) and not len(swap_and_drain(small, 0.0).totals)
    finally:
        unmount_bpffs(root)
