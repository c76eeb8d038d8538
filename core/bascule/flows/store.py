"""The viewer's flows: one entry per flow and node, bounded, versioned, with rates and the nodes' ledgers merged.

Entries are kept by identity (node and the record's key), never by position, so that a table can follow a flow while
others come and go. Each change bumps `version` and stamps the entry with it: a view asks for what changed since the
version it painted. When the store is full the longest silent entries go, and what they had counted is moved to the
ledger's `store-full`: a bounded store may forget, but says how much.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule.flows.drops import LinkDrops
from bascule.flows.dropwindow import DropWindow
from bascule.flows.extent import Extent
from bascule.flows.filter import Filter
from bascule.flows.fold import fold_groups, merge_into
from bascule.flows.ledger import STORE_FULL, Ledger, merge
from bascule.flows.names import Names, PortId
from bascule.flows.record import RECORD
from bascule.flows.rows import Row, rows
from bascule.flows.scene import Scene
from bascule.flows.slots import Slots, grown
from bascule.flows.surroundings import Surroundings
from bascule.flows.timeline import Timeline
from bascule.flows.window import Window

EVERYTHING = Filter()
RATE_TAU_S = 3.0  # an exponential window: steady traffic shows its true rate after about three of these


@dataclass(frozen=True)
class Batch:
    """One drain of one node: RECORD-typed `records`, all its ports, its ledger. `time_ns` is CLOCK_REALTIME.

    `extent` comes with what a node's history answered; `rules` names the rule numbers in the records; `drops` is what
    the node's links dropped by then, None when it does not say.
    """

    node: str
    time_ns: int
    records: NDArray[Any]
    ports: tuple[PortId, ...] = ()
    ledger: Ledger = field(default_factory=Ledger)
    extent: Extent | None = None
    rules: Mapping[int, str] = field(default_factory=dict)
    drops: LinkDrops | None = None


class FlowStore:
    """Flows by identity. Not thread-safe: one loop owns it. `capacity` counts entries."""

    def __init__(self, capacity: int = 100_000) -> None:
        if capacity < 1:
            raise ValueError(f"a flow store needs room for at least one flow, not {capacity}")
        self.capacity = capacity
        self.version = 0
        self.evicted = 0  # frames of entries that were pushed out
        self.names = Names()
        self.ledgers: dict[str, Ledger] = {}
        self.around = Surroundings()
        self._node_ports: dict[str, tuple[PortId, ...]] = {}
        self._rules: dict[tuple[str, int], str] = {}
        self._slots = Slots()
        self._rates = np.zeros((0, 2))  # packets/s and bytes/s at _seen
        self._seen = np.zeros(0, np.int64)  # drain time of the last batch that had the flow
        self._versions = np.zeros(0, np.int64)
        self._timeline = Timeline()
        self.window = Window()
        self.drops = DropWindow()

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def ledger(self) -> Ledger:
        """The nodes' ledgers merged; frames of evicted entries are moved from sent to lost `store-full`."""
        return merge(self.ledgers.values()).moved(STORE_FULL, self.evicted)

    def set_surroundings(self, around: Surroundings) -> None:
        """Names for what is no VM (`bascule.flows.surroundings.surroundings_of`)."""
        if around != self.around:
            self.around = around
            self._rename()

    def forget_node(self, node: str) -> None:
        """Drop a node's flows, ports and ledger (it left the cluster)."""
        self._slots.drop(self._slots.live(node))
        self.ledgers.pop(node, None)
        self.window.forget(node)
        self.drops.forget(node)
        self._node_ports.pop(node, None)
        self._rename()

    def add(self, batch: Batch) -> None:
        """Merge one batch: packets and bytes add up, `first` stays the earliest, `last` the latest."""
        self.version += 1
        self.ledgers[batch.node] = batch.ledger
        rules = {(batch.node, number): name for number, name in batch.rules.items()}
        if self._node_ports.get(batch.node) != batch.ports or not rules.items() <= self._rules.items():
            self._node_ports[batch.node] = batch.ports
            self._rules |= rules
            self._rename()
        if batch.drops is not None:
            self.drops.add(batch.node, batch.time_ns, batch.drops)
        if len(batch.records):
            self.window.add(batch.node, batch.time_ns, batch.records)
            unique, group = fold_groups(batch.records)
            slots = self._slots_of(batch.node, unique)
            self._merge(slots, unique, batch.time_ns)
            self._rate(slots, group, batch.records, batch.time_ns)
            self._evict(keep=slots)

    def changed(self, since: int) -> list[int]:
        """Ids (slots) of flows changed after version `since`, oldest change first."""
        return [int(i) for i in self.touched(since)]

    def touched(self, since: int) -> NDArray[np.int64]:
        """As `changed`, for whoever reckons with all of them."""
        hit = np.flatnonzero(self._versions > since)
        arrived = self._slots.arrived(hit)
        hit, arrived = hit[arrived > 0], arrived[arrived > 0]
        return hit[np.lexsort((arrived, self._versions[hit]))]

    @property
    def came(self) -> int:
        """How many flows came, ever."""
        return self._slots.came

    @property
    def left(self) -> int:
        """How many flows left, ever."""
        return self._slots.left

    @property
    def room(self) -> int:
        """Ids are below this."""
        return self._slots.size

    def identities(self, came: int = 0) -> NDArray[np.int64]:
        """What no other flow is ever known by, of each flow that came when `came` had come before, oldest first."""
        return self._slots.identities(self._slots.came_after(came))

    def identities_of(self, ids: Sequence[int]) -> list[int]:
        """The identities of the flows with these ids."""
        found: list[int] = self._slots.identities(np.asarray(ids, np.int64)).tolist()
        return found

    def slot(self, identity: int) -> int | None:
        """The id of the flow of that identity; None when it left."""
        return self._slots.slot(identity)

    def records(self, ids: NDArray[np.int64] | None = None) -> NDArray[Any]:
        """The records with these ids; without any, of every flow, oldest first."""
        found: NDArray[Any] = self._slots.records[self._slots.live() if ids is None else ids]
        return found

    def nodes(self, ids: NDArray[np.int64]) -> list[str]:
        """The nodes that saw these ids."""
        return [self._slots.node(slot) for slot in ids.tolist()]

    def matching(self, wanted: Filter) -> list[int]:
        """Ids of the flows that a filter keeps, seen last first; names as they are known now."""
        parts = [ids[wanted.mask(scene)] for ids, scene in self._by_node()]
        live = np.concatenate([np.zeros(0, np.int64), *parts])
        return [int(i) for i in live[np.argsort(self._slots.records["last"][live], kind="stable")[::-1]]]

    def scenes(self) -> list[Scene]:
        """Every flow, by node."""
        return [scene for _, scene in self._by_node()]

    def frames(self, ids: Iterable[int]) -> int:
        """Frames counted in the given ids."""
        return int(self._slots.records["packets"][[*ids]].sum())

    def recent(self, limit: int, wanted: Filter = EVERYTHING) -> list[Row]:
        """The `limit` flows seen last, newest first, that a filter keeps."""
        return self.rows(self.matching(wanted)[:limit])

    def rows(self, ids: Iterable[int]) -> list[Row]:
        """Rows of the given ids, in their order; names as they are known now."""
        chosen = [int(i) for i in ids]
        found: dict[int, Row] = {}
        by_node: dict[str, list[int]] = {}
        for i in chosen:
            by_node.setdefault(self._slots.node(i), []).append(i)
        for node, members in by_node.items():
            found.update(zip(members, rows(self._slots.records[members], node, self.names), strict=True))
        return [found[i] for i in chosen]

    def conversation(self, slot: int) -> list[int]:
        """Ids of the flows with the same ends as one, either way round, at any port; the newest record first."""
        mine, live = self._slots.records[slot], self._slots.live()
        every = self._slots.records[live]
        kind = (every["ethertype"] == mine["ethertype"]) & (every["proto"] == mine["proto"])
        same = kind & _ends_are(every, mine, "src", "dst")
        turned = kind & _ends_are(every, mine, "dst", "src")
        found = live[same | turned]
        return [int(i) for i in found[np.argsort(self._slots.records["last"][found], kind="stable")[::-1]]]

    def raw(self, ids: Sequence[int] | NDArray[np.int64]) -> list[tuple[str, bytes]]:
        """(node, the record's bytes) of the given ids, in their order, for whoever makes rows only of what is shown."""
        chosen = np.asarray(ids, np.int64)
        packed, size = self.records(chosen).tobytes(), RECORD.itemsize
        return [(node, packed[n * size : (n + 1) * size]) for n, node in enumerate(self.nodes(chosen))]

    def rates(self, ids: Sequence[int] | NDArray[np.int64], now_ns: int | NDArray[np.int64]) -> NDArray[np.float64]:
        """(n, 2): packets/s and bytes/s of the given ids at `now_ns`, decaying while a flow is silent."""
        chosen = np.asarray(ids, np.int64)
        age = np.maximum(now_ns - self._seen[chosen], 0) / 1e9
        decayed: NDArray[np.float64] = self._rates[chosen] * np.exp(-age / RATE_TAU_S)[:, None]
        return decayed

    def series(self, slot: int, now_ns: int) -> NDArray[np.float32]:
        """Bytes/s of one id over the last minute, oldest first (bascule.flows.timeline)."""
        return self._timeline.rates(slot, now_ns)

    def _by_node(self) -> list[tuple[NDArray[np.int64], Scene]]:
        """Per node, its ids and the scene of their records."""
        found = ((node, self._slots.live(node)) for node in self._slots.nodes())
        return [(ids, Scene(self._slots.records[ids], node, self.names)) for node, ids in found if len(ids)]

    def _rename(self) -> None:
        every = (p for ports in self._node_ports.values() for p in ports)
        self.names = Names(every, around=self.around, rules=self._rules)

    def _slots_of(self, node: str, records: NDArray[Any]) -> NDArray[np.int64]:
        slots, new = self._slots.take(node, records)
        self._rates, self._seen = grown(self._rates, self._slots.size), grown(self._seen, self._slots.size)
        self._versions = grown(self._versions, self._slots.size)
        self._timeline.grow(self._slots.size)
        fresh = slots[new]
        self._rates[fresh], self._seen[fresh] = 0.0, 0
        self._timeline.clear(fresh)
        return slots

    def _merge(self, slots: NDArray[np.int64], records: NDArray[Any], time_ns: int) -> None:
        merge_into(self._slots.records, slots, records)
        age = np.where(self._seen[slots] > 0, np.maximum(time_ns - self._seen[slots], 0) / 1e9, np.inf)
        self._rates[slots] *= np.exp(-age / RATE_TAU_S)[:, None]
        self._seen[slots] = time_ns
        self._versions[slots] = self.version

    def _rate(self, slots: NDArray[np.int64], group: NDArray[np.intp], records: NDArray[Any], time_ns: int) -> None:
        """What the records add to rates and timelines: each counts from its own last frame, not from when it came, so
        that a minute's history is no burst."""
        last = np.minimum(records["last"], np.uint64(max(time_ns, 0))).astype(np.int64)
        weight = np.exp(-(time_ns - last) / 1e9 / RATE_TAU_S) / RATE_TAU_S
        for at, name in enumerate(("packets", "bytes")):
            self._rates[slots, at] += np.bincount(group, weights=records[name] * weight, minlength=len(slots))
        self._timeline.add(slots[group], records["bytes"], last)

    def _evict(self, keep: NDArray[np.int64]) -> None:
        excess = len(self._slots) - self.capacity
        if excess <= 0:
            return
        live = self._slots.live()
        by_age = live[np.lexsort((self._seen[live], np.isin(live, keep)))]
        # A tenth more than needed: eviction sorts, so it must not run for every batch.
        gone = by_age[: excess + self.capacity // 10]
        self.evicted += int(self._slots.records["packets"][gone].sum())
        self._slots.drop(gone)


def _ends_are(records: NDArray[Any], mine: Any, first: str, second: str) -> NDArray[np.bool_]:
    """Where `records` have the ends of `mine`, its `src` being their `first`."""
    found = np.ones(len(records), np.bool_)
    for own, other in (("src", first), ("dst", second)):
        found &= (records[f"{other}_ip"] == mine[f"{own}_ip"]).all(axis=1)
        found &= records[f"{other}_port"] == mine[f"{own}_port"]
        if not mine["src_ip"].any():  # no addresses: the MACs are the ends
            found &= (records[f"{other}_mac"] == mine[f"{own}_mac"]).all(axis=1)
    return found
