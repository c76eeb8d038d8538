"""Frames by value of some columns over a window that moves on: each batch is counted once, when it comes.

Counting a minute of 100,000 flows anew took 200 ms, every second; now that is the price of one changed filter, and of a
name that changed, and else only what is new or has left the window is looked at. What a batch counted is kept as
numbers: a counter of texts for each of a minute's batches took 70 MB where every flow has a port of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from heapq import nsmallest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule.flows.filter import Filter
from bascule.flows.names import Names
from bascule.flows.scene import Scene
from bascule.flows.slots import grown

AT_ONCE = 4096  # records whose columns are in memory at a time: a first batch may hold a hundred thousand ends


class Counts:
    """Frames by value of one column. Values are numbered in the order they were first seen in."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._frames = np.zeros(0, np.int64)

    def number(self, values: Sequence[Any]) -> NDArray[np.int32]:
        """The numbers of values, which are text or become it."""
        known = self._numbers
        return np.array([known.setdefault(str(value), len(known)) for value in values], np.int32)

    def add(self, numbers: NDArray[np.int32], frames: NDArray[np.int64]) -> None:
        """Count frames, or with negative ones take them back; a number may come several times."""
        self._frames = grown(self._frames, len(self._numbers))
        np.add.at(self._frames, numbers, frames)

    def every(self) -> dict[str, int]:
        """The frames of each value that has any."""
        return {value: int(frames) for value, frames in zip(self._numbers, self._frames, strict=False) if frames}

    def commonest(self, most: int) -> list[tuple[str, int]]:
        """The values with most frames, those first; "" is no value."""
        there = np.flatnonzero(self._frames)
        if len(there) > most + 1:  # one more, for ""
            least = np.partition(self._frames[there], -most - 1)[-most - 1]
            there = there[self._frames[there] >= least]
        values = [*self._numbers]
        found = ((-int(self._frames[n]), values[n]) for n in there.tolist() if values[n])
        return [(value, -frames) for frames, value in nsmallest(most, found)]


Part = tuple[NDArray[np.int32], NDArray[np.int64]]
"""Numbers of values, and their frames."""


class Facets:
    """Counts of one window by the columns `fields` (bascule.flows.scene.COLUMNS). Not thread-safe."""

    def __init__(self, fields: Sequence[str]) -> None:
        self._fields = tuple(fields)
        self._counted: dict[int, tuple[NDArray[Any], list[Part]]] = {}
        self._names: Names | None = None
        self._wanted = ""
        self.counts = {field: Counts() for field in fields}

    def over(self, batches: Iterable[tuple[str, NDArray[Any]]], names: Names, wanted: Filter) -> dict[str, Counts]:
        """By field, the frames in these batches, each (node, RECORD-typed records), that a filter keeps. A batch is
        known by its array, so the same batch has to come as the same array."""
        if names is not self._names or wanted.text != self._wanted:
            self._names, self._wanted = names, wanted.text
            self._counted, self.counts = {}, {field: Counts() for field in self._fields}
        present = {id(records): (node, records) for node, records in batches}
        for gone in self._counted.keys() - present.keys():
            for field, (numbers, frames) in zip(self._fields, self._counted.pop(gone)[1], strict=True):
                self.counts[field].add(numbers, -frames)
        for identity in present.keys() - self._counted.keys():
            node, records = present[identity]
            parts = self._count(node, records, names, wanted)
            self._counted[identity] = records, parts  # the array is held, so that its id is not given to another
            for field, (numbers, frames) in zip(self._fields, parts, strict=True):
                self.counts[field].add(numbers, frames)
        return self.counts

    def every(self) -> Counter[tuple[str, str]]:
        """Frames by (field, value), as `over` counted last."""
        return Counter({(f, value): n for f, counts in self.counts.items() for value, n in counts.every().items()})

    def _count(self, node: str, records: NDArray[Any], names: Names, wanted: Filter) -> list[Part]:
        """What one batch adds, field by field."""
        found: list[list[Part]] = [[] for _ in self._fields]
        for start in range(0, len(records), AT_ONCE):
            scene = Scene(records[start : start + AT_ONCE], node, names)
            packets = scene.records["packets"]
            if not wanted.everything:
                packets = packets * wanted.mask(scene)
            for field, parts in zip(self._fields, found, strict=True):
                column = scene.column(field)
                # bincount's weights are floats: exact up to 2**53 frames, which a minute does not bring
                frames = np.bincount(column.codes, weights=packets, minlength=len(column.values)).astype(np.int64)
                there = np.flatnonzero(frames)
                parts.append((self.counts[field].number([column.values[n] for n in there.tolist()]), frames[there]))
        return [_joined(parts) for parts in found]


def _joined(parts: list[Part]) -> Part:
    if len(parts) == 1:
        return parts[0]
    every = np.concatenate([np.zeros(0, np.int32), *(numbers for numbers, _ in parts)])
    numbers, where = np.unique(every, return_inverse=True)
    frames = np.zeros(len(numbers), np.int64)
    np.add.at(frames, where, np.concatenate([np.zeros(0, np.int64), *(frames for _, frames in parts)]))
    return numbers, frames
