"""Records as columns that filters, facets and top talkers read: each distinct value once, with a code per record.

Text is never made per record. A port's names are looked up once per port, an end's once per distinct end, so sixteen
thousand records of a thousand ends cost a thousand look-ups; what a filter decides about a value it decides once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bascule.flows.names import Names, PortId, Who
from bascule.flows.record import EGRESS
from bascule.flows.rows import DIRECTIONS, ETH_ARP, ETH_IPV4, VERDICTS, ip_text, mac_text, proto_text, reason_text

_END = np.dtype(
    [("ifindex", "<u4"), ("vlan", "<u2"), ("has_ip", "<u2"), ("mac", "u1", (6,)), ("ip", "u1", (4,))], align=False
)


class Column(NamedTuple):
    """`values[codes[n]]` is the value of record n."""

    codes: NDArray[np.intp]
    values: list[Any]


class Point(NamedTuple):
    """One distinct end of a frame. `own`: it is the side of the port's own guest."""

    who: Who
    ip: str
    mac: str


@dataclass
class Scene:
    """RECORD-typed `records` seen on `node`. `partial`: other nodes' ports are not known here, so a peer that has no
    name might have one elsewhere."""

    records: NDArray[Any]
    node: str
    names: Names
    partial: bool = False
    _columns: dict[str, Column] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.records)

    def column(self, name: str) -> Column:
        """A text column by the filter language's field name. Raises KeyError for one that is none."""
        found = self._columns.get(name)
        if found is None:
            found = self._columns[name] = _MAKERS[name](self)
        return found

    def numbers(self, name: str) -> NDArray[np.uint64]:
        """A number column by the filter language's field name. Raises KeyError."""
        if name == "vlan":
            codes, values = self.ports
            own = np.array([port.vlan for port in values], np.uint64)[codes] if values else np.zeros(0, np.uint64)
            return np.where(own > 0, own, self.records["vlan"])
        return self.records[NUMBERS[name]].astype(np.uint64)

    @cached_property
    def ports(self) -> Column:
        """The PortId of each record."""
        found, codes = np.unique(self.records["ifindex"], return_inverse=True)
        return Column(codes, [self.names.port(self.node, int(ifindex)) for ifindex in found])

    def points(self, side: str) -> Column:
        """The Point at `side`, src or dst."""
        name = f"{side}()"
        if name not in self._columns:
            self._columns[name] = self._points(side)
        return self._columns[name]

    def own(self, side: str) -> NDArray[np.bool_]:
        """Where `side` is the port's own guest."""
        outgoing: NDArray[np.bool_] = self.records["direction"] == EGRESS
        return outgoing if side == "src" else ~outgoing

    def _points(self, side: str) -> Column:
        records = self.records
        ends = np.zeros(len(records), _END)
        ends["ifindex"], ends["vlan"] = records["ifindex"], records["vlan"]
        ends["has_ip"] = (records["ethertype"] == ETH_IPV4) | (records["ethertype"] == ETH_ARP)
        ends["mac"], ends["ip"] = records[f"{side}_mac"], records[f"{side}_ip"]
        ends["ip"][ends["has_ip"] == 0] = 0
        packed = ends.tobytes()
        seen: dict[bytes, int] = {}  # a dictionary is exact and faster than np.unique on raw bytes
        codes = np.empty(len(records), np.intp)
        for n, at in enumerate(range(0, len(packed), _END.itemsize)):
            codes[n] = seen.setdefault(packed[at : at + _END.itemsize], len(seen))
        return Column(codes, [self._point(np.frombuffer(raw, _END)[0]) for raw in seen])

    def _point(self, end: Any) -> Point:
        port: PortId = self.names.port(self.node, int(end["ifindex"]))
        mac = mac_text(end["mac"].tobytes())
        ip = ip_text(end["ip"].tobytes()) if end["has_ip"] else ""
        asked = "" if ip == "0.0.0.0" else ip
        return Point(self.names.who(port.network, port.vlan or int(end["vlan"]), asked, mac), ip, mac)


def _fresh(codes: NDArray[np.intp], values: list[Any]) -> Column:
    """Equal values under one code."""
    known: dict[Any, int] = {}
    turned = np.array([known.setdefault(value, len(known)) for value in values], np.intp)
    return Column(turned[codes] if len(turned) else codes, list(known))


def _port(name: str) -> Callable[[Scene], Column]:
    def make(scene: Scene) -> Column:
        codes, ports = scene.ports
        return _fresh(codes, [getattr(port, name) for port in ports])

    return make


def _end(side: str, text: Callable[[Point], str]) -> Callable[[Scene], Column]:
    def make(scene: Scene) -> Column:
        codes, points = scene.points(side)
        return _fresh(codes, [text(point) for point in points])

    return make


def _number(name: str, text: Callable[[int], str]) -> Callable[[Scene], Column]:
    def make(scene: Scene) -> Column:
        found, codes = np.unique(scene.records[name], return_inverse=True)
        return _fresh(codes, [text(int(each)) for each in found])

    return make


def _proto(scene: Scene) -> Column:
    pair = scene.records["ethertype"].astype(np.int64) << 8 | scene.records["proto"]
    found, codes = np.unique(pair, return_inverse=True)
    return _fresh(codes, [proto_text(int(each) >> 8, int(each) & 255) for each in found])


def _vlan(scene: Scene) -> Column:
    found, codes = np.unique(scene.numbers("vlan"), return_inverse=True)
    return Column(codes, [str(int(each)) for each in found])


def _rule(scene: Scene) -> Column:
    found, codes = np.unique(scene.records["rule"], return_inverse=True)
    return _fresh(codes, [scene.names.rule(scene.node, int(each)) for each in found])


_MAKERS: dict[str, Callable[[Scene], Column]] = {
    **{name: _port(name) for name in ("node", "vm", "nic", "network")},
    "ns": _port("namespace"),
    "vlan": _vlan,
    "dir": _number("direction", lambda n: DIRECTIONS.get(n, "unknown")),
    "verdict": _number("verdict", lambda n: VERDICTS.get(n, "unknown")),
    "reason": _number("reason", reason_text),
    "rule": _rule,
    "proto": _proto,
    **{f"{side}.port": _number(f"{side}_port", lambda n: str(n) if n else "") for side in ("src", "dst")},
    **{side: _end(side, lambda p: p.who.name) for side in ("src", "dst")},
    **{f"{side}.ip": _end(side, lambda p: p.ip) for side in ("src", "dst")},
    **{f"{side}.mac": _end(side, lambda p: p.mac) for side in ("src", "dst")},
    **{f"{side}.ns": _end(side, lambda p: p.who.namespace) for side in ("src", "dst")},
    **{f"{side}.kind": _end(side, lambda p: p.who.kind) for side in ("src", "dst")},
}
NUMBERS = {
    "src.port": "src_port",
    "dst.port": "dst_port",
    "packets": "packets",
    "bytes": "bytes",
    "rtt": "rtt_us",
    "retransmits": "retransmits",
    "reordered": "reordered",
}
COLUMNS = tuple(_MAKERS)
"""Every column that records can be grouped by."""
