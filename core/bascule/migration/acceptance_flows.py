"""Recorded flows as what acceptance compares: per VM, with whom it talked, on which port, who began, when, how it went.

Only what was recorded is told. Who began is known by a TCP SYN alone; without one the port is that on which either end
was seen to be called, else the lower of both. Frames that policy or a port check refused, and TCP resets, are no talk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any, NamedTuple

from bascule.flows.frames import UNKNOWN_DIRECTION
from bascule.migration.talk import Talk

if TYPE_CHECKING:
    from numpy.typing import NDArray

TCP, UDP = 6, 17
VM, PEER, BOTH, UNKNOWN = "vm", "peer", "both", ""
_FIN, _SYN, _RST, _ACK = 0x01, 0x02, 0x04, 0x10
_IPV4, _DENY = 0x0800, 2
_EDGE_NS = 10**9


@dataclass(frozen=True, slots=True)
class Identity:
    """A VM as flows know it: its addresses. `key` is the estate's, `target` its name in the cluster."""

    key: str
    name: str
    target: str = ""
    wave: int = 0
    ips: tuple[str, ...] = ()
    macs: tuple[str, ...] = ()


class Heard(NamedTuple):
    """Frames of one five-tuple, one way. A tuple, because a day of a wave has half a million of them.

    `refused` of the `packets` did not pass; `flags` are TCP's, all of them.
    `first_ns` and `last_ns` are CLOCK_REALTIME, 0 where the source does not tell; `src_port` 0 likewise. The flags are
    those of these very frames when `exact` (a capture), else of the whole connection (agents).
    """

    src: str
    dst: str
    proto: int
    src_port: int
    dst_port: int
    packets: int = 1
    bytes: int = 0
    refused: int = 0
    first_ns: int = 0
    last_ns: int = 0
    flags: int = 0
    exact: bool = False

    @property
    def is_reset(self) -> bool:
        """Is it nothing but "no" of a TCP stack?"""
        return self.proto == TCP and bool(self.flags & _RST) and not self.flags & ~(_RST | _ACK)


