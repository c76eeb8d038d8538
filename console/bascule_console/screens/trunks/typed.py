"""The management path: a trunk there can cut its node off, so the node's name is typed, letter by letter."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from bascule.text import escape
from bascule_console.screens.dialogs import DIALOG_CSS
from bascule_console.services.trunks import ManagementPathError

if TYPE_CHECKING:
    from bascule_console.app import BasculeApp


class TypeNode(ModalScreen[bool]):
    """True once the node's name was typed exactly."""

    DEFAULT_CSS = (
        DIALOG_CSS.format(name="TypeNode")
        + """
    TypeNode > Vertical { border: round $severity-error; }
    TypeNode #question { color: $severity-error; text-style: bold; }
    TypeNode #wrong { color: $severity-error; display: none; }
    TypeNode #keys { color: $muted; }
    TypeNode Input, TypeNode Input:focus {
        border: none; height: 1; padding: 0 1; background: $panel; color: $foreground;
    }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "No")]
    app: BasculeApp

    def __init__(self, error: ManagementPathError) -> None:
        super().__init__()
        self._error = error

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(escape(f"{self.app.glyphs.bad} {self._error.message}")), id="question")
            yield Static(Text(escape(self._error.cause)))
            yield Static(Text(escape(f"If that is meant, type {self._error.node} and Enter:")))
            box = Input(compact=True)
            box.cursor_blink = False
            yield box
            yield Static("", id="wrong", markup=False)
            yield Static("esc leave it", id="keys", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Exactly the name, or nothing happens."""
        event.stop()
        if event.value == self._error.node:
            self.dismiss(True)
            return
        wrong = self.query_one("#wrong", Static)
        wrong.display = True
        wrong.update(Text(escape(f"{event.value!r} is not {self._error.node!r}")))

    def action_leave(self) -> None:
        """Not meant."""
        self.dismiss(False)
