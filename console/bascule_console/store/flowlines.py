"""The flow store's flows as lines under a stable identity, made when somebody looks.

A hundred thousand lines and their rows took 60 MiB and a fifth of a core at 5,000 updates/s. What is kept here for each
flow is its identity and a stamp, which is another object as soon as counts, rates or names of the flow change.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bascule.flows.slots import grown, slots_of
from bascule_console.store.flowline import FlowLine
from bascule_console.store.lazyrows import LazyRows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bascule.flows.names import Names
    from bascule.flows.store import FlowStore

IDLE_RATE = 0.05
LINES_KEPT = 1024
SILENT, FRESH, DECAYING = 0, 1, 2  # a flow's rate: none, as its last batch left it, as the last decay left it


class Lines(LazyRows[FlowLine]):
    """Every flow of a store, oldest first; `look` takes in what changed."""

    def __init__(self, store: FlowStore) -> None:
        self._store = store
        self._order: list[Hashable] = []
        self._identities = np.zeros(0, np.int64)
        self._stamps = np.zeros(0, np.object_)  # by slot
        self._rated = np.zeros(0, np.int8)  # by slot
        self._decayed_ns = 0
        self._looks = self._looked = 0
        self._came = self._left = 0
        self._names: Names | None = None
        self._made: dict[Hashable, tuple[object, FlowLine]] = {}

    # -- what changes -----------------------------------------------------------------------------------------

    def look(self) -> None:
        """Take in what the store got since the last look."""
        store = self._store
        if (self._came, self._left) != (store.came, store.left):
            self._take_in()
        if self._looked != store.version or self._names is not store.names:
            renamed = self._names is not store.names
            changed = store.touched(self._looked)
            self._looked, self._names = store.version, store.names
            self._rated[changed] = FRESH
            self._stamp(slots_of(self._identities) if renamed else changed)

    def _take_in(self) -> None:
        store = self._store
        gone = self._left != store.left
        came = store.identities(0 if gone else self._came)
        self._came, self._left = store.came, store.left
        if gone:
            self._order.clear()
            self._identities = self._identities[:0]
        self._order += came.tolist()
        self._identities = np.concatenate([self._identities, came])
        self._stamps, self._rated = grown(self._stamps, store.room), grown(self._rated, store.room)

    def decay(self, now_ns: int) -> bool:
        """Bring the rates of flows that fell silent to `now_ns` (CLOCK_REALTIME); False when there are none."""
        self.look()
        active = slots_of(self._identities)
        active = active[self._rated[active] != SILENT]
        if not len(active):
            return False
        self._decayed_ns = now_ns
        idle = self._store.rates(active, now_ns)[:, 0] < IDLE_RATE
        self._rated[active] = np.where(idle, SILENT, DECAYING)
        self._stamp(active)
        return True

    def _stamp(self, slots: NDArray[np.int64]) -> None:
        self._looks += 1
        self._stamps[slots] = self._looks  # one object for all of them

    # -- as a mapping -----------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._order)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, int) and self._store.slot(key) is not None

    def __getitem__(self, key: Hashable) -> FlowLine:
        slot = self._store.slot(key) if isinstance(key, int) else None
        if slot is None:
            raise KeyError(key)
        made, stamp = self._made.get(key), self._stamps[slot]
        if made is None or made[0] is not stamp:
            if len(self._made) >= LINES_KEPT:
                self._made.clear()
            made = self._made[key] = stamp, self.at(np.array([slot]))[0]
        return made[1]

    def stamps(self) -> Iterable[tuple[Hashable, object]]:
        """As `LazyRows.stamps`."""
        return zip(self._order, self._stamps[slots_of(self._identities)].tolist(), strict=True)

    def some(self, keys: Sequence[Hashable]) -> list[FlowLine]:
        """As `LazyRows.some`."""
        return self.at(slots_of(np.array(keys, np.int64)))

    def held(self) -> HeldLines:
        """As `LazyRows.held`."""
        return HeldLines(self, self._store)

    def at(self, slots: NDArray[np.int64]) -> list[FlowLine]:
        """The lines of the flows in these slots, kept nowhere."""
        raws, rates = self._store.raw(slots), self.rates(slots).tolist()
        return [
            FlowLine(slot, node, raw, self._store.names, *both)
            for slot, (node, raw), both in zip(slots.tolist(), raws, rates, strict=True)
        ]

    def rates(self, slots: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n, 2): packets/s and bytes/s of these slots as they are shown."""
        rated = self._rated[slots]
        found = self._store.rates(slots, np.where(rated == DECAYING, self._decayed_ns, 0))
        found[rated == SILENT] = 0
        return found

    def frozen(self) -> tuple[NDArray[np.int64], NDArray[np.object_], NDArray[np.float64]]:
        """Identities, stamps and rates as they are now, oldest flow first."""
        slots = slots_of(self._identities)
        return self._identities, self._stamps[slots], self.rates(slots)


class HeldLines(LazyRows[FlowLine]):
    """The lines as they were when the view was frozen."""

    def __init__(self, lines: Lines, store: FlowStore) -> None:
        self._identities, self._stamps, self._rates = lines.frozen()
        slots = slots_of(self._identities)
        self._order, self._names = [*lines], store.names
        self._records, self._nodes = store.records(slots), store.nodes(slots)
        self._made: dict[Hashable, FlowLine] = {}

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._order)

    def __getitem__(self, key: Hashable) -> FlowLine:
        at = int(np.searchsorted(self._identities, key)) if isinstance(key, int) else len(self)
        if at >= len(self) or self._identities[at] != key:
            raise KeyError(key)
        if key not in self._made:
            if len(self._made) >= LINES_KEPT:
                self._made.clear()
            self._made[key] = self._line(at)
        return self._made[key]

    def stamps(self) -> Iterable[tuple[Hashable, object]]:
        """As `LazyRows.stamps`."""
        return zip(self._order, self._stamps.tolist(), strict=True)

    def some(self, keys: Sequence[Hashable]) -> list[FlowLine]:
        """As `LazyRows.some`."""
        return [self._line(at) for at in np.searchsorted(self._identities, np.array(keys, np.int64)).tolist()]

    def held(self) -> Mapping[Hashable, FlowLine]:
        """As `LazyRows.held`."""
        return self

    def _line(self, at: int) -> FlowLine:
        raw, slot = self._records[at].tobytes(), int(slots_of(self._identities[at]))
        return FlowLine(slot, self._nodes[at], raw, self._names, *self._rates[at].tolist())