@dataclass(frozen=True)
class Recorded:
    """One window of flows. Times are CLOCK_REALTIME ns, 0 when the source does not tell.

    `lost` frames are missing from it, `silent` nodes told nothing; `notes` is what else its reader should know.
    """

    source: str
    heard: tuple[Heard, ...] = ()
    since_ns: int = 0
    until_ns: int = 0
    lost: int = 0
    silent: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Its length, 0.0 when not known."""
        return max(0, self.until_ns - self.since_ns) / 1e9 if self.since_ns and self.until_ns else 0.0


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """What two windows are compared by: `at` is the side whose port it is (VM, PEER, UNKNOWN when both have it)."""

    peer: str
    proto: int
    port: int
    at: str


@dataclass(slots=True)
class Conversation:
    """Everything heard on one line. `out` and `back` are passed frames from and to the VM; `spans` are when."""

    began: str = UNKNOWN
    out: int = 0
    back: int = 0
    bytes: int = 0
    refused: int = 0
    resets: int = 0
    last_out_ns: int = 0
    last_back_ns: int = 0
    spans: list[tuple[int, int]] = field(default_factory=list)

    @property
    def talked(self) -> bool:
        """Did anything pass?"""
        return self.out > 0 or self.back > 0

    @property
    def both_ways(self) -> bool:
        """Did each side say something?"""
        return self.out > 0 and self.back > 0

    def last_ns(self, both: bool) -> int:
        """When it last passed, with `both` in the direction that has been quiet for longer; 0 when not known."""
        last = (self.last_out_ns, self.last_back_ns)
        return min(last) if both else max(last)

    def longest_silence_s(self, since_ns: int, until_ns: int) -> float:
        """The longest time without a frame in a window, its edges too; 0.0 where times were not recorded."""
        if not self.spans or not since_ns or not until_ns:
            return 0.0
        reached, longest = since_ns, 0
        for first, last in sorted(self.spans):
            longest = max(longest, first - reached)
            reached = max(reached, last)
        return max(longest, until_ns - reached) / 1e9

    def joined(self, other: Conversation) -> Conversation:
        """Both as one."""
        return Conversation(
            self.began if other.began in (UNKNOWN, self.began) else BOTH if self.began else other.began,
            self.out + other.out,
            self.back + other.back,
            self.bytes + other.bytes,
            self.refused + other.refused,
            self.resets + other.resets,
            max(self.last_out_ns, other.last_out_ns),
            max(self.last_back_ns, other.last_back_ns),
            [*self.spans, *other.spans],
        )


def of_records(parts: Iterable[tuple[str, NDArray[Any]]], addresses: Iterable[str]) -> tuple[Heard, ...]:
    """From (node, RECORDs): IPv4 frames from or to any of `addresses`, in a fixed order whatever that of the parts.

    A frame that two ports saw is counted at the port that saw most of its flow.
    """
    import numpy as np

    wanted = np.array([int(IPv4Address(each)) for each in addresses], np.uint32)
    joined: dict[tuple[int, int, int, int, int], dict[tuple[str, int, int], list[int]]] = {}
    for node, records in parts:
        kept = records[records["ethertype"] == _IPV4]
        ends = _ends(kept)
        mine = np.isin(ends[0], wanted) | np.isin(ends[1], wanted)
        kept, ends = kept[mine], [each[mine] for each in ends]
        keys = zip(*(each.tolist() for each in (*ends, *(kept[name] for name in _KEY))), strict=True)
        rows = zip(*(kept[name].tolist() for name in _ROW), strict=True)
        for key, (ifindex, direction, *row) in zip(keys, rows, strict=True):
            _add(joined.setdefault(key, {}), (node, ifindex, direction), row)
    return tuple(sorted(_heard(key, ports) for key, ports in joined.items()))


_KEY = ("proto", "src_port", "dst_port")
_ROW = ("ifindex", "direction", "packets", "bytes", "verdict", "first", "last", "flags")


def _ends(records: NDArray[Any]) -> list[NDArray[Any]]:
    """Source and destination addresses as numbers."""
    import numpy as np

    raw = (np.ascontiguousarray(records[name]) for name in ("src_ip", "dst_ip"))
    return [each.view(">u4").reshape(-1).astype(np.uint32) for each in raw]


def _add(ports: dict[tuple[str, int, int], list[int]], port: tuple[str, int, int], row: list[int]) -> None:
    packets, octets, verdict, first, last, flags = row
    refused = packets if verdict >= _DENY else 0
    sums = ports.get(port)
    if sums is None:
        ports[port] = [packets, octets, refused, first, last, flags]
        return
    sums[0] += packets
    sums[1] += octets
    sums[2] += refused
    sums[3], sums[4], sums[5] = min(sums[3], first), max(sums[4], last), sums[5] | flags


def _heard(key: tuple[int, int, int, int, int], ports: Mapping[tuple[str, int, int], list[int]]) -> Heard:
    packets, octets, refused = max(tuple(each[:3]) for each in ports.values())
    first, last, flags = min(each[3] for each in ports.values()), max(each[4] for each in ports.values()), 0
    for each in ports.values():
        flags |= each[5]
    exact = all(direction == UNKNOWN_DIRECTION for _, _, direction in ports)
    return Heard(_ip(key[0]), _ip(key[1]), *key[2:], packets, octets, refused, first, last, flags, exact)


@lru_cache(maxsize=65536)
def _ip(number: int) -> str:
    return str(IPv4Address(number))


def of_talks(talks: Iterable[Talk], addresses: Iterable[str]) -> tuple[Heard, ...]:
    """From a list without times (bascule.migration.talk.of_csv), whose port is the one that was called."""
    wanted = set(addresses)
    kept = [each for each in talks if each.src in wanted or each.dst in wanted]
    return tuple(
        sorted(Heard(each.src, each.dst, each.proto, 0, each.port, max(each.packets, 1), each.bytes) for each in kept)
    )


def narrowed(window: Recorded, vms: Iterable[Identity]) -> dict[str, Recorded]:
    """The window of each VM, by key: what was heard from or to it."""
    listed = list(vms)
    owners: dict[str, list[str]] = {}
    for vm in listed:
        for ip in vm.ips:
            owners.setdefault(ip, []).append(vm.key)
    found: dict[str, list[Heard]] = {vm.key: [] for vm in listed}
    nobody: list[str] = []
    for each in window.heard:
        source, target = owners.get(each.src, nobody), owners.get(each.dst, nobody)
        for key in source:
            found[key].append(each)
        for key in target:
            if key not in source:
                found[key].append(each)
    return {key: replace(window, heard=tuple(heard)) for key, heard in found.items()}


def called_ports(windows: Iterable[Recorded]) -> frozenset[tuple[str, int, int]]:
    """(address, protocol, port) that somebody opened a TCP connection to, or that a list names as called."""
    found = set()
    for window in windows:
        opened = {_five(each): each for each in window.heard if each.proto == TCP and each.flags & _SYN}
        for five, each in opened.items():
            other = opened.get(_turned(five))
            if _opens(each, other, window.since_ns):
                found.add((each.dst, each.proto, each.dst_port))
        found |= {(each.dst, each.proto, each.dst_port) for each in window.heard if not each.src_port and each.dst_port}
    return frozenset(found)


def conversations(
    window: Recorded, vm: Identity, called: frozenset[tuple[str, int, int]]
) -> Mapping[Line, Conversation]:
    """What a window has of a VM, by line. `called` is `called_ports` of every window that is compared."""
    own, found = set(vm.ips), dict[Line, Conversation]()
    opened = {_five(each): each for each in window.heard if each.proto == TCP and each.flags & _SYN}
    for each in window.heard:
        if (each.src in own) == (each.dst in own):
            continue
        from_vm = each.src in own
        line = _line(each, from_vm, called)
        talk = found.setdefault(line, Conversation())
        _hear(talk, each, from_vm)
        if _five(each) in opened and _opens(each, opened.get(_turned(_five(each))), window.since_ns):
            began = VM if from_vm else PEER
            talk.began = began if talk.began in (UNKNOWN, began) else BOTH
    return found


def _line(each: Heard, from_vm: bool, called: frozenset[tuple[str, int, int]]) -> Line:
    peer = each.dst if from_vm else each.src
    source_called = (each.src, each.proto, each.src_port) in called
    target_called = (each.dst, each.proto, each.dst_port) in called
    if each.dst_port and not each.src_port:  # a list names the port that was called only
        source_called, target_called = False, True
    if source_called == target_called:
        source_called, target_called = each.src_port < each.dst_port, each.dst_port < each.src_port
    if source_called == target_called:
        return Line(peer, each.proto, each.dst_port, UNKNOWN)
    port = each.src_port if source_called else each.dst_port
    return Line(peer, each.proto, port, VM if source_called == from_vm else PEER)


def _hear(talk: Conversation, each: Heard, from_vm: bool) -> None:
    passed = each.packets - each.refused
    talk.refused += each.refused
    if each.is_reset:
        talk.resets += passed
        return
    if not passed:
        return
    talk.bytes += each.bytes
    if from_vm:
        talk.out += passed
        talk.last_out_ns = max(talk.last_out_ns, each.last_ns)
    else:
        talk.back += passed
        talk.last_back_ns = max(talk.last_back_ns, each.last_ns)
    if each.first_ns:
        talk.spans.append((each.first_ns, each.last_ns))


def _opens(each: Heard, other: Heard | None, since_ns: int) -> bool:
    """Was its SYN the first? Agents tell the flags of a whole connection, so one that was there when the window began
    is not one that began in it; and a SYN-ACK is a SYN too, but later."""
    if not each.first_ns or (not each.exact and each.first_ns < since_ns + _EDGE_NS):
        return False
    return other is None or each.first_ns < other.first_ns


def _five(each: Heard) -> tuple[str, str, int, int, int]:
    return each.src, each.dst, each.proto, each.src_port, each.dst_port


def _turned(five: tuple[str, str, int, int, int]) -> tuple[str, str, int, int, int]:
    src, dst, proto, src_port, dst_port = five
    return dst, src, proto, dst_port, src_port
