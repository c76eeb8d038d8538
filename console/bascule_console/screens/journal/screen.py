"""The journal, newest first: what was done, by whom; Enter shows what it changed, u takes it back."""

from __future__ import annotations

from textual.app import ComposeResult

from bascule_console.actions.registry import action
from bascule_console.screens.base import BasculeScreen
from bascule_console.store.derived import Derived
from bascule_console.store.journal import JournalRow
from bascule_console.store.topics import JOURNAL
from bascule_console.widgets.columns import Column
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.lines import Parts
from bascule_console.widgets.table import GridTable
from bascule_console.widgets.tableblock import TableBlock


def columns(glyphs: Glyphs) -> list[Column[JournalRow]]:
    """The table's columns."""

    def state(row: JournalRow) -> str:
        if row.undone_by is not None:
            return f"{glyphs.off} by #{row.undone_by}"
        return f"{glyphs.good} {row.undo}" if row.undo else f"{glyphs.unknown} none known"

    def tone(row: JournalRow) -> str:
        return "muted" if row.undone_by is not None else "" if row.undo else "unknown"

    return [
        Column("seq", "#", 4, lambda r: str(r.seq), lambda r: r.seq, right=True),
        Column("time", "TIME (UTC)", 14, _when, lambda r: r.time, priority=1),
        Column("user", "WHO", 8, lambda r: r.user, lambda r: r.user, priority=3, grow=1, most=16),
        Column("host", "HOST", 10, lambda r: r.host, lambda r: r.host, priority=5, grow=1, most=20),
        Column("context", "CONTEXT", 10, lambda r: r.context, lambda r: r.context, priority=4, grow=1, most=24),
        Column("what", "WHAT", 9, lambda r: r.what, lambda r: r.what),
        Column("object", "OBJECT", 20, lambda r: r.label, lambda r: r.label, tone=lambda _: "name", grow=3, most=80),
        Column("state", "UNDO", 13, state, lambda r: r.state, priority=2, tone=tone),
    ]


class JournalScreen(BasculeScreen):
    """Every record of the journal on this machine."""

    MODE = "journal"
    TOPICS = (JOURNAL,)
    AUTO_FOCUS = "#journal"

    def body(self) -> ComposeResult:
        """One table."""
        store = self.app.store
        source = Derived(store.topics, self.TOPICS, self._rows, _searchable)
        yield TableBlock(
            "Journal", columns(self.glyphs), source, self.glyphs, id="journal", empty=self._empty, extra=self._chain
        )

    @property
    def table(self) -> GridTable[JournalRow]:
        """The table."""
        return self.query_one("#journal", GridTable)

    def action_open_row(self) -> None:
        """The record under the cursor, with what it changed."""
        from bascule_console.screens.journal.record import RecordDialog

        row = self.table.view.cursor_row()
        record = self.app.store.journal.record(row.seq) if row else None
        if row is not None and record is not None:
            self.app.push_screen(RecordDialog(row, record))

    def action_undo_record(self) -> None:
        """Take back what the record under the cursor did, after a look at what that would change."""
        from bascule_console.screens.networks.changes import session_of
        from bascule_console.screens.review.screen import Review
        from bascule_console.services.proposal import of_undo

        row = self.table.view.cursor_row()
        if row is not None:
            self.app.push_screen(Review(action("undo_record"), of_undo(session_of(self.app), row.seq)))

    def _rows(self) -> dict[int, JournalRow]:
        return self.app.store.journal.rows()

    def _chain(self) -> Parts:
        journal = self.app.store.journal
        if journal.fault:
            return [(f"  {self.glyphs.bad} {journal.fault}", "bad")]
        return [(f"  {self.glyphs.good} chain whole", "good")] if journal.records else []

    def _empty(self) -> list[str]:
        journal = self.app.store.journal
        if journal.fault:
            return [journal.fault, "Next: bascule journal verify"]
        if not journal.records:
            return ["Nothing was changed from this machine yet.", f"Changes will be recorded in {journal.path}"]
        return ["No record passes the filter.", "Next: press / and Enter on an empty line"]


def _when(row: JournalRow) -> str:
    """Month, day and time of an ISO 8601 time."""
    return row.time[5:19].replace("T", " ")


def _searchable(row: JournalRow) -> str:
    return f"{row.time} {row.user} {row.host} {row.context} {row.what} {row.label} {row.state}"
