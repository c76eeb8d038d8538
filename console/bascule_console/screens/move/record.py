"""The cut-over record on screen: the same lines as on the command line, with the verdict coloured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from bascule.text import escape
from bascule_console.widgets.theme import rich_color

DIALOG, EDGES = 100, 5  # the dialog's width in cells; its border, padding and scrollbar
_INK = {"kept": "verdict-allow", "broken": "verdict-drop"}


def record_text(app: App[Any], record: Mapping[str, Any], *, ascii_only: bool) -> Text:
    """The record's summary lines (bascule.continuity) for a dialog's width, the first in the verdict's colour."""
    from bascule.continuity import summary_lines  # not before a move: most sessions never need it

    first, *rest = [escape(line) for line in summary_lines(record, min(DIALOG, app.size.width) - EDGES, ascii_only)]
    ink = rich_color(app, _INK.get(str(record.get("verdict")), "verdict-unknown"))
    return Text.assemble((first, f"bold {ink}"), *(f"\n{line}" for line in rest))


class RecordScreen(ModalScreen[None]):
    """One record, to read again."""

    DEFAULT_CSS = """
    RecordScreen { align: center middle; background: $background 60%; }
    RecordScreen > VerticalScroll {
        width: 100; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; color: $foreground; border: round $primary; padding: 0 1;
    }
    RecordScreen Static { height: auto; }
    RecordScreen VerticalScroll { scrollbar-size: 1 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,r", "dismiss", "Close")]

    def __init__(self, record: Mapping[str, Any], *, ascii_only: bool) -> None:
        super().__init__()
        self._record = record
        self._ascii_only = ascii_only

    def compose(self) -> ComposeResult:
        with VerticalScroll() as box:
            box.border_subtitle = "esc close"
            yield Static("", markup=False)

    def on_mount(self) -> None:
        """Lay the record out for this width."""
        self.query_one(Static).update(record_text(self.app, self._record, ascii_only=self._ascii_only))
