"""The viewer's flows: one entry per flow and node, bounded, versioned, with rates and the nodes' ledgers merged.

Entries are kept by identity (node and the record's key), never by position, so that a table can follow a flow while
others come and go. Each change bumps `version` and stamps the entry with it: a view asks for what changed since the
version it painted. When the store is full the longest silent entries go, and what they had counted is moved to the
ledger's `store-full`: a bounded store may forget, but says how much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule.flows.ledger import STORE_FULL, Ledger, merge
from bascule.flows.names import Gateway, Names, PortId
from bascule.flows.record import KEY, RECORD
from bascule.flows.rows import Row, rows

KEY_BYTES = KEY.itemsize
RATE_TAU_S = 3.0  # an exponential window: steady traffic shows its true rate after about three of these


@dataclass(frozen=True)
class Batch:
    """One drain of one node: RECORD-typed `records`, all its ports, its ledger. `time_ns` is CLOCK_REALTIME."""

    node: str
    time_ns: int
    records: NDArray[Any]
    ports: tuple[PortId, ...] = ()
    ledger: Ledger = field(default_factory=Ledger)


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
        self._gateways: tuple[Gateway, ...] = ()
        self._node_ports: dict[str, tuple[PortId, ...]] = {}
        self._slots: dict[tuple[str, bytes], int] = {}
        self._free: list[int] = []
        self._records = np.zeros(0, RECORD)
        self._rates = np.zeros((0, 2))  # packets/s and bytes/s at _seen
        self._seen = np.zeros(0, np.int64)  # drain time of the last batch that had the flow
        self._versions = np.zeros(0, np.int64)
        self._nodes: list[str] = []

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def ledger(self) -> Ledger:
        """The nodes' ledgers merged; frames of evicted entries are moved from sent to lost `store-full`."""
        return merge(self.ledgers.values()).moved(STORE_FULL, self.evicted)

    def set_gateways(self, gateways: Iterable[Gateway]) -> None:
        """Names for next hops (`bascule.flows.names.gateways_of`)."""
        self._gateways = tuple(gateways)
        self._rename()

    def forget_node(self, node: str) -> None:
        """Drop a node's flows, ports and ledger (it left the cluster)."""
        for key in [key for key in self._slots if key[0] == node]:
            self._free.append(self._slots.pop(key))
        self.ledgers.pop(node, None)
        self._node_ports.pop(node, None)
        self._rename()

    def add(self, batch: Batch) -> None:
        """Merge one batch: packets and bytes add up, `first` stays the earliest, `last` the latest."""
        self.version += 1
        self.ledgers[batch.node] = batch.ledger
        if self._node_ports.get(batch.node) != batch.ports:
            self._node_ports[batch.node] = batch.ports
            self._rename()
        if len(batch.records):
            unique = _fold(batch.records)
            slots = self._slots_of(batch.node, unique)
            self._merge(slots, unique, batch.time_ns)
            self._evict(keep=set(slots.tolist()))

    def changed(self, since: int) -> list[int]:
        """Ids (slots) of flows changed after version `since`, oldest change first."""
        live = np.fromiter(self._slots.values(), np.int64, len(self._slots))
        hit = live[self._versions[live] > since]
        return [int(i) for i in hit[np.argsort(self._versions[hit], kind="stable")]]

    def recent(self, limit: int, keep: Callable[[Row], bool] | None = None) -> list[Row]:
        """The `limit` flows seen last, newest first, that `keep` accepts."""
        live = np.fromiter(self._slots.values(), np.int64, len(self._slots))
        order = live[np.argsort(self._records["last"][live], kind="stable")[::-1]]
        found: list[Row] = []
        for at in range(0, len(order), 256):
            found += [r for r in self.rows(order[at : at + 256]) if keep is None or keep(r)]
            if len(found) >= limit:
                break
        return found[:limit]

    def rows(self, ids: Iterable[int]) -> list[Row]:
        """Rows of the given ids, in their order; names as they are known now."""
        chosen = [int(i) for i in ids]
        found: dict[int, Row] = {}
        by_node: dict[str, list[int]] = {}
        for i in chosen:
            by_node.setdefault(self._nodes[i], []).append(i)
        for node, members in by_node.items():
            found.update(zip(members, rows(self._records[members], node, self.names), strict=True))
        return [found[i] for i in chosen]

    def raw(self, ids: Iterable[int]) -> list[tuple[str, bytes]]:
        """(node, the record's bytes) of the given ids, in their order, for whoever makes rows only of what is shown."""
        chosen = [int(i) for i in ids]
        packed, size = self._records[chosen].tobytes(), RECORD.itemsize
        return [(self._nodes[i], packed[n * size : (n + 1) * size]) for n, i in enumerate(chosen)]

    def rates(self, ids: Iterable[int], now_ns: int) -> NDArray[np.float64]:
        """(n, 2): packets/s and bytes/s of the given ids at `now_ns`, decaying while a flow is silent."""
        chosen = np.fromiter((int(i) for i in ids), np.int64)
        age = np.maximum(now_ns - self._seen[chosen], 0) / 1e9
        decayed: NDArray[np.float64] = self._rates[chosen] * np.exp(-age / RATE_TAU_S)[:, None]
        return decayed

    def _rename(self) -> None:
        self.names = Names((p for ports in self._node_ports.values() for p in ports), self._gateways)

    def _slots_of(self, node: str, records: NDArray[Any]) -> NDArray[np.int64]:
        slots = np.empty(len(records), np.int64)
        packed = records.tobytes()
        for n, at in enumerate(range(0, len(packed), RECORD.itemsize)):
            key = (node, packed[at : at + KEY_BYTES])
            slot = self._slots.get(key)
            if slot is None:
                slot = self._slots[key] = self._new_slot()
                self._nodes[slot] = node
                self._records[slot] = records[n]
                for name in ("packets", "bytes"):
                    self._records[name][slot] = 0
                self._rates[slot], self._seen[slot] = 0.0, 0
            slots[n] = slot
        return slots

    def _new_slot(self) -> int:
        if not self._free:
            used, grow = len(self._records), max(256, len(self._records))
            self._records = np.concatenate([self._records, np.zeros(grow, RECORD)], dtype=RECORD)
            self._rates = np.concatenate([self._rates, np.zeros((grow, 2))])
            self._seen = np.concatenate([self._seen, np.zeros(grow, np.int64)])
            self._versions = np.concatenate([self._versions, np.zeros(grow, np.int64)])
            self._nodes += [""] * grow
            self._free = list(range(used + grow - 1, used - 1, -1))
        return self._free.pop()

    def _merge(self, slots: NDArray[np.int64], records: NDArray[Any], time_ns: int) -> None:
        mine = self._records
        for name in ("packets", "bytes"):
            mine[name][slots] += records[name]
        mine["first"][slots] = np.minimum(mine["first"][slots], records["first"])
        mine["last"][slots] = np.maximum(mine["last"][slots], records["last"])
        age = np.where(self._seen[slots] > 0, np.maximum(time_ns - self._seen[slots], 0) / 1e9, np.inf)
        fresh = np.stack([records["packets"], records["bytes"]], axis=1) / RATE_TAU_S
        self._rates[slots] = self._rates[slots] * np.exp(-age / RATE_TAU_S)[:, None] + fresh
        self._seen[slots] = time_ns
        self._versions[slots] = self.version

    def _evict(self, keep: set[int]) -> None:
        excess = len(self._slots) - self.capacity
        if excess <= 0:
            return
        by_age = sorted(self._slots, key=lambda key: (self._slots[key] in keep, int(self._seen[self._slots[key]])))
        # A tenth more than needed: eviction sorts, so it must not run for every batch.
        for key in by_age[: min(len(by_age), excess + self.capacity // 10)]:
            slot = self._slots.pop(key)
            self.evicted += int(self._records["packets"][slot])
            self._free.append(slot)


def _fold(records: NDArray[Any]) -> NDArray[Any]:
    """Records with one entry per key (a batch may join several drains)."""
    keys = np.ascontiguousarray(records).view(np.uint8).reshape(len(records), RECORD.itemsize)[:, :KEY_BYTES]
    packed = np.ascontiguousarray(keys).view(np.dtype((np.void, KEY_BYTES))).ravel()
    _, first, inverse = np.unique(packed, return_index=True, return_inverse=True)
    if len(first) == len(records):
        return records
    folded = records[first].copy()
    for name in ("packets", "bytes"):
        folded[name] = 0
        np.add.at(folded[name], inverse, records[name])
    np.minimum.at(folded["first"], inverse, records["first"])
    np.maximum.at(folded["last"], inverse, records["last"])
    return folded
