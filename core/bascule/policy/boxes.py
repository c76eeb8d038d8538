"""Sets of packets as boxes: peer addresses × protocols × source ports × destination ports, each side a set of its own.

What is left of a set of packets after a row has taken its share is again a few boxes, so "can anything still get here?"
is answered for all packets at once and exactly, not by trying some. A region is a tuple of disjoint boxes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bascule.policy import intervals
from bascule.policy.intervals import Ranges
from bascule.resources.policy_read import ICMP, WITH_PORTS

EVERY_PROTO = (1 << 256) - 1
ANY_PORT: Ranges = ((0, 65535),)


@dataclass(frozen=True, slots=True)
class Box:
    """`protos` has bit n for protocol n; for ICMP the ports are type and code, as in policy.layout."""

    peers: Ranges
    protos: int
    source_ports: Ranges
    destination_ports: Ranges

    @property
    def empty(self) -> bool:
        return not (self.peers and self.protos and self.source_ports and self.destination_ports)


Region = tuple[Box, ...]


def _mask(protos: Iterable[int]) -> int:
    return sum(1 << proto for proto in set(protos))


_ICMP, _PORTS = _mask(ICMP), _mask(WITH_PORTS)
_BYTE: Ranges = ((0, 255),)
_NO_PORT: Ranges = ((0, 0),)
EVERYTHING: Region = (
    Box(intervals.ALL, _PORTS, ANY_PORT, ANY_PORT),
    Box(intervals.ALL, _ICMP, _BYTE, _BYTE),
    Box(intervals.ALL, EVERY_PROTO & ~_ICMP & ~_PORTS, _NO_PORT, _NO_PORT),
)
"""Every IPv4 packet that can begin a connection; a protocol without ports has port 0."""


class TooBig(Exception):
    """The question needs more boxes than the budget allows."""


@dataclass(slots=True)
class Budget:
    """How many boxes may be looked at before the answer is given up."""

    left: int

    def spend(self, boxes: int) -> None:
        """Raises TooBig when it is used up."""
        self.left -= boxes
        if self.left < 0:
            raise TooBig


@dataclass(slots=True)
class Split:
    """What a box took of a region, and what it left."""

    hit: list[Box] = field(default_factory=list)
    rest: list[Box] = field(default_factory=list)


def both(one: Box, two: Box) -> Box:
    """What is in both."""
    return Box(
        intervals.intersection(one.peers, two.peers),
        one.protos & two.protos,
        intervals.intersection(one.source_ports, two.source_ports),
        intervals.intersection(one.destination_ports, two.destination_ports),
    )


def split(region: Iterable[Box], by: Box, budget: Budget) -> Split:
    """The region inside and outside of one box. Raises TooBig."""
    found = Split()
    for box in region:
        budget.spend(1)
        inside = both(box, by) if box.protos & by.protos else None
        if inside is None or inside.empty:
            found.rest.append(box)
        else:
            found.hit.append(inside)
            found.rest += _around(box, inside)
    return found


def without(region: Iterable[Box], taken: Iterable[Box], budget: Budget) -> list[Box]:
    """The region less all of these boxes. Raises TooBig."""
    left = list(region)
    for box in taken:
        left = split(left, box, budget).rest
    return left


def _around(box: Box, inside: Box) -> Iterable[Box]:
    """`box` less `inside`, which lies in it: one piece for each side that is wider."""
    peers, sources, destinations = inside.peers, inside.source_ports, inside.destination_ports
    pieces = (
        Box(_less(box.peers, peers), box.protos, box.source_ports, box.destination_ports),
        Box(peers, box.protos & ~inside.protos, box.source_ports, box.destination_ports),
        Box(peers, inside.protos, _less(box.source_ports, sources), box.destination_ports),
        Box(peers, inside.protos, sources, _less(box.destination_ports, destinations)),
    )
    return [piece for piece in pieces if not piece.empty]


def _less(one: Ranges, two: Ranges) -> Ranges:
    if one == two:
        return intervals.NONE
    return intervals.intersection(one, intervals.complement(two))
