"""One record of the journal: who, what, when, where, its place in the chain, and what it changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from bascule.journal import Record
from bascule.text import escape
from bascule_console.screens.dialogs import DIALOG_CSS
from bascule_console.store.journal import JournalRow, record_diff
from bascule_console.widgets.difftext import diff_text

if TYPE_CHECKING:
    from bascule_console.app import BasculeApp


class RecordDialog(ModalScreen[None]):
    """A record to read."""

    DEFAULT_CSS = (
        DIALOG_CSS.format(name="RecordDialog")
        + """
    RecordDialog > VerticalScroll {
        width: 100; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; color: $foreground; border: round $primary; padding: 0 1; scrollbar-size: 1 1;
    }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "dismiss", "Close")]
    app: BasculeApp

    def __init__(self, row: JournalRow, record: Record) -> None:
        super().__init__()
        self._row = row
        self._record = record

    def compose(self) -> ComposeResult:
        with VerticalScroll() as box:
            box.border_title, box.border_subtitle = f"Record {self._row.seq}", "esc close"
            yield Static(self._facts(), markup=False)
            yield Static(diff_text(self.app, record_diff(self._record)), markup=False)

    def _facts(self) -> Text:
        row = self._row
        lines = [
            f"{row.what} {row.label}   {row.time}",
            f"by {row.user}@{row.host}   context {row.context or '-'}   {row.server}",
            f"{row.state}   hash {row.hash[:16]}",
        ]
        return Text("\n".join(escape(line) for line in lines) + "\n", "bold")
