"""One minute of drained flows, and the viewers who follow; every loss on the way is counted by cause.

Bounds are in records, not batches: a batch may hold one flow or sixty thousand. The history forgets its oldest drains,
a viewer's queue drops its oldest too, so that what a viewer misses always lies before what it gets next and the ledger
of each batch adds up by itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule.flows.drops import LinkDrops
from bascule.flows.filter import Filter
from bascule.flows.ledger import AGENT_QUEUE, Ledger
from bascule.flows.names import Names, PortId
from bascule.flows.record import RECORD
from bascule.flows.scene import Scene

HISTORY_SECONDS = 60.0
HISTORY_RECORDS = 65_536  # 5.5 MiB, and as much for each viewer that cannot keep up
QUEUE_RECORDS = 65_536
BATCH_RECORDS = 16_384  # 1.4 MB: gRPC refuses messages above 4 MB by default
EVERYTHING = Filter()


@dataclass(frozen=True)
class Drain:
    """One swap of the kernel's maps: RECORD-typed records in CLOCK_REALTIME, all ports, the ledger after it, and what
    the links have dropped by then."""

    time_ns: int
    records: NDArray[Any]
    ports: tuple[PortId, ...]
    ledger: Ledger
    drops: LinkDrops = LinkDrops()

    @property
    def frames(self) -> int:
        """Frames in the records."""
        return int(self.records["packets"].sum())


class Viewer:
    """One stream's bounded queue. `lost` counts the frames it had to drop."""

    def __init__(self, limit: int = QUEUE_RECORDS) -> None:
        self.limit = limit
        self.lost = 0
        self._queue: deque[Drain] = deque()
        self._held = 0
        self._ready = asyncio.Event()

    def put(self, drain: Drain) -> None:
        """Queue a drain; the oldest ones go when there is no room (never the newest: it may be all there is)."""
        self._queue.append(drain)
        self._held += len(drain.records)
        while self._held > self.limit and len(self._queue) > 1:
            gone = self._queue.popleft()
            self._held -= len(gone.records)
            self.lost += gone.frames
        self._ready.set()

    async def get(self) -> Drain:
        """The next drain, its ledger holding what this viewer lost so far."""
        while not self._queue:
            self._ready.clear()
            await self._ready.wait()
        drain = self._queue.popleft()
        self._held -= len(drain.records)
        return replace(drain, ledger=drain.ledger.moved(AGENT_QUEUE, self.lost))


class Sieve:
    """One stream's filter. What surely does not match stays here and is counted, in each ledger, as filtered."""

    def __init__(self, node: str, wanted: Filter) -> None:
        self._node, self._wanted = node, wanted
        self._ports: tuple[PortId, ...] | None = None
        self._names = Names()
        self._filtered = 0

    def __call__(self, drain: Drain) -> Drain:
        """The drain with what may match."""
        if self._wanted.everything:
            return drain
        if drain.ports != self._ports:
            self._ports, self._names = drain.ports, Names(drain.ports)
        kept = drain.records[self._wanted.mask(Scene(drain.records, self._node, self._names, partial=True))]
        self._filtered += drain.frames - int(kept["packets"].sum())
        return replace(drain, records=kept, ledger=drain.ledger.without(self._filtered))


class Hub:
    """History and viewers; owned by one event loop."""

    def __init__(self, seconds: float = HISTORY_SECONDS, records: int = HISTORY_RECORDS, node: str = "") -> None:
        self.seconds, self.limit, self._node = seconds, records, node
        self._history: deque[Drain] = deque()
        self._forgotten: deque[tuple[int, int]] = deque()  # (time_ns, frames) dropped for room while still recent
        self._held = 0
        self._viewers: set[Viewer] = set()
        self._last = Drain(0, np.zeros(0, RECORD), (), Ledger())

    @property
    def last(self) -> Drain:
        """The newest drain; an empty one before the first."""
        return self._last

    def publish(self, drain: Drain) -> None:
        """Keep a drain and hand it to every viewer."""
        self._last = drain
        self._history.append(drain)
        self._held += len(drain.records)
        oldest = drain.time_ns - int(self.seconds * 1e9)
        while self._history and self._history[0].time_ns < oldest:
            self._held -= len(self._history.popleft().records)
        while self._held > self.limit and len(self._history) > 1:
            gone = self._history.popleft()
            self._held -= len(gone.records)
            self._forgotten.append((gone.time_ns, gone.frames))
        while self._forgotten and self._forgotten[0][0] < oldest:
            self._forgotten.popleft()
        for viewer in self._viewers:
            viewer.put(drain)

    def history(self, seconds: float) -> tuple[Drain, int]:
        """The last `seconds` as one drain, and the frames of that time which the bounded history had to forget."""
        since = self._last.time_ns - int(min(seconds, self.seconds) * 1e9)
        kept = [d.records for d in self._history if d.time_ns > since] if seconds > 0 else []
        lost = sum(frames for at, frames in self._forgotten if at > since) if seconds > 0 else 0
        records = np.concatenate(kept, dtype=RECORD) if kept else np.zeros(0, RECORD)
        return replace(self._last, records=records), lost

    @property
    def viewers(self) -> int:
        """How many follow."""
        return len(self._viewers)

    async def stream(
        self, history_seconds: float, follow: bool, wanted: Filter = EVERYTHING
    ) -> AsyncGenerator[Drain, None]:
        """The history first (always one drain, maybe empty), then every new one while `follow`, filtered."""
        viewer, sieve = Viewer(), Sieve(self._node, wanted)
        # The viewer is entered in the same step as the history is taken: no drain falls between the two.
        first, viewer.lost = self.history(history_seconds)
        if follow:
            self._viewers.add(viewer)
        try:
            yield sieve(replace(first, ledger=first.ledger.moved(AGENT_QUEUE, viewer.lost)))
            while follow:
                yield sieve(await viewer.get())
        finally:
            self._viewers.discard(viewer)


def split(drain: Drain, limit: int = BATCH_RECORDS) -> Iterator[Drain]:
    """The drain in pieces of at most `limit` records, each with a ledger that adds up by itself."""
    rest = drain.frames
    for at in range(0, max(len(drain.records), 1), limit):
        piece = drain.records[at : at + limit]
        rest -= int(piece["packets"].sum())
        ledger = Ledger(drain.ledger.seen - rest, drain.ledger.sent - rest, drain.ledger.lost, drain.ledger.filtered)
        yield replace(drain, records=piece, ledger=ledger)
