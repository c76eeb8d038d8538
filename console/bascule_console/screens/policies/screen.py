"""The policy screen: the tree of tiers, policies and rules, and what is known about the line under the cursor."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from functools import partial

from bascule.policy.model import Identity
from bascule_console.screens.detailed import DetailedScreen
from bascule_console.screens.policies.changes import ChangesPolicies
from bascule_console.screens.policies.columns import tree_columns
from bascule_console.screens.policies.tree import POLICY, TIER, Line, lines
from bascule_console.screens.policies.words import about
from bascule_console.screens.policies.work import work
from bascule_console.store.derived import Derived
from bascule_console.store.topics import POLICIES
from bascule_console.widgets.lines import Parts
from bascule_console.widgets.table import GridTable
from bascule_console.widgets.tableblock import TableBlock


class PoliciesScreen(ChangesPolicies, DetailedScreen[Line]):
    """Tiers, policies and rules in the order in which they are asked."""

    MODE = "policies"
    TOPICS = (POLICIES,)
    AUTO_FOCUS = "#policies"

    def block(self) -> TableBlock[Line]:
        """The tree."""
        book = self.app.store.policy
        book.want()
        self._folded: set[Hashable] = set()
        self._working: Identity | None = None
        self._sort: tuple[str, bool] | None = None
        self._source = Derived(self.app.store.topics, self.TOPICS, self._lines, _searchable)
        columns = tree_columns(self.glyphs, lambda: bool(book.hits.nodes))
        return TableBlock(
            "Policies", columns, self._source, self.glyphs, id="policies", empty=self._empty, extra=self._missing
        )

    def detail(self, row: Line) -> list[Parts]:
        """What is known about the line; what a policy's rules do is worked out when it is first looked at."""
        world, hits = self.app.store.policy.world, self.app.store.policy.hits
        if world is None:
            return []
        if row.level != TIER and row.state == "enforced" and not world.known_effects(row.identity):
            self._work_out(row.identity)
        return about(row, world, hits, self.glyphs)

    def show_key(self, key: Hashable) -> bool:
        """A policy by `Kind/namespace/name` too, as other screens name it."""
        if isinstance(key, str):
            found = (line.key for line in self._source.rows().values() if line.level == POLICY)
            key = next((each for each in found if "/".join(filter(None, each[1:])) == key), key)  # type: ignore[index]
        return super().show_key(key)

    def current(self) -> Line | None:
        """The line under the cursor."""
        return self.row

    def on_grid_table_chosen(self, event: GridTable.Chosen) -> None:
        """Other keys make sense on another line."""
        row = self.row
        sort = (row.level, row.staged) if row is not None else None
        if sort != self._sort:
            self._sort = sort
            self.refresh_bindings()

    def action_fold(self) -> None:
        """Hide or show what is under the line; on a rule, its policy folds."""
        row = self.row
        if row is None:
            return
        key: Hashable = row.key if row.level in (TIER, POLICY) else (POLICY, *row.identity)
        self._folded ^= {key}
        self.app.store.policy.worked_out()
        self.tick()
        self.table.show_key(key)

    def action_open_row(self) -> None:
        """A tier folds; a policy opens."""
        from bascule_console.screens.policies.detail import PolicyDetail

        row = self.row
        if row is not None and row.level == TIER:
            self.action_fold()
        elif row is not None:
            self.app.push_screen(PolicyDetail(row.identity))

    def _lines(self) -> dict[Hashable, Line]:
        book = self.app.store.policy
        return lines(book.world, book.hits, self._folded) if book.world is not None else {}

    def _work_out(self, identity: Identity) -> None:
        if self._working == identity:
            return
        self._working = identity
        work(self, partial(self._effects, identity), "effects")

    async def _effects(self, identity: Identity) -> None:
        book = self.app.store.policy
        world = book.world
        if world is not None:
            await asyncio.to_thread(world.effects, identity)
            self._working = None
            book.worked_out()

    def _missing(self) -> Parts:
        world = self.app.store.policy.world
        return [(f"  {each}", "busy") for each in world.missing[:1]] if world else []

    def _empty(self) -> list[str]:
        if self.app.problem:
            return [*self.app.problem.split("; ")]
        if self.app.store.policy.world is None:
            return ["Reading policies …"]
        if not self._source.rows():
            return ["This cluster has no policy.", "Next: n makes one, or bascule apply -f FILE"]
        return ["No policy passes the filter.", "Next: press / and Enter on an empty line"]


def _searchable(line: Line) -> str:
    ref = "/".join(line.identity)
    return f"{line.tier} {ref} {line.name} {line.action} {line.words} {line.state} {line.effect}"
