"""The console's flows: what agents sent, ready for a table, for groups and for what-if."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING

from bascule_console.store.flowline import FlowLine
from bascule_console.store.topics import FLOWS, Topics

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from bascule.flows.dropwindow import Recent
    from bascule.flows.facets import Counts, Facets
    from bascule.flows.filter import Filter
    from bascule.flows.ledger import Ledger
    from bascule.flows.names import PortId
    from bascule.flows.scene import Scene
    from bascule.flows.store import Batch, FlowStore
    from bascule.flows.surroundings import Surroundings
    from bascule_console.store.flowlines import Lines


class Flows:
    """A table's source (widgets.rowview.RowSource) over the flow store; one event loop owns it."""

    def __init__(self, topics: Topics, capacity: int = 100_000) -> None:
        self._topics = topics
        self._capacity = capacity
        self._made: FlowStore | None = None
        self._lines: Lines | None = None
        self._records = 0
        self._stopped = 0

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

    def records(self) -> NDArray[Any]:
        """Every flow this console has seen, as RECORDs: what what-if judges where agents do not answer."""
        return self._store.records()

    def set_documents(self, networks: Sequence[Mapping[str, object]], sets: Sequence[Mapping[str, object]]) -> None:
        """Name what Network, NetworkSet and GlobalNetworkSet documents name."""
        from bascule.flows.surroundings import surroundings_of

        self.set_surroundings(surroundings_of(networks, sets))

    def set_surroundings(self, around: Surroundings) -> None:
        """Name what is no VM."""
        self._store.set_surroundings(around)

    def now_ns(self) -> int:
        """The time that rates are of: now, or where a replayed file ends."""
        return self._stopped or time.time_ns()

    def stop_clock(self, at_ns: int) -> None:
        """From now on it is `at_ns`: a file was replayed."""
        self._stopped = at_ns

    def series(self, line: FlowLine) -> list[float]:
        """Bytes/s of one flow over the last minute, oldest first, a value each two seconds."""
        return [float(each) for each in self._store.series(line.slot, self.now_ns())]

    @property
    def newest_ns(self) -> int:
        """When the newest batch was drained, CLOCK_REALTIME; 0 before the first."""
        return self._store.window.newest_ns if self._made else 0

    def conversation(self, line: FlowLine) -> list[FlowLine]:
        """Every line with the same two ends, either way round, at any port."""
        rows = self.rows()
        return [rows[key] for key in self._store.identities_of(self._store.conversation(line.slot))]

    def scenes(self, seconds: float) -> list[Scene]:
        """The records of the last `seconds`, by node."""
        return self._store.window.scenes(seconds, self.now_ns(), self._store.names) if self._made else []

    def facets(self, facets: Facets, wanted: Filter) -> dict[str, Counts]:
        """Frames of the last minute by field and value, counted by whoever keeps the counts."""
        batches = self._store.window.batches(60, self.now_ns()) if self._made else []
        return facets.over(batches, self._store.names, wanted)

    def drops(self, wanted: Filter) -> list[Recent]:
        """What links dropped in the last minute, as far as the filter keeps it."""
        from bascule.flows.dropwindow import kept

        if self._made is None:
            return []
        recent = {(each.node, each.drop): each for each in self._store.drops.recent(self.now_ns())}
        return [recent[key] for key in kept(recent, wanted, self._store.names)]

    def port(self, node: str, ifindex: int) -> PortId:
        """Who has a port, as far as the node named it."""
        return self._store.names.port(node, ifindex)

    @property
    def uncounted(self) -> dict[str, str]:
        """The nodes whose kernel's drops are not counted, and why."""
        told = self._made.drops.told if self._made else {}
        return {node: drops.absent for node, drops in sorted(told.items()) if drops.absent}

    @property
    def cut(self) -> int:
        """Frames that the last minute's window had no room for."""
        return self._store.window.cut if self._made else 0

    def rows(self) -> Mapping[Hashable, FlowLine]:
        """Every flow line by identity, oldest first."""
        if self._made is None:
            return {}
        if self._lines is None:
            from bascule_console.store.flowlines import Lines

            self._lines = Lines(self._made)
        self._lines.look()
        return self._lines

    def decay(self, now_ns: int) -> None:
        """Bring the rates of flows that fell silent to `now_ns` (CLOCK_REALTIME); called about once a second."""
        self.rows()
        if self._lines is not None and self._lines.decay(now_ns):
            self._topics.touch(FLOWS)

    def searchable(self, line: FlowLine) -> str:
        """What a filter looks at: names, addresses, ports, protocol, verdict."""
        row = line.make_row()
        src, dst = row["src"], row["dst"]
        ends = (
            f"{src['name']} {src['ip']}:{src['port']} {src['mac']} {dst['name']} {dst['ip']}:{dst['port']} {dst['mac']}"
        )
        place = f"{row['node']} {row['namespace']}/{row['vm']} {row['nic']} {row['network']} vlan {row['vlan']}"
        return f"{ends} {place} {row['proto']} {row['direction']} {row['verdict']} {row['reason']} {row['rule']}"

    def labels(self, line: FlowLine) -> Mapping[str, str]:
        """Flows have none."""
        return {}
