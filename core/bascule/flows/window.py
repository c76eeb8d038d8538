"""The last minute of batches, and what talks most in it: rates over 2, 10 or 60 seconds by any column.

A store sums for ever, a rate needs what came lately. The window is bounded in records; what it had to leave out is
told, because a top list made of half the traffic looks like one made of all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule.flows.filter import Filter
from bascule.flows.names import Names
from bascule.flows.record import ALLOW, RECORD
from bascule.flows.scene import Scene
from bascule.flows.timeline import BUCKET_NS, BUCKETS

SECONDS = (2, 10, 60)
KEPT_S = 60
KEPT_RECORDS = 200_000
DRAIN_NS = 500_000_000  # a batch holds what came in the half second before its time


@dataclass(frozen=True)
class Talker:
    """One value of a column, or of several, and what was counted for it. `dropped` are frames that did not pass.

    `series`: bytes in each two seconds of the last minute, oldest first; empty where no time was asked for.
    """

    values: tuple[str, ...]
    packets: int
    bytes: int
    dropped: int
    flows: int
    series: tuple[int, ...] = ()


class Window:
    """Batches of the last minute, all nodes. Not thread-safe."""

    def __init__(self, records: int = KEPT_RECORDS) -> None:
        self._limit = records
        self._kept: deque[tuple[int, str, NDArray[Any]]] = deque()
        self._held = 0
        self.cut = 0  # frames left out for room, since the start
        self.newest_ns = 0

    def add(self, node: str, time_ns: int, records: NDArray[Any]) -> None:
        """One batch."""
        if not len(records):
            return
        self._kept.append((time_ns, node, records))
        self.newest_ns = time_ns
        self._held += len(records)
        while len(self._kept) > 1 and (self._held > self._limit or self._kept[0][0] < time_ns - KEPT_S * 10**9):
            at, _, gone = self._kept.popleft()
            self._held -= len(gone)
            if at >= time_ns - KEPT_S * 10**9:
                self.cut += int(gone["packets"].sum())

    def forget(self, node: str) -> None:
        """A node left."""
        self._kept = deque(each for each in self._kept if each[1] != node)
        self._held = sum(len(each[2]) for each in self._kept)

    def batches(self, seconds: float, now_ns: int) -> list[tuple[str, NDArray[Any]]]:
        """What came in the last `seconds` before `now_ns`, each batch as (node, records); the same batch is the same
        array every time."""
        since = _since(seconds, now_ns)
        return [(node, records) for at, node, records in self._kept if at >= since]

    def scenes(self, seconds: float, now_ns: int, names: Names) -> list[Scene]:
        """What came in the last `seconds` before `now_ns`, by node."""
        since = _since(seconds, now_ns)
        by_node: dict[str, list[NDArray[Any]]] = {}
        for at, node, records in self._kept:
            if at >= since:
                by_node.setdefault(node, []).append(records)
        return [Scene(np.concatenate(parts, dtype=RECORD), node, names) for node, parts in sorted(by_node.items())]


def _since(seconds: float, now_ns: int) -> int:
    return now_ns - int(seconds * 1e9) + DRAIN_NS


def kept_by(scenes: Iterable[Scene], wanted: Filter) -> list[Scene]:
    """The scenes with only the records that a filter keeps."""
    if wanted.everything:
        return [*scenes]
    return [Scene(s.records[wanted.mask(s)], s.node, s.names, s.partial) for s in scenes]


def top(scenes: Iterable[Scene], by: Sequence[str], newest_ns: int = 0, seconds: float = KEPT_S) -> list[Talker]:
    """Every distinct value of the columns `by` (bascule.flows.scene.COLUMNS), most bytes first.

    With `newest_ns` only records of the last `seconds` before it are counted, and each talker has its series. A flow
    between two ports is counted at both; filter by `dir` to count it once.
    """
    sums: dict[tuple[str, ...], NDArray[np.int64]] = {}
    for scene in scenes:
        if len(scene):
            for values, counts in _grouped(scene, by, newest_ns, seconds):
                sums[values] = sums[values] + counts if values in sums else counts
    found = []
    for values, counts in sums.items():
        packets, octets, dropped, flows, *series = counts.tolist()
        found.append(Talker(values, packets, octets, dropped, flows, tuple(series)))
    return sorted((each for each in found if each.flows), key=lambda t: (-t.bytes, t.values))


def _grouped(
    scene: Scene, by: Sequence[str], newest_ns: int, seconds: float
) -> Iterable[tuple[tuple[str, ...], NDArray[np.int64]]]:
    """Each value with packets, bytes, dropped, flows, and the series."""
    columns = [scene.column(name) for name in by]
    joined = np.zeros(len(scene), np.int64)
    for column in columns:
        joined = joined * max(1, len(column.values)) + column.codes
    _, first, group = np.unique(joined, return_index=True, return_inverse=True)
    packets, octets = scene.records["packets"], scene.records["bytes"]
    bad = packets * ((scene.records["verdict"] != ALLOW) & (scene.records["verdict"] != 0))
    age = np.maximum(newest_ns - scene.records["last"].astype(np.int64), 0) if newest_ns else np.zeros(len(scene))
    recent = age < seconds * 1e9
    # bincount's weights are floats: exact up to 2**53 frames, which a minute does not bring.
    sums = [_sum(group, len(first), each * recent) for each in (packets, octets, bad, np.ones_like(packets))]
    if newest_ns:
        bucket = BUCKETS - 1 - np.minimum(age // BUCKET_NS, BUCKETS - 1).astype(np.int64)
        lately = octets * (age < BUCKETS * BUCKET_NS)  # a first batch brings older ones too
        series = _sum(group * BUCKETS + bucket, len(first) * BUCKETS, lately).reshape(len(first), BUCKETS)
        sums += [*series.T]
    table = np.stack(sums, axis=1)
    for n, at in enumerate(first):
        yield tuple(str(column.values[column.codes[at]]) for column in columns), table[n]


def _sum(group: NDArray[Any], groups: int, weights: NDArray[Any]) -> NDArray[np.int64]:
    return np.bincount(group, weights=weights, minlength=groups).astype(np.int64)
