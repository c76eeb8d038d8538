"""What a viewer makes of the nodes' drops: the last minute of each, and rows for JSON, under the flows' own filter."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from bascule.flows.drops import LinkDrop, LinkDrops, drop_dict
from bascule.flows.filter import Filter
from bascule.flows.names import Names
from bascule.flows.record import DROP, RECORD
from bascule.flows.rows import time_text
from bascule.flows.scene import Scene
from bascule.flows.timeline import BUCKET_NS, BUCKETS

KEPT_NS = BUCKETS * BUCKET_NS


class Recent(NamedTuple):
    """One drop of a node lately: `packets` and `bytes` of the last minute, `series` frames in each two seconds."""

    node: str
    drop: LinkDrop
    packets: int
    bytes: int
    series: tuple[int, ...]


_Track = deque[tuple[int, int, int]]  # time_ns, packets, bytes: what had been counted by then


class DropWindow:
    """The last minute of all nodes' drops, and their sums. Not thread-safe."""

    def __init__(self) -> None:
        self.told: dict[str, LinkDrops] = {}
        self._tracks: dict[str, dict[tuple[int, str, str], _Track]] = {}

    def add(self, node: str, time_ns: int, drops: LinkDrops) -> None:
        """What one batch told. The first of a node is where counting starts here: when those were is not known."""
        before = self.told.get(node)
        self.told[node] = drops
        fresh = before is None or before.since_ns != drops.since_ns
        tracks = self._tracks[node] = {} if fresh else self._tracks[node]
        for drop in drops.found:
            start = (drop.packets, drop.bytes) if before is None else (0, 0)
            track = tracks.setdefault((drop.ifindex, drop.by, drop.reason), deque([(time_ns - 1, *start)]))
            if track[-1][1] != drop.packets:
                track.append((time_ns, drop.packets, drop.bytes))
            while len(track) > 1 and track[1][0] < time_ns - KEPT_NS:
                track.popleft()

    def forget(self, node: str) -> None:
        """A node left."""
        self.told.pop(node, None)
        self._tracks.pop(node, None)

    def recent(self, now_ns: int) -> Iterator[Recent]:
        """Every drop of the minute before `now_ns`."""
        for node, drops in self.told.items():
            for drop in drops.found:
                track = self._tracks[node][drop.ifindex, drop.by, drop.reason]
                series = [0] * BUCKETS
                packets = octets = 0
                for (_, had, held), (at, packs, size) in zip(track, [*track][1:], strict=False):
                    age = max(0, now_ns - at)
                    if age < KEPT_NS:
                        packets, octets = packets + packs - had, octets + size - held
                        series[BUCKETS - 1 - min(age // BUCKET_NS, BUCKETS - 1)] += packs - had
                if packets:
                    yield Recent(node, drop, packets, octets, tuple(series))


def kept(drops: Iterable[tuple[str, LinkDrop]], wanted: Filter, names: Names) -> list[tuple[str, LinkDrop]]:
    """Those (node, drop) that a filter keeps, asked as a dropped record at that link: place and verdict, no ends."""
    if wanted.everything:
        return [*drops]
    found = []
    for node, drop in drops:
        record = np.zeros(1, RECORD)
        record["ifindex"], record["verdict"], record["packets"], record["bytes"] = (
            *(drop.ifindex, DROP),
            *(drop.packets, drop.bytes),
        )
        if wanted.mask(Scene(record, node, names))[0]:
            found.append((node, drop))
    return found


def drop_rows(told: Mapping[str, LinkDrops], wanted: Filter, names: Names) -> list[dict[str, Any]]:
    """Every node's drops as JSON has them, most frames first: place, reason, sums, and since when they are summed."""
    every = [(node, drop) for node, drops in told.items() for drop in drops.found]
    rows = [_row(node, drop, told[node].since_ns, names) for node, drop in kept(every, wanted, names)]
    return sorted(rows, key=lambda row: (-row["packets"], row["node"], row["link"], row["reason"]))


def _row(node: str, drop: LinkDrop, since_ns: int, names: Names) -> dict[str, Any]:
    port = names.port(node, drop.ifindex)
    return {
        "node": node,
        **drop_dict(drop),
        "vm": port.vm,
        "namespace": port.namespace,
        "nic": port.nic,
        "vlan": port.vlan,
        "since": time_text(since_ns),
    }
