"""A parsed filter as a tree that makes numpy masks.

Every node gives two masks: where it surely holds and where it may. They differ only in a partial scene (an agent knows
neither the names of other nodes' VMs nor a flow's sums over all its records): what the agent leaves out is what surely
does not hold, and whoever knows the rest decides it. In a whole scene both are one array.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bascule.flows.scene import Point, Scene

SUMMED = frozenset({"packets", "bytes", "rtt", "retransmits", "reordered"})
"""What adds up over a flow's records: whoever has only some of them cannot decide."""
Mask = NDArray[np.bool_]
Bounds = tuple[Mask, Mask]


class Node(Protocol):
    """A part of a filter."""

    def bounds(self, scene: Scene) -> Bounds:
        """(where it surely holds, where it may)."""


@dataclass(frozen=True)
class Everything:
    """The empty filter."""

    def bounds(self, scene: Scene) -> Bounds:
        """All of it."""
        return _same(np.ones(len(scene), np.bool_))


@dataclass(frozen=True)
class And:
    """All parts."""

    parts: tuple[Node, ...]

    def bounds(self, scene: Scene) -> Bounds:
        """Both masks by and."""
        return _join(np.logical_and, [part.bounds(scene) for part in self.parts])


@dataclass(frozen=True)
class Or:
    """Any part."""

    parts: tuple[Node, ...]

    def bounds(self, scene: Scene) -> Bounds:
        """Both masks by or."""
        return _join(np.logical_or, [part.bounds(scene) for part in self.parts])


@dataclass(frozen=True)
class Not:
    """The opposite; what may hold does not surely fail."""

    part: Node

    def bounds(self, scene: Scene) -> Bounds:
        """The masks inverted and exchanged."""
        surely, maybe = self.part.bounds(scene)
        return _same(~surely) if surely is maybe else (~maybe, ~surely)


@dataclass(frozen=True)
class Text:
    """A text column whose value passes `test`."""

    column: str
    test: Callable[[str], bool]

    def bounds(self, scene: Scene) -> Bounds:
        """One test per distinct value."""
        if scene.partial and self.column == "rule":  # a node counts by numbers, a console knows their names
            return np.zeros(len(scene), np.bool_), np.ones(len(scene), np.bool_)
        codes, values = scene.column(self.column)
        return _same(_spread(codes, [self.test(value) for value in values]))


@dataclass(frozen=True)
class Number:
    """A number column within any of the ranges, ends included."""

    column: str
    ranges: tuple[tuple[int, int], ...]

    def bounds(self, scene: Scene) -> Bounds:
        """Compared as whole arrays. A round-trip time of 0 is not known, so nothing is true of it."""
        numbers = scene.numbers(self.column)
        hits = [(numbers >= np.uint64(low)) & (numbers <= np.uint64(max(high, 0))) for low, high in self._sound()]
        if scene.partial and self.column in SUMMED:
            return np.zeros(len(scene), np.bool_), np.ones(len(scene), np.bool_)
        found: Mask = reduce(np.logical_or, hits, np.zeros(len(scene), np.bool_))
        return _same(found & (numbers > 0) if self.column == "rtt" else found)

    def _sound(self) -> list[tuple[int, int]]:
        return [(low, high) for low, high in self.ranges if high >= low]


@dataclass(frozen=True)
class End:
    """The point at `side` passes `test`; `by_name`: a name decides, so a peer that is not known here may hold."""

    side: str
    test: Callable[[Point], bool]
    by_name: bool

    def bounds(self, scene: Scene) -> Bounds:
        """One test per distinct end."""
        codes, points = scene.points(self.side)
        surely = _spread(codes, [self.test(point) for point in points])
        if not (scene.partial and self.by_name):
            return _same(surely)
        strange = _spread(codes, [point.who.kind != "vm" for point in points])
        return surely & ~strange, surely | strange


@dataclass(frozen=True)
class PortLabel:
    """The labels of the port's VM pass `test`."""

    test: Callable[[dict[str, str]], bool]

    def bounds(self, scene: Scene) -> Bounds:
        """One test per port."""
        codes, ports = scene.ports
        return _same(_spread(codes, [self.test(dict(port.labels)) for port in ports]))


def _spread(codes: NDArray[np.intp], hits: list[bool]) -> Mask:
    return np.array(hits, np.bool_)[codes] if hits else np.zeros(0, np.bool_)


def _same(mask: Mask) -> Bounds:
    return mask, mask


def _join(join: Any, found: list[Bounds]) -> Bounds:
    surely: Mask = reduce(join, [each[0] for each in found])
    if all(each[0] is each[1] for each in found):
        return _same(surely)
    return surely, reduce(join, [each[1] for each in found])
