"""The live screen: VMs above, flows below. One screen for the first hour."""

from __future__ import annotations

from textual.app import ComposeResult

from bascule_console.screens.flows.filtering import FlowFiltering
from bascule_console.screens.live import words
from bascule_console.screens.live.columns import flow_columns, vm_columns, vm_tone
from bascule_console.store.flowline import FlowLine
from bascule_console.store.topics import AGENTS, FLOWS, INVENTORY
from bascule_console.store.vms import VMS, VmRow
from bascule_console.widgets.table import GridTable
from bascule_console.widgets.tableblock import TableBlock


class LiveScreen(FlowFiltering):
    """Who runs where, what they say to each other, and a move from one key.

    Its style stands in app.tcss: a sheet of its own would have the app parse all of them again before the first paint.
    """

    MODE = "live"
    TOPICS = (INVENTORY, FLOWS, AGENTS)
    TICK_HZ = 20.0
    AUTO_FOCUS = "#vms"

    def body(self) -> ComposeResult:
        """Two tables."""
        store, glyphs = self.app.store, self.glyphs
        yield TableBlock(
            "VMs",
            vm_columns(glyphs),
            store.vms,
            glyphs,
            id="vms",
            row_tone=vm_tone,
            empty=lambda: words.no_vms(store, self.app.problem, connected=self.app.connected),
            extra=lambda: words.failed(store, glyphs),
        )
        yield TableBlock(
            "Flows",
            flow_columns(glyphs),
            store.flows,
            glyphs,
            id="flows",
            empty=lambda: words.no_flows(store),
            follow=True,
        )

    @property
    def vms(self) -> GridTable[VmRow]:
        """The upper table."""
        return self.query_one("#vms", GridTable)

    @property
    def flows(self) -> GridTable[FlowLine]:
        """The lower table."""
        return self.query_one("#flows", GridTable)

    def subject(self) -> tuple[str, str] | None:
        """The VM under the cursor."""
        row = self.vms.view.cursor_row()
        return (VMS, row.key) if row is not None else None

    def action_freeze(self) -> None:
        """Hold or release the flow table, wherever the cursor is: VMs are too few to run away."""
        self.flows.toggle_freeze()
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

    def action_open_row(self) -> None:
        """The VM or the flow under the cursor, on the screen of its kind."""
        if self.flows.has_focus:
            self.app.open("flows", self.flows.view.cursor)
        else:
            self.app.open("vms", self.vms.view.cursor)
