"""The move screen: every live migration, with the cut-over record of the one under the cursor."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from bascule.text import escape
from bascule_console.screens.detailed import DetailedScreen
from bascule_console.screens.move.abort import ask_abort
from bascule_console.screens.move.record import has_loss
from bascule_console.screens.moves.columns import move_columns, searchable
from bascule_console.store.derived import Derived
from bascule_console.store.topics import AGENTS, INVENTORY, MOVES
from bascule_console.store.vms import ENDED_PHASES, MIGRATIONS
from bascule_console.widgets.detail import fact, heading
from bascule_console.widgets.lines import Parts
from bascule_console.widgets.tableblock import TableBlock

Row = Mapping[str, Any]


class MovesScreen(DetailedScreen[Row]):
    """Moves, newest first."""

    MODE = "moves"
    TOPICS = (INVENTORY, MOVES, AGENTS)
    AUTO_FOCUS = "#moves"
    # A whole record has fourteen lines; the moves themselves are few.
    DEFAULT_CSS = """
    MovesScreen Split > Detail { max-height: 75%; }
    """

    def block(self) -> TableBlock[Row]:
        """The moves."""
        store = self.app.store

        def rows() -> dict[Hashable, Row]:
            found = store.moves.rows(store.inventory.all(MIGRATIONS))
            return {row["migration_uid"] or row["migration"]: row for row in found}

        source: Derived[Row] = Derived(store.topics, (INVENTORY, MOVES), rows, searchable)
        return TableBlock(
            "Moves",
            move_columns(self.glyphs),
            source,
            self.glyphs,
            id="moves",
            empty=self._why_empty,
            extra=self._in_flight,
        )

    def detail(self, row: Row) -> list[Parts]:
        """The record's lines, its loss strips as wide as the pane."""
        record = self.app.store.moves.record(str(row["migration_uid"]))
        if record is None:
            return self._without_record(row)
        from bascule.continuity import summary_lines  # not before a move: most sessions never need it

        first, *rest = summary_lines(record, self.room, self.app.ascii_only)
        tone = {"kept": "good", "broken": "bad"}.get(str(row["verdict"]), "busy")
        return [[(first, tone)], *([(line, _tone(line))] for line in rest)]

    def subject(self) -> tuple[str, str] | None:
        """The migration, while it is in the cluster."""
        row = self.row
        return (MIGRATIONS, f"{row['namespace']}/{row['migration']}") if row else None

    def action_open_row(self) -> None:
        """The whole record."""
        from bascule_console.screens.move.record import RecordScreen

        row = self.row
        record = self.app.store.moves.record(str(row["migration_uid"])) if row else None
        if record is not None:
            self.app.push_screen(RecordScreen(record, ascii_only=self.app.ascii_only))
        elif row:
            self.app.notify(f"no agent has a record of {escape(str(row['migration']))}", markup=False)

    def action_abort_move(self) -> None:
        """Take the running move under the cursor back."""
        row = self.row
        if not row:
            return
        if row["phase"] in ENDED_PHASES:
            self.app.notify(f"{escape(str(row['migration']))} has ended: {row['phase']}", markup=False)
            return
        ask_abort(self.app, str(row["migration"]), f"{row['namespace']}/{row['vm']}")

    def _without_record(self, row: Row) -> list[Parts]:
        place = f"{row['source'] or '?'} {self.glyphs.arrow} {row['target'] or '?'}"
        lines = [heading(f"{row['namespace']}/{row['vm']}  {place}"), fact("phase", str(row["phase"]))]
        if row["phase"] not in ENDED_PHASES:
            return [*lines, fact("record", "not yet: the target's agent begins it when its pod is there", "busy")]
        return [*lines, fact("record", "no agent has one: the target had no agent, or it has let it go", "busy")]

    def _in_flight(self) -> Parts:
        rows: Any = self.table.view.source.rows().values()
        running = sum(row["phase"] not in ENDED_PHASES for row in rows)
        return [(f"  {self.glyphs.busy} {running} running", "busy")] if running else []

    def _why_empty(self) -> list[str]:
        if self.app.problem:
            return self.app.problem.split("; ")
        if not self.app.store.inventory.synced(MIGRATIONS) and self.app.session is not None:
            return ["Connecting …"]
        if not self.table.view.source.rows():
            return ["No VM has been moved.", "Next: :vms, then m on a VM"]
        return ["No move passes the filter.", "Next: press / and Enter on an empty line"]


def _tone(line: str) -> str:
    if line.startswith("reason:"):
        return "bad"
    if line.startswith(("missing:", "fix:")):
        return "muted"
    return "busy" if has_loss(line) else ""
