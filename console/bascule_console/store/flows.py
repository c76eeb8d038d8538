"""Flow lines: the flow store's rows as immutable objects under a stable identity, ready for a table.

`bascule.flows.store` counts in numpy and numbers its entries by slot, which it uses again after an eviction. A table
needs what never changes its meaning, so a line is known by its slot and by how often that slot changed its flow. A line
holds the record's 88 bytes; its row is made when somebody looks, because of 100,000 flows forty are on screen (eager
rows cost 200 MiB and a fifth of a core at 5,000 updates/s).
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from bascule_console.store.topics import FLOWS, Topics

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from bascule.flows.facets import Counts, Facets
    from bascule.flows.filter import Filter
    from bascule.flows.ledger import Ledger
    from bascule.flows.names import Names
    from bascule.flows.rows import Row
    from bascule.flows.scene import Scene
    from bascule.flows.store import Batch, FlowStore
    from bascule.flows.surroundings import Surroundings

IDLE_RATE = 0.05
KEY_BYTES = 40  # what makes a flow this flow: the record's key (bascule.flows.record)
ROWS_KEPT = 2048
SLICE = 2048
REUSED = 1 << 32
NONE = -1


class FlowLine:
    """One flow at one port. Rates are per second; `slot` points into the flow store until the next eviction."""

    __slots__ = ("_names", "_node", "_raw", "byte_rate", "packet_rate", "slot")

    def __init__(self, slot: int, node: str, raw: bytes, names: Names, packet_rate: float, byte_rate: float) -> None:
        self.slot = slot
        self.packet_rate = packet_rate
        self.byte_rate = byte_rate
        self._node = node
        self._raw = raw
        self._names = names

    @property
    def row(self) -> Row:
        """The flow as DESIGN section 6 has it."""
        return _row_of(self)

    @property
    def packets(self) -> int:
        """As `row["packets"]`, without making the row."""
        return int.from_bytes(self._raw[40:48], "little")

    @property
    def octets(self) -> int:
        """As `row["bytes"]`, without making the row."""
        return int.from_bytes(self._raw[48:56], "little")

    @property
    def last_ns(self) -> int:
        """When the last frame was seen, CLOCK_REALTIME."""
        return int.from_bytes(self._raw[64:72], "little")

    @property
    def raw(self) -> bytes:
        """The record itself."""
        return self._raw

    @property
    def seen(self) -> tuple[str, bytes, Names]:
        """The node, the record's bytes, and who is who."""
        return self._node, self._raw, self._names

    def make_row(self) -> Row:
        """The row, kept nowhere: for a pass over all lines."""
        from bascule.flows.rows import row

        return row(self._raw, self._node, self._names)

    def is_flow(self, node: str, raw: bytes) -> bool:
        """Whether a record of that node is of this line's flow."""
        return node == self._node and raw[:KEY_BYTES] == self._raw[:KEY_BYTES]

    def at_rates(self, packet_rate: float, byte_rate: float) -> FlowLine:
        """The same line with other rates."""
        return FlowLine(self.slot, self._node, self._raw, self._names, packet_rate, byte_rate)


@lru_cache(maxsize=ROWS_KEPT)
def _row_of(line: FlowLine) -> Row:
    return line.make_row()


class Flows:
    """A table's source (widgets.rowview.RowSource) over the flow store; one event loop owns it."""

    def __init__(self, topics: Topics, capacity: int = 100_000) -> None:
        self._topics = topics
        self._capacity = capacity
        self._made: FlowStore | None = None
        self._lines: dict[Hashable, FlowLine] = {}
        self._keys: list[int] = []  # by slot, the identity of its flow; NONE without one
        self._free: dict[int, int] = {}  # slot → the identity its next flow gets
        self._looked = 0
        self._names: Names | None = None
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
        import numpy as np

        from bascule.flows.record import RECORD

        return np.frombuffer(b"".join(line.raw for line in self.rows().values()), RECORD)

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
        lines = {each.slot: each for each in self.rows().values()}
        return [lines[slot] for slot in self._store.conversation(line.slot) if slot in lines]

    def scenes(self, seconds: float) -> list[Scene]:
        """The records of the last `seconds`, by node."""
        return self._store.window.scenes(seconds, self.now_ns(), self._store.names) if self._made else []

    def facets(self, facets: Facets, wanted: Filter) -> Counts:
        """Frames of the last minute by value, counted by whoever keeps the counts."""
        batches = self._store.window.batches(60, self.now_ns()) if self._made else []
        return facets.over(batches, self._store.names, wanted)

    @property
    def cut(self) -> int:
        """Frames that the last minute's window had no room for."""
        return self._store.window.cut if self._made else 0

    def rows(self) -> Mapping[Hashable, FlowLine]:
        """Every flow line by identity, oldest first."""
        if self._made is None:
            return self._lines
        store = self._store
        if self._looked != store.version or len(self._lines) != len(store):
            renamed = store.names is not self._names
            ids = store.changed(-1 if renamed else self._looked)
            self._looked, self._names = store.version, store.names
            self._rebuild(ids)
        return self._lines

    def decay(self, now_ns: int) -> None:
        """Bring the rates of flows that fell silent to `now_ns` (CLOCK_REALTIME); called about once a second."""
        for _ in self.decay_in_parts(now_ns):
            pass

    def decay_in_parts(self, now_ns: int) -> Iterator[None]:
        """As `decay`, in parts of a few milliseconds: thirty thousand flows have a rate at 5,000 updates/s."""
        if not self.heard:
            return
        active = [key for key, line in self.rows().items() if line.packet_rate > 0]
        for at in range(0, len(active), SLICE):
            part = [(key, line) for key in active[at : at + SLICE] if (line := self._lines.get(key)) is not None]
            rates = self._store.rates([line.slot for _, line in part], now_ns).tolist()
            for (key, line), (packets, size) in zip(part, rates, strict=True):
                self._lines[key] = line.at_rates(*((0.0, 0.0) if packets < IDLE_RATE else (packets, size)))
            yield
        if active:
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

    def _rebuild(self, ids: list[int]) -> None:
        for at in range(0, len(ids), SLICE):  # in slices: what is made on the way would never be given back
            self._remake(ids[at : at + SLICE])
        if len(self._lines) != len(self._store):
            self._drop_evicted()

    def _remake(self, ids: list[int]) -> None:
        store, names, lines, keys = self._store, self._store.names, self._lines, self._keys
        # Rates as they were when each flow was last drained; `decay` brings them to the present.
        rates = store.rates(ids, 0).tolist()
        keys += [NONE] * (max(ids) + 1 - len(keys))
        for slot, (node, raw), (packets, size) in zip(ids, store.raw(ids), rates, strict=True):
            key = keys[slot]
            if key == NONE:
                key = keys[slot] = self._free.pop(slot, slot)
            elif not lines[key].is_flow(node, raw):
                del lines[key]
                key = keys[slot] = key + REUSED
            lines[key] = FlowLine(slot, node, raw, names, packets, size)

    def _drop_evicted(self) -> None:
        live = set(self._store.changed(-1))
        for slot in [line.slot for line in self._lines.values() if line.slot not in live]:
            key, self._keys[slot] = self._keys[slot], NONE
            del self._lines[key]
            self._free[slot] = key + REUSED  # whatever comes into the slot next is another flow
