"""IPPools: which segment each serves, how many of its addresses VMs hold, which NADs take from it."""

from __future__ import annotations

from textual.app import ComposeResult

from bascule_console.screens.base import BasculeScreen
from bascule_console.store.derived import Derived
from bascule_console.store.pools import POOLS, AddressesHeld, PoolRow, pool_rows
from bascule_console.store.topics import INVENTORY
from bascule_console.store.vms import NETWORKS
from bascule_console.store.workloads import WorkloadsSeen
from bascule_console.widgets.columns import Column
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.table import GridTable
from bascule_console.widgets.tableblock import TableBlock

NEARLY_FULL = 0.9


def columns(glyphs: Glyphs) -> list[Column[PoolRow]]:
    """The table's columns."""

    def use(row: PoolRow) -> str:
        return f"{glyphs.good} L2" if row.l2 else ",".join(row.uses) or "-"

    def share(row: PoolRow) -> float:
        return row.held / row.size if row.size else 0.0

    def held(row: PoolRow) -> str:
        part = "<1%" if 0 < share(row) < 0.01 else f"{share(row):.0%}"
        return f"{row.held}/{row.size} {part:>4}" if row.size else "-"

    def tone(row: PoolRow) -> str:
        return "bad" if share(row) >= 1 else "busy" if share(row) >= NEARLY_FULL else ""

    def state(row: PoolRow) -> str:
        return f"{glyphs.off} disabled" if row.disabled else f"{glyphs.good} enabled"

    def served(row: PoolRow) -> str:
        return ",".join(row.segments) or "-"

    return [
        Column("name", "IPPOOL", 14, lambda r: r.name, lambda r: r.name, tone=lambda _: "name", grow=1, most=40),
        Column("cidr", "CIDR", 18, lambda r: r.cidr, lambda r: r.cidr),
        Column("use", "USE", 6, use, lambda r: r.uses, 2, tone=lambda r: "good" if r.l2 else "muted", grow=1, most=20),
        Column("segments", "SEGMENT", 10, served, lambda r: r.segments, priority=1, grow=1, most=40),
        Column("held", "HELD", 14, held, share, priority=0, tone=tone, right=True),
        Column("state", "STATE", 10, state, lambda r: r.disabled, 3, tone=lambda r: "muted" if r.disabled else "good"),
        Column("block", "BLOCK", 5, lambda r: f"/{r.block_size}", lambda r: r.block_size, priority=5, right=True),
        Column("nads", "NADS", 12, lambda r: ",".join(r.nads) or "-", lambda r: r.nads, 4, grow=2, most=60),
    ]


class PoolsScreen(BasculeScreen):
    """Every IPPool."""

    MODE = "pools"
    TOPICS = (INVENTORY,)
    AUTO_FOCUS = "#pools"

    def body(self) -> ComposeResult:
        """One table."""
        store = self.app.store
        self._workloads = WorkloadsSeen(store.inventory)
        self._held = AddressesHeld(store.inventory)
        source = Derived(store.topics, self.TOPICS, self._rows, _searchable)
        yield TableBlock("IPPools", columns(self.glyphs), source, self.glyphs, id="pools", empty=self._empty)

    @property
    def table(self) -> GridTable[PoolRow]:
        """The table."""
        return self.query_one("#pools", GridTable)

    def subject(self) -> tuple[str, str] | None:
        """The pool under the cursor, for `y`."""
        row = self.table.view.cursor_row()
        return (POOLS, row.name) if row else None

    def action_open_row(self) -> None:
        """The Network that the pool serves first."""
        row = self.table.view.cursor_row()
        if row is not None and row.segments:
            self.app.open(NETWORKS, row.segments[0].partition("/")[0])

    def _rows(self) -> dict[str, PoolRow]:
        return pool_rows(self.app.store.inventory, self._workloads.now(), self._held.now())

    def _empty(self) -> list[str]:
        inventory = self.app.store.inventory
        if self.app.problem:
            return [*self.app.problem.split("; ")]
        if why := inventory.problems().get(POOLS):
            return ["IPPools cannot be read:", why]
        if not self.app.connected or not inventory.synced(POOLS):
            return ["Connecting …"]
        if not inventory.all(POOLS):
            return ["This cluster has no IPPool.", "Next: bascule apply -f FILE"]
        return ["No IPPool passes the filter.", "Next: press / and Enter on an empty line"]


def _searchable(row: PoolRow) -> str:
    return " ".join([row.name, row.cidr, *row.uses, *row.segments, *row.nads])
