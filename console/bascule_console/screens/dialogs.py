"""Dialogs that any screen uses: a question before danger, and text to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from bascule.text import escape
from bascule_console.actions.bindings import confirm_text
from bascule_console.actions.model import Action

DIALOG_CSS = """
{name} {{ align: center middle; background: $background 60%; }}
{name} > Vertical {{
    width: 76; max-width: 100%; height: auto; max-height: 100%;
    background: $surface; color: $foreground; border: round $primary; padding: 0 1;
}}
{name} Static {{ height: auto; }}
"""


class Confirm(ModalScreen[bool]):
    """The action's question: y or n; `typed` wants the name of what is about to change, letter by letter."""

    DEFAULT_CSS = (
        DIALOG_CSS.format(name="Confirm")
        + """
    Confirm > Vertical { border: round $severity-warning; }
    Confirm #question { color: $severity-warning; text-style: bold; }
    Confirm #wrong { color: $severity-error; display: none; }
    Confirm #keys { color: $muted; }
    Confirm Input, Confirm Input:focus {
        border: none; height: 1; padding: 0 1; background: $panel; color: $foreground;
    }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "no", "No"),
        Binding("n", "no", "No"),
        Binding("y", "yes", "Yes"),
    ]

    def __init__(self, action: Action, subject: Mapping[str, str], *, typed: bool) -> None:
        super().__init__()
        self._question = confirm_text(action, **subject)
        self._name = subject["name"]
        self._typed = typed

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(escape(self._question)), id="question")
            if self._typed:
                yield Static(Text(escape(f"This context is protected. Type {self._name} and Enter:")))
                box = Input(compact=True)
                box.cursor_blink = False
                yield box
                yield Static("", id="wrong", markup=False)
                yield Static("esc cancel", id="keys", markup=False)
            else:
                yield Static("y do it   n or esc cancel", id="keys", markup=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Where the name has to be typed, y and n are letters."""
        return not (self._typed and action == "yes")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Exactly the name, or nothing happens."""
        event.stop()
        if event.value == self._name:
            self.dismiss(True)
            return
        wrong = self.query_one("#wrong", Static)
        wrong.display = True
        wrong.update(Text(escape(f"{event.value!r} is not {self._name!r}")))

    def action_yes(self) -> None:
        """Sure."""
        self.dismiss(True)

    def action_no(self) -> None:
        """Not sure."""
        self.dismiss(False)


class TextDialog(ModalScreen[None]):
    """Lines to read and scroll."""

    DEFAULT_CSS = (
        DIALOG_CSS.format(name="TextDialog")
        + """
    TextDialog > VerticalScroll {
        width: 100; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; color: $foreground; border: round $primary; padding: 0 1; scrollbar-size: 1 1;
    }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,y,d", "dismiss", "Close")]

    def __init__(self, title: str, lines: Sequence[str]) -> None:
        super().__init__()
        self._heading = title
        self._lines = lines

    def compose(self) -> ComposeResult:
        with VerticalScroll() as box:
            box.border_title, box.border_subtitle = Text(escape(self._heading)).markup, "esc close"
            yield Static(Text("\n".join(escape(line) for line in self._lines)), markup=False)


def yaml_lines(obj: Mapping[str, Any]) -> list[str]:
    """An API object as YAML, without the bookkeeping of field managers."""
    import yaml  # not before it is asked for

    meta = {key: value for key, value in (obj.get("metadata") or {}).items() if key != "managedFields"}
    text: str = yaml.safe_dump({**obj, "metadata": meta}, sort_keys=False, allow_unicode=True)
    return text.splitlines()
