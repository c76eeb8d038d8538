"""NADs: which segment each leads to, from which pools, and who uses it."""

from __future__ import annotations

from textual.app import ComposeResult

from bascule_console.screens.base import BasculeScreen
from bascule_console.store.attachments import NadRow, nad_rows
from bascule_console.store.derived import Derived
from bascule_console.store.topics import INVENTORY
from bascule_console.store.vms import ATTACHMENTS, NETWORKS
from bascule_console.store.workloads import WorkloadsSeen
from bascule_console.widgets.columns import Column
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.table import GridTable
from bascule_console.widgets.tableblock import TableBlock


def columns(glyphs: Glyphs) -> list[Column[NadRow]]:
    """The table's columns."""

    def vlan(row: NadRow) -> str:
        return "" if row.vlan is None else str(row.vlan)

    def state(row: NadRow) -> str:
        return f"{glyphs.bad} {row.problem}" if row.problem else f"{glyphs.good} ok"

    def users(row: NadRow) -> str:
        return ", ".join(row.used_by) or "-"

    return [
        Column("name", "NAD", 14, lambda r: r.name, lambda r: r.name, tone=lambda _: "name", grow=1, most=30),
        Column("namespace", "NAMESPACE", 10, lambda r: r.namespace, lambda r: r.namespace, 3, grow=1, most=20),
        Column("network", "NETWORK", 9, lambda r: r.network or "-", lambda r: r.network, priority=1, grow=1, most=20),
        Column("vlan", "VLAN", 4, vlan, lambda r: r.vlan or 0, right=True),
        Column("pools", "POOLS", 14, lambda r: ",".join(r.pools), lambda r: r.pools, priority=4, grow=1, most=40),
        Column(
            "state",
            "STATE",
            8,
            state,
            lambda r: r.problem,
            tone=lambda r: "bad" if r.problem else "good",
            grow=1,
            most=50,
        ),
        Column("count", "USERS", 5, lambda r: str(len(r.used_by)), lambda r: len(r.used_by), priority=2, right=True),
        Column("users", "USED BY", 24, users, users, priority=6, grow=3, most=120),
    ]


class NadsScreen(BasculeScreen):
    """Every NetworkAttachmentDefinition."""

    MODE = "nads"
    TOPICS = (INVENTORY,)
    AUTO_FOCUS = "#nads"

    def body(self) -> ComposeResult:
        """One table."""
        store = self.app.store
        self._workloads = WorkloadsSeen(store.inventory)
        source = Derived(store.topics, self.TOPICS, self._rows, _searchable)
        yield TableBlock("NADs", columns(self.glyphs), source, self.glyphs, id="nads", empty=self._empty)

    @property
    def table(self) -> GridTable[NadRow]:
        """The table."""
        return self.query_one("#nads", GridTable)

    def subject(self) -> tuple[str, str] | None:
        """The NAD under the cursor, for `y`."""
        row = self.table.view.cursor_row()
        return (ATTACHMENTS, row.key) if row else None

    def action_open_row(self) -> None:
        """The Network that the NAD leads to."""
        row = self.table.view.cursor_row()
        if row is not None and row.network:
            self.app.open(NETWORKS, row.network)

    def _rows(self) -> dict[str, NadRow]:
        return nad_rows(self.app.store.inventory, self._workloads.now())

    def _empty(self) -> list[str]:
        inventory = self.app.store.inventory
        if self.app.problem:
            return [*self.app.problem.split("; ")]
        if why := inventory.problems().get(ATTACHMENTS):
            return ["NADs cannot be read:", why]
        if not self.app.connected or not inventory.synced(ATTACHMENTS):
            return ["Connecting …"]
        if not inventory.all(ATTACHMENTS):
            return ["This cluster has no NetworkAttachmentDefinition.", "Next: bascule apply -f FILE"]
        return ["No NAD passes the filter.", "Next: press / and Enter on an empty line"]


def _searchable(row: NadRow) -> str:
    return " ".join([row.key, row.network, f"vlan {row.vlan}", *row.pools, row.problem, *row.used_by])
