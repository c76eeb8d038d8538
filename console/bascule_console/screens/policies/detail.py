"""One policy: its rules with hits and effects, and the NICs that it selects."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Any

from textual.app import ComposeResult

from bascule.policy.endpoints import Endpoint
from bascule.policy.model import Identity
from bascule_console.screens.policies.changes import ChangesPolicies
from bascule_console.screens.policies.columns import tree_columns
from bascule_console.screens.policies.tree import POLICY, RULE, Line, lines
from bascule_console.screens.policies.words import about
from bascule_console.screens.policies.work import work
from bascule_console.store.derived import Derived
from bascule_console.store.topics import POLICIES
from bascule_console.widgets.columns import Column
from bascule_console.widgets.detail import Detail
from bascule_console.widgets.table import GridTable
from bascule_console.widgets.tableblock import TableBlock


class PolicyDetail(ChangesPolicies):
    """Pushed over the tree, about one policy."""

    TOPICS = (POLICIES,)
    AUTO_FOCUS = "#rules"
    DEFAULT_CSS = """
    PolicyDetail > Detail { height: auto; max-height: 40%; background: $panel; }
    PolicyDetail #rules-block { height: auto; max-height: 45%; min-height: 4; }
    PolicyDetail #rules-block GridTable { height: auto; max-height: 100%; }
    """

    def __init__(self, identity: Identity) -> None:
        super().__init__()
        self._identity = identity
        self._rules: Derived[Line]

    @property
    def crumb(self) -> str:
        """The policy."""
        return "/".join(part for part in self._identity if part)

    def body(self) -> ComposeResult:
        """Rules, what is known about the one under the cursor, NICs."""
        book, topics, glyphs = self.app.store.policy, self.app.store.topics, self.glyphs
        self._rules = Derived(topics, self.TOPICS, self._lines, lambda line: f"{line.name} {line.words}")
        nics = Derived(topics, self.TOPICS, self._nics, lambda nic: f"{nic.name} {' '.join(nic.ips)}")
        columns = tree_columns(glyphs, lambda: bool(book.hits.nodes))
        yield TableBlock("Rules", columns, self._rules, glyphs, id="rules", empty=self._gone)
        yield Detail(id="detail")
        yield TableBlock("NICs that it selects", _nic_columns(), nics, glyphs, id="nics", empty=self._none)

    def on_mount(self) -> None:
        """What the rules do is worked out beside the screen."""
        work(self, self._effects, "effects")

    def current(self) -> Line | None:
        """The line under the cursor of the rules."""
        table = self.query_one("#rules", GridTable)
        row: Line | None = table.view.cursor_row()
        return row

    def refresh_lines(self) -> None:
        """The tables' words, and the detail."""
        super().refresh_lines()
        line, book = self.current(), self.app.store.policy
        shown = about(line, book.world, book.hits, self.glyphs) if line is not None and book.world is not None else []
        self.query_one(Detail).show_lines(shown)

    def on_grid_table_chosen(self, _event: GridTable.Chosen) -> None:
        """Another rule is looked at."""
        if self.query("#detail"):
            self.refresh_lines()

    def action_open_row(self) -> None:
        """The NIC's VM."""
        table = self.query_one("#nics", GridTable)
        if table.has_focus and (nic := table.view.cursor_row()) is not None and nic.vm:
            self.app.open("vms", f"{nic.namespace}/{nic.vm}")

    async def _effects(self) -> None:
        book = self.app.store.policy
        if book.world is not None and not book.world.known_effects(self._identity):
            await asyncio.to_thread(book.world.effects, self._identity)
            book.worked_out()

    def _lines(self) -> dict[Hashable, Line]:
        book = self.app.store.policy
        every = lines(book.world, book.hits, ()) if book.world is not None else {}
        return {
            key: line for key, line in every.items() if line.identity == self._identity and line.level in (POLICY, RULE)
        }

    def _nics(self) -> dict[Hashable, Endpoint]:
        world = self.app.store.policy.world
        policy = world.every.get(self._identity) if world is not None else None
        return {nic.key: nic for nic in world.selected(policy)} if world is not None and policy is not None else {}

    def _gone(self) -> list[str]:
        return [f"{self.crumb} is not there any more.", "Next: esc"]

    def _none(self) -> list[str]:
        return ["It selects no NIC.", "Next: e changes its selector; bascule selectors check tries one"]


def _nic_columns() -> list[Column[Any]]:
    def ips(nic: Endpoint) -> str:
        return ",".join(nic.ips)

    return [
        Column("name", "NIC", 22, lambda r: r.name, lambda r: r.name, tone=lambda _: "name", grow=2, most=48),
        Column("ips", "ADDRESS", 15, ips, ips, grow=1, most=24),
        Column("network", "NETWORK", 10, lambda r: r.network, lambda r: r.network, priority=1, grow=1, most=20),
        Column("vlan", "VLAN", 4, lambda r: str(r.vlan or ""), lambda r: r.vlan, right=True),
        Column("pod", "POD", 20, lambda r: r.pod, lambda r: r.pod, priority=2, grow=2, most=50),
    ]
