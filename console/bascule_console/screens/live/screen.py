"""The live screen: VMs above, flows below. It reads the store at its own pace and repaints what changed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer, Input

from bascule_console.actions.bindings import keys
from bascule_console.screens.live import words
from bascule_console.screens.live.columns import flow_columns, vm_columns, vm_tone
from bascule_console.screens.live.widgets import Empty, Line
from bascule_console.store.flows import FlowLine
from bascule_console.store.topics import AGENTS, FLOWS, INVENTORY
from bascule_console.store.vms import VmRow
from bascule_console.widgets.filtering import FilterError, parse_filter
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.table import GridTable

if TYPE_CHECKING:
    from bascule_console.app import BasculeApp

LINES_EVERY_S = 0.25


class LiveScreen(Screen[None]):
    """One screen for the first hour: who runs where, what they say to each other, and a move from one key."""

    AUTO_FOCUS = "#vms"
    app: BasculeApp

    def __init__(self, glyphs: Glyphs, *, read_only: bool, tick_hz: float) -> None:
        super().__init__()
        self.glyphs = glyphs
        self.read_only = read_only
        self._tick_s = 1 / tick_hz
        self._tick_ms = 0.0
        for key in keys(read_only=read_only):
            self._bindings.bind(key.key, key.action, key.label, show=key.footer, priority=key.key == "tab")

    def compose(self) -> ComposeResult:
        store = self.app.store
        yield Line(id="banner")
        yield Line(id="vms-title")
        yield GridTable(vm_columns(self.glyphs), store.vms, self.glyphs, row_tone=vm_tone, id="vms")
        yield Empty(id="no-vms")
        yield Line(id="flows-title")
        yield GridTable(
            flow_columns(self.glyphs), store.flows, self.glyphs, row_tone=lambda _: "", follow=True, id="flows"
        )
        yield Empty(id="no-flows")
        yield Input(id="filter", placeholder="regular expression, ! inverts, empty shows all", compact=True)
        yield Line(id="ledger")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Start the two clocks: tables at the tick rate, lines of text at four a second."""
        self._changes = self.app.store.topics.subscribe(INVENTORY, FLOWS, AGENTS)
        self.query_one("#banner").set_class(self.read_only, "-guarded")
        self.set_interval(self._tick_s, self.tick)
        self.set_interval(LINES_EVERY_S, self.show_lines)
        self.tick()
        self.show_lines()

    @property
    def vms(self) -> GridTable[VmRow]:
        """The upper table."""
        return self.query_one("#vms", GridTable)

    @property
    def flows(self) -> GridTable[FlowLine]:
        """The lower table."""
        return self.query_one("#flows", GridTable)

    @property
    def active(self) -> GridTable[Any]:
        """The table that keys act on."""
        return self.vms if self.vms.has_focus else self.flows

    def tick(self) -> None:
        """Take in what changed since the last tick; repaint only tables that changed."""
        if not self._changes.take():
            return
        began = time.thread_time()
        self.vms.tick()
        self.flows.tick()
        self._tick_ms = 0.8 * self._tick_ms + 0.2 * (time.thread_time() - began) * 1000

    def show_lines(self) -> None:
        """Banner, titles, empty states, ledger and status."""
        store, app = self.app.store, self.app
        for table, name, source in ((self.vms, "VMs", store.vms), (self.flows, "Flows", store.flows)):
            table.tick()  # a large table may still owe a reordering
            total = len(source.rows())
            left, right = words.title(name, table.view, total, active=table.has_focus, glyphs=self.glyphs)
            if table is self.vms:
                left += words.failed(store, self.glyphs)
            self.query_one(f"#{table.id}-title", Line).show(left, right)
        banner = words.banner(store, app.context, self.glyphs, read_only=self.read_only)
        self.query_one("#banner", Line).show(*banner)
        self._show_empty(app.problem)
        status = words.status(store, self._tick_ms, time.time_ns())
        self.query_one("#ledger", Line).show(words.ledger(store, self.glyphs), status)

    def _show_empty(self, problem: str) -> None:
        without_vms, without_flows = not len(self.vms.view), not len(self.flows.view)
        self.set_class(without_vms, "-no-vms")
        self.set_class(without_flows, "-no-flows")
        store = self.app.store
        lines = (
            words.no_vms(store, problem, connected=self.app.session is None or bool(self.app.context))
            if without_vms
            else []
        )
        self.query_one("#no-vms", Empty).show(lines)
        self.query_one("#no-flows", Empty).show(words.no_flows(store) if without_flows else [])

    # -- actions (ids of actions/registry.py) ----------------------------------------------------------------

    def action_switch_table(self) -> None:
        """The other table takes the keys."""
        (self.flows if self.vms.has_focus else self.vms).focus()
        self.show_lines()

    def action_freeze(self) -> None:
        """Hold or release the flow table, wherever the cursor is: VMs are too few to run away."""
        self.flows.toggle_freeze()
        self.show_lines()

    def action_sort_next(self) -> None:
        """Order the active table by its next column."""
        self.active.sort_next()

    def action_sort_reverse(self) -> None:
        """Turn the active table's order round."""
        self.active.sort_reverse()

    def action_filter(self) -> None:
        """Open the filter line for the active table."""
        self._filtered = self.active
        self.add_class("-filtering")
        box = self.query_one("#filter", Input)
        box.value = self._filtered.view.filter.text
        box.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take the filter, or say where it breaks and keep the line open."""
        try:
            self._filtered.set_filter(parse_filter(event.value))
        except FilterError as error:
            self.app.say(error)
            return
        self._end_filter()

    def key_escape(self) -> None:
        """Leave the filter line without a change."""
        if self.has_class("-filtering"):
            self._end_filter()

    def _end_filter(self) -> None:
        self.remove_class("-filtering")
        self._filtered.focus()
        self.show_lines()

    def action_move_vm(self) -> None:
        """Move the VM under the cursor."""
        row = self.vms.view.cursor_row()
        if row is not None:
            self.app.start_move(row)

    def action_last_record(self) -> None:
        """Show the last move record of the VM under the cursor."""
        row = self.vms.view.cursor_row()
        if row is not None:
            self.app.show_record(row)

    def action_help(self) -> None:
        """What the keys do, from the bindings that are live now."""
        self.app.show_help(self)

    def action_quit(self) -> None:
        """End the app."""
        self.app.exit()
