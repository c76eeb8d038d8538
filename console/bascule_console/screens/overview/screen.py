"""The overview: is every Network well on every node, and if not, what to look at first."""

from __future__ import annotations

from textual.app import ComposeResult

from bascule_console.screens.base import BasculeScreen
from bascule_console.screens.overview.columns import attention_columns, network_columns, numbers
from bascule_console.store.attention import Line as AttentionLine
from bascule_console.store.attention import attention
from bascule_console.store.derived import Derived
from bascule_console.store.overview import NetworkHealth, OverviewSeen
from bascule_console.store.topics import AGENTS, FINDINGS, FLOWS, INVENTORY
from bascule_console.store.vms import NETWORKS
from bascule_console.widgets.lines import Line, Parts
from bascule_console.widgets.table import GridTable
from bascule_console.widgets.tableblock import TableBlock


class OverviewScreen(BasculeScreen):
    """Networks × nodes above, what wants an eye below."""

    MODE = "overview"
    TOPICS = (INVENTORY, AGENTS, FINDINGS, FLOWS)
    AUTO_FOCUS = "#lines"
    DEFAULT_CSS = """
    OverviewScreen #health-block { height: auto; max-height: 45%; min-height: 4; }
    OverviewScreen #health-block GridTable { height: auto; max-height: 100%; }
    OverviewScreen #health-block Empty { height: auto; }
    """

    def body(self) -> ComposeResult:
        """Numbers and two tables."""
        store = self.app.store
        self.view = OverviewSeen(store)
        self._across: tuple[str, ...] = ()
        health = Derived(store.topics, self.TOPICS, self._health, lambda row: row.name)
        lines = Derived(
            store.topics, self.TOPICS, self._attention, lambda row: f"{row.severity} {row.about} {row.message}"
        )
        yield Line(id="numbers")
        yield TableBlock(
            "Networks",
            network_columns((), self.glyphs),
            health,
            self.glyphs,
            id="health",
            empty=self._no_networks,
            extra=self._hidden,
        )
        yield TableBlock(
            "To look at", attention_columns(self.glyphs), lines, self.glyphs, id="lines", empty=self._nothing_wrong
        )

    def refresh_rows(self) -> None:
        """A column per node: nodes come and go."""
        nodes = tuple(agent.node for agent in self.view.now().agents)
        if nodes != self._across:
            self._across = nodes
            self.health.set_columns(network_columns(nodes, self.glyphs))
        super().refresh_rows()

    def refresh_lines(self) -> None:
        """The numbers too."""
        self.query_one("#numbers", Line).show(numbers(self.view.now(), self.glyphs))
        super().refresh_lines()

    @property
    def health(self) -> GridTable[NetworkHealth]:
        """The upper table."""
        return self.query_one("#health", GridTable)

    @property
    def lines(self) -> GridTable[AttentionLine]:
        """The lower table."""
        return self.query_one("#lines", GridTable)

    def action_open_row(self) -> None:
        """The Network, or whatever the line is about."""
        if self.health.has_focus:
            if (row := self.health.view.cursor_row()) is not None:
                self.app.open(NETWORKS, row.name)
        elif (line := self.lines.view.cursor_row()) is not None and line.mode:
            self.app.open(line.mode, line.key or None)

    def _health(self) -> dict[str, NetworkHealth]:
        return {row.name: row for row in self.view.now().networks}

    def _attention(self) -> dict[tuple[str, str], AttentionLine]:
        lines = attention(self.view.now(), self.app.store.inventory.problems())
        return {(line.about, line.message): line for line in lines}

    def _hidden(self) -> Parts:
        hidden = self.health.hidden_columns
        return [(f"  {hidden} columns do not fit", "muted")] if hidden else []

    def _no_networks(self) -> list[str]:
        if self.app.problem:
            return [*self.app.problem.split("; ")]
        if not self.app.connected or not self.app.store.inventory.synced(NETWORKS):
            return ["Connecting …"]
        return ["This cluster has no Network.", "Next: press : and type networks, then n for a new one"]

    def _nothing_wrong(self) -> list[str]:
        if self.view.now().findings is None:
            return ["Looking …"]
        return [f"{self.glyphs.good} Nothing is wrong: no finding, no silent agent, no move in flight, no loss."]
