"""Flow lines: the flow store's rows as immutable objects under a stable identity, ready for a table.

`bascule.flows.store` counts in numpy and numbers its entries by slot, which it uses again after an eviction. A table
needs what never changes its meaning, so a line is known by what the flow is: node, port, direction, both ends,
protocol, verdict; and by its slot, because a port made anew looks the same. Only lines that changed since the last look
are built anew.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bascule_console.store.topics import FLOWS, Topics

if TYPE_CHECKING:
    from bascule.flows.ledger import Ledger
    from bascule.flows.names import Names
    from bascule.flows.rows import Row
    from bascule.flows.store import Batch, FlowStore

IDLE_RATE = 0.05


@dataclass(frozen=True, slots=True)
class FlowLine:
    """One flow at one port. Rates are per second; `slot` points into the flow store until the next eviction."""

    slot: int
    row: Row
    packet_rate: float
    byte_rate: float


def identity(row: Row) -> tuple[Hashable, ...]:
    """What makes a flow this flow and no other, as far as a row tells (a port that was made anew looks the same)."""
    src, dst = row["src"], row["dst"]
    return (
        *(row["node"], row["namespace"], row["vm"], row["nic"], row["vlan"], row["direction"], row["proto"]),
        *(src["mac"], src["ip"], src["port"], dst["mac"], dst["ip"], dst["port"]),
        *(row["verdict"], row["reason"], row["rule"]),
    )


class Flows:
    """A table's source (widgets.rowview.RowSource) over the flow store; one event loop owns it."""

    def __init__(self, topics: Topics, capacity: int = 100_000) -> None:
        self._topics = topics
        self._capacity = capacity
        self._made: FlowStore | None = None
        self._lines: dict[Hashable, FlowLine] = {}
        self._keys: dict[int, tuple[Hashable, ...]] = {}
        self._looked = 0
        self._names: Names | None = None
        self._records = 0

    @property
    def _store(self) -> FlowStore:
        if self._made is None:
            from bascule.flows.store import FlowStore  # numpy costs 0.1 s, which the first paint does not need

            self._made = FlowStore(self._capacity)
        return self._made

    @property
    def version(self) -> int:
        """Grows with every batch and every decay."""
        return self._topics.version(FLOWS)

    @property
    def intake(self) -> int:
        """Records that arrived."""
        return self._records

    @property
    def lost(self) -> int:
        """Frames lost, all nodes and causes."""
        return self.ledger.lost_total if self.heard else 0

    @property
    def ledger(self) -> Ledger:
        """The nodes' ledgers merged."""
        return self._store.ledger

    @property
    def heard(self) -> bool:
        """Whether any node has sent a batch."""
        return self._made is not None and bool(self._made.ledgers)

    def add(self, batch: Batch) -> None:
        """Merge one batch of one node."""
        self._store.add(batch)
        self._records += len(batch.records)
        self._topics.touch(FLOWS)

    def forget_node(self, node: str) -> None:
        """Drop what a node told."""
        self._store.forget_node(node)
        self._topics.touch(FLOWS)

    def set_networks(self, networks: list[Mapping[str, object]]) -> None:
        """Name the gateways that these Network documents route to."""
        from bascule.flows.names import gateways_of

        self._store.set_gateways(gateways_of(networks))

    def rows(self) -> Mapping[Hashable, FlowLine]:
        """Every flow line by identity, oldest first."""
        if self._made is None:
            return self._lines
        store = self._store
        if self._looked != store.version or len(self._keys) != len(store):
            renamed = store.names is not self._names
            ids = store.changed(-1 if renamed else self._looked)
            self._looked, self._names = store.version, store.names
            self._rebuild(ids)
        return self._lines

    def decay(self, now_ns: int) -> None:
        """Bring the rates of flows that fell silent to `now_ns` (CLOCK_REALTIME); called about once a second."""
        if not self.heard:
            return
        active = [line for line in self.rows().values() if line.packet_rate > 0]
        if not active:
            return
        rates = self._store.rates([line.slot for line in active], now_ns).tolist()
        for line, (packets, size) in zip(active, rates, strict=True):
            idle = packets < IDLE_RATE
            fresh = replace(line, packet_rate=0.0 if idle else packets, byte_rate=0.0 if idle else size)
            self._lines[self._keys[line.slot]] = fresh
        self._topics.touch(FLOWS)

    def searchable(self, line: FlowLine) -> str:
        """What a filter looks at: names, addresses, ports, protocol, verdict."""
        row, src, dst = line.row, line.row["src"], line.row["dst"]
        ends = (
            f"{src['name']} {src['ip']}:{src['port']} {src['mac']} {dst['name']} {dst['ip']}:{dst['port']} {dst['mac']}"
        )
        place = f"{row['node']} {row['namespace']}/{row['vm']} {row['nic']} {row['network']} vlan {row['vlan']}"
        return f"{ends} {place} {row['proto']} {row['direction']} {row['verdict']} {row['reason']} {row['rule']}"

    def _rebuild(self, ids: list[int]) -> None:
        store = self._store
        # Rates as they were when each flow was last drained; `decay` brings them to the present.
        rates = store.rates(ids, 0).tolist()
        for slot, row, (packets, size) in zip(ids, store.rows(ids), rates, strict=True):
            key = (slot, *identity(row))
            old = self._keys.get(slot)
            if old is not None and old != key:
                del self._lines[old]
            self._keys[slot] = key
            self._lines[key] = FlowLine(slot, row, packets, size)
        if len(self._keys) != len(store):
            self._drop_evicted()

    def _drop_evicted(self) -> None:
        live = set(self._store.changed(-1))
        for slot in [slot for slot in self._keys if slot not in live]:
            del self._lines[self._keys.pop(slot)]
