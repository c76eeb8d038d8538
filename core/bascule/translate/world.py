"""What both sides of a proof have in common: numbered sets of addresses and of services, and the list of judged places.

Rules are turned into rows of numbers once, and a place of judgement then is a selection of rows: tens of thousands of
lists are made and compared without looking at an address again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule.policy import intervals
from bascule.policy.intervals import Ranges
from bascule.translate.model import ANY_PORT as ANY
from bascule.translate.model import ICMP, ICMP_ANY, IN, OUT, RuleBase, Service

PERMIT, REFUSE = 1, 2
ROWS = np.dtype([("decision", "i4"), ("next", "i4"), ("remote", "i4"), ("service", "i4"), ("name", "i4")])
"""One row of a first-match list: `decision` PERMIT, REFUSE, or 0 to go on at row `next`; numbers of the world's sets of
remote addresses and of services; `name` is a number of the side that made it."""
Rows = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Box:
    """Packets by protocol (None is any; `negated` is any but it) and ports, or ICMP type and code, ends included."""

    protocol: int | None
    source: intervals.Range
    destination: intervals.Range
    negated: bool = False

    @classmethod
    def of(cls, service: Service) -> Box:
        return cls(service.protocol, service.source, service.destination).normal()

    def normal(self) -> Box:
        """All ICMP types (or codes) are written as all ports are."""
        if self.protocol != ICMP:
            return self
        source, destination = (ANY if each == ICMP_ANY else each for each in (self.source, self.destination))
        return Box(ICMP, source, destination, self.negated)


@dataclass(frozen=True, slots=True)
class Point:
    """Where packets are judged: one address of one NIC (an index into the base's), in one direction."""

    nic: int
    address: int
    direction: str


class World:
    """The places of one rule base and the sets that any row of either side names."""

    def __init__(self, base: RuleBase) -> None:
        self.points = [
            Point(at, address, direction)
            for at, nic in enumerate(base.nics)
            for address in nic.addresses
            for direction in (IN, OUT)
        ]
        self.addresses = np.array([point.address for point in self.points], np.int64)
        self.remotes: dict[Ranges, int] = {}
        self.services: dict[tuple[Box, ...], int] = {}

    def remote(self, ranges: Ranges) -> int:
        """The number of a set of addresses."""
        return self.remotes.setdefault(ranges, len(self.remotes))

    def service(self, boxes: tuple[Box, ...]) -> int:
        """The number of a set of services."""
        return self.services.setdefault(boxes, len(self.services))

    def at(self, ranges: Ranges) -> NDArray[np.bool_]:
        """Which points' own addresses are in a set."""
        if not ranges:
            return np.zeros(len(self.points), bool)
        edges = np.array(ranges, np.int64)
        place = np.searchsorted(edges[:, 0], self.addresses, side="right") - 1
        return np.asarray((place >= 0) & (self.addresses <= edges[np.maximum(place, 0), 1]), bool)


def kept(rows: Rows, chosen: NDArray[np.bool_]) -> Rows:
    """The chosen rows of a list; those that go on at a row which is left out go on at the first one behind it."""
    found = rows[chosen].copy()
    before = np.concatenate([[0], np.cumsum(chosen)])
    found["next"] = before[np.minimum(found["next"], len(rows))]
    return found
