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

DIALOG, WIDE, EDGES = 100, 124, 5  # widths in cells of the dialog and of the record; its border, padding and scrollbar
LOSS = frozenset("▁▂▃▄▅▆▇█")
_INK = {"kept": "verdict-allow", "broken": "verdict-drop"}


def record_text(app: App[Any], record: Mapping[str, Any], *, ascii_only: bool, most: int = DIALOG) -> Text:
    """The record's summary lines (bascule.continuity) for a dialog's width, the first in the verdict's colour."""
    from bascule.continuity import summary_lines  # not before a move: most sessions never need it

    first, *rest = [escape(line) for line in summary_lines(record, min(most, app.size.width) - EDGES, ascii_only)]
    ink = rich_color(app, _INK.get(str(record.get("verdict")), "verdict-unknown"))
    busy = rich_color(app, "severity-warning")
    return Text.assemble((first, f"bold {ink}"), *((f"\n{line}", busy if has_loss(line) else "") for line in rest))


def has_loss(line: str) -> bool:
    """Whether a line is a loss strip with a loss in it."""
    return any(char in LOSS for char in line)


def full_text(app: App[Any], record: Mapping[str, Any], *, ascii_only: bool) -> Text:
    """The whole record: the summary, then every section of `record_lines`; headings stand out, bad news is coloured."""
    from bascule.continuity.lines import record_lines

    width = min(WIDE, app.size.width) - EDGES
    text = record_text(app, record, ascii_only=ascii_only, most=WIDE)
    text.append("\n")
    muted, bad = rich_color(app, "muted"), rich_color(app, _INK["broken"])
    for line in record_lines(record, width, ascii_only):
        heading = line.isupper() and not line.startswith(" ")
        style = (
            "bold" if heading else muted if line.startswith("  missing:") else bad if line.startswith("error") else ""
        )
        text.append("\n" + escape(line), style)
    return text


class RecordScreen(ModalScreen[None]):
    """One record, to read again."""

    DEFAULT_CSS = """
    RecordScreen { align: center middle; background: $background 60%; }
    RecordScreen > VerticalScroll {
        width: 124; max-width: 100%; height: auto; max-height: 100%;
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
            box.border_subtitle = "up down scroll   esc close"
            yield Static("", markup=False)

    def on_mount(self) -> None:
        """Lay the record out for this width."""
        self.query_one(Static).update(full_text(self.app, self._record, ascii_only=self._ascii_only))
        self.query_one(VerticalScroll).focus()
