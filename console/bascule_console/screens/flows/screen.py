"""The flow screen: every flow of every port on the line-API table; freeze, follow, sort, filter, copy, detail."""

from __future__ import annotations

import json
import time

from bascule_console.screens.detailed import DetailedScreen
from bascule_console.screens.flows.words import about, one_line, wide_columns
from bascule_console.screens.live import words
from bascule_console.store.flows import FlowLine
from bascule_console.store.topics import AGENTS, FLOWS
from bascule_console.store.vms import VMS
from bascule_console.widgets.detail import Detail
from bascule_console.widgets.lines import Parts
from bascule_console.widgets.rowview import Sort
from bascule_console.widgets.tableblock import TableBlock

DETAIL_EVERY_S = 0.25


class FlowsScreen(DetailedScreen[FlowLine]):
    """Flows. The detail is shown when asked for: rows matter more."""

    MODE = "flows"
    TOPICS = (FLOWS, AGENTS)
    TICK_HZ = 20.0
    AUTO_FOCUS = "#flows"

    def block(self) -> TableBlock[FlowLine]:
        """The flows in order of arrival, following."""
        store = self.app.store
        self._detailed = False
        self._shown_at = 0.0
        return TableBlock(
            "Flows",
            wide_columns(self.glyphs),
            store.flows,
            self.glyphs,
            id="flows",
            empty=lambda: words.no_flows(store) or ["No node is known yet."],
            follow=True,
        )

    def detail(self, row: FlowLine) -> list[Parts]:
        """Everything that is known about one flow."""
        return about(row, self.glyphs) if self._detailed else []

    def subject(self) -> tuple[str, str] | None:
        """The VM at whose port the flow was seen."""
        row = self.row
        return (VMS, f"{row.row['namespace']}/{row.row['vm']}") if row and row.row["vm"] else None

    def action_open_row(self) -> None:
        """Show or hide the detail."""
        self._detailed = not self._detailed
        self._show_detail()

    def action_freeze(self) -> None:
        """Hold the view or let it catch up."""
        self.table.toggle_freeze()
        self.show_lines()

    def action_follow(self) -> None:
        """Follow what comes, in order of arrival; or stop following."""
        view = self.table.view
        if view.follow:
            view.follow = False
        else:
            if view.sort != Sort():
                view.set_sort(Sort())
            self.table.action_last()
        self.show_lines()

    def action_copy_row(self) -> None:
        """The flow under the cursor as one line of text, by OSC 52, which also works over SSH."""
        if self.row:
            self._copy(one_line(self.row), "the flow as text")

    def action_copy_json(self) -> None:
        """The flow under the cursor as JSON, as `bascule flows` writes it."""
        if self.row:
            self._copy(json.dumps(self.row.row), "the flow as JSON")

    def action_go_vm(self) -> None:
        """The VM at whose port the flow was seen."""
        found = self.subject()
        if found is not None:
            self.app.open("vms", found[1])

    def _copy(self, text: str, what: str) -> None:
        self.app.copy_to_clipboard(text)
        self.app.notify(f"copied {what}", markup=False, timeout=2)

    def _show_detail(self) -> None:
        # Following moves the cursor at every tick; words that fast are not read, and wrapping them costs.
        now = time.monotonic()
        if self.table.view.follow and now - self._shown_at < DETAIL_EVERY_S and self.query_one(Detail).display:
            return
        self._shown_at = now
        super()._show_detail()
