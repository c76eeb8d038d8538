"""Flow records as the rows people and scripts read: the keys of DESIGN section 6, in that order.

Numbers leave numpy column by column and addresses are turned into text once each, so a batch costs a few microseconds
a row; nothing is parsed. Text that came from outside (VM names) is passed on as it is: whoever prints it escapes it.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from bascule.flows.names import Names, PortId
from bascule.flows.reasons import Reason
from bascule.flows.record import RECORD

_LAST_NS = 2**63 - 1
ETH_IPV4, ETH_ARP = 0x0800, 0x0806
VERDICTS = {1: "allow", 2: "deny", 3: "drop"}
DIRECTIONS = {0: "ingress", 1: "egress"}
_ETHER = {ETH_ARP: "arp", 0x8035: "rarp", 0x86DD: "ipv6", 0x88CC: "lldp"}
_FLAGS = ((0x02, "S"), (0x01, "F"), (0x04, "R"), (0x08, "P"), (0x10, "A"), (0x20, "U"), (0x40, "E"), (0x80, "W"))
_IP = {1: "icmp", 2: "igmp", 6: "tcp", 17: "udp", 47: "gre", 50: "esp", 132: "sctp"}


class End(TypedDict):
    """One end of a flow; `ip` is "" for frames without one, `port` 0 where the protocol has none.

    `kind` is one of bascule.flows.names.KINDS, `why` says why `name` is the raw address, "" when it is a name.
    """

    mac: str
    ip: str
    port: int
    name: str
    namespace: str
    kind: str
    why: str


class Row(TypedDict):
    """One flow of one port, one direction. `time` is when its last frame was seen, ISO 8601 UTC.

    `rtt_us`, `retransmits`, `reordered` and `flags` are estimates (bascule.flows.record); 0 and "" when not known.
    """

    time: str
    node: str
    vm: str
    namespace: str
    nic: str
    network: str
    vlan: int
    direction: str
    src: End
    dst: End
    proto: str
    packets: int
    bytes: int
    verdict: str
    reason: str
    rule: str
    rtt_us: int
    retransmits: int
    reordered: int
    flags: str


@lru_cache(maxsize=8192)
def ip_text(raw: bytes) -> str:
    """Four bytes as a dotted address."""
    return ".".join(map(str, raw))


@lru_cache(maxsize=8192)
def mac_text(raw: bytes) -> str:
    """Six bytes as a lower-case colon address."""
    return raw.hex(":")


def proto_text(ethertype: int, proto: int) -> str:
    """The protocol's name; the EtherType (0x…) or IP protocol number where there is none."""
    if ethertype == ETH_IPV4:
        return _IP.get(proto, str(proto))
    return _ETHER.get(ethertype, f"0x{ethertype:04x}")


@lru_cache(maxsize=256)
def reason_text(reason: int) -> str:
    """The reason's name in words joined by '-', "" for none; a number this version does not know stays a number."""
    try:
        return Reason(reason).label if reason else ""
    except ValueError:
        return f"reason-{reason}"


@lru_cache(maxsize=256)
def flags_text(flags: int) -> str:
    """The TCP flags seen, in the letters and order of tcpdump: `SA` of SYN and ACK."""
    return "".join(letter for bit, letter in _FLAGS if flags & bit)


def time_text(nanoseconds: int) -> str:
    """CLOCK_REALTIME nanoseconds as ISO 8601 UTC with milliseconds; what no clock can show is the last time it can."""
    return str(np.datetime64(min(nanoseconds, _LAST_NS), "ns").astype("datetime64[ms]")) + "Z"


def _addresses(records: NDArray[Any], name: str) -> list[bytes]:
    """A MAC or address field as Python bytes."""
    width = RECORD[name].itemsize
    packed = records[name].tobytes()
    return [packed[at : at + width] for at in range(0, len(packed), width)]


def rows(records: NDArray[Any], node: str, names: Names) -> list[Row]:
    """Rows of RECORD-typed `records` seen on `node`, in their order."""
    if not len(records):
        return []
    ports: dict[int, PortId] = {i: names.port(node, i) for i in {int(i) for i in np.unique(records["ifindex"])}}
    columns = [records[name].tolist() for name in _NUMBERS]
    addresses = [_addresses(records, name) for name in ("src_mac", "dst_mac", "src_ip", "dst_ip")]
    return [
        _row(ports[numbers[0]], names, numbers, raw)
        for numbers, raw in zip(zip(*columns, strict=True), zip(*addresses, strict=True), strict=True)
    ]


_HEAD, _PORTS, _TAIL = struct.Struct("<I4B"), struct.Struct(">HH"), struct.Struct("<I4Q4I")


def row(raw: bytes, node: str, names: Names) -> Row:
    """The row of one record's bytes seen on `node`: as `rows` gives it, without numpy's cost for a single one."""
    ifindex, direction, verdict, reason, proto = _HEAD.unpack_from(raw)
    ethertype, vlan = int.from_bytes(raw[20:22], "big"), int.from_bytes(raw[22:24], "little")
    rule, packets, size, _, last, *estimates = _TAIL.unpack_from(raw, 36)
    numbers = (ifindex, direction, verdict, reason, proto, ethertype, vlan, *_PORTS.unpack_from(raw, 32))
    addresses = (raw[8:14], raw[14:20], raw[24:28], raw[28:32])
    return _row(names.port(node, ifindex), names, (*numbers, rule, packets, size, last, *estimates), addresses)


_NUMBERS = (
    *("ifindex", "direction", "verdict", "reason", "proto", "ethertype", "vlan"),
    *("src_port", "dst_port", "rule", "packets", "bytes", "last", "rtt_us", "retransmits", "reordered", "flags"),
)


def _row(port: PortId, names: Names, numbers: tuple[int, ...], raw: tuple[bytes, ...]) -> Row:
    _, direction, verdict, reason, proto, ethertype, vlan, src_port, dst_port, rule, packets, size, last = numbers[:13]
    rtt_us, retransmits, reordered, flags = numbers[13:]
    vid = port.vlan or vlan
    has_ip = ethertype in (ETH_IPV4, ETH_ARP)
    return Row(
        time=time_text(last),
        node=port.node,
        vm=port.vm,
        namespace=port.namespace,
        nic=port.nic,
        network=port.network,
        vlan=vid,
        direction=DIRECTIONS.get(direction, "unknown"),
        src=_end(names, port.network, vid, raw[0], raw[2] if has_ip else b"", src_port),
        dst=_end(names, port.network, vid, raw[1], raw[3] if has_ip else b"", dst_port),
        proto=proto_text(ethertype, proto),
        packets=packets,
        bytes=size,
        verdict=VERDICTS.get(verdict, "unknown"),
        reason=reason_text(reason),
        rule=names.rule(port.node, rule),
        rtt_us=rtt_us,
        retransmits=retransmits,
        reordered=reordered,
        flags=flags_text(flags),
    )


def _end(names: Names, network: str, vlan: int, mac: bytes, ip: bytes, port: int) -> End:
    mac_, ip_ = mac_text(mac), ip_text(ip) if ip else ""
    # An ARP probe's 0.0.0.0 is nobody's address: the MAC tells who asks.
    who = names.who(network, vlan, "" if ip_ == "0.0.0.0" else ip_, mac_)
    return End(mac=mac_, ip=ip_, port=port, name=who.name, namespace=who.namespace, kind=who.kind, why=who.why)
