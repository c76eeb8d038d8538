"""A field with a few answers: all of them on one line where they fit, the chosen one in brackets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.app import RenderResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

from bascule.migration.wizard_page import Choice
from bascule.text import escape
from bascule_console.widgets.theme import bar, ink

NONE = "not answered"


class Choose(Widget, can_focus=True):
    """left and right, or space, choose. Choosing is answering."""

    DEFAULT_CSS = "Choose { height: auto; width: 1fr; padding: 0 1; background: $panel; color: $foreground; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,space,l", "turn(1)", "Next answer", show=False),
        Binding("left,h", "turn(-1)", "Answer before", show=False),
        Binding("delete,backspace", "forget", "Take it back", show=False),
    ]

    class Chosen(Message):
        """Another answer is chosen."""

        def __init__(self, chooser: Choose) -> None:
            super().__init__()
            self.chooser = chooser

    def __init__(self, choices: Sequence[Choice], value: str) -> None:
        super().__init__()
        self.choices = tuple(choices)
        self.value = value

    def offer(self, choices: Sequence[Choice], value: str) -> None:
        """Other answers, or another one counts."""
        if (tuple(choices), value) != (self.choices, self.value):
            self.choices, self.value = tuple(choices), value
            self.refresh(layout=True)

    @property
    def at(self) -> int | None:
        """Which one is chosen."""
        return next((at for at, each in enumerate(self.choices) if each.value == self.value), None)

    def action_turn(self, step: int) -> None:
        """Choose the next one, round and round."""
        if not self.choices:
            return
        here = self.at
        first = 0 if step > 0 else len(self.choices) - 1
        self.value = self.choices[first if here is None else (here + step) % len(self.choices)].value
        self.refresh(layout=True)
        self.post_message(self.Chosen(self))

    def action_forget(self) -> None:
        """Take the answer back."""
        if self.value:
            self.value = ""
            self.refresh(layout=True)
            self.post_message(self.Chosen(self))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """One line, or as many as the answers take one under the other."""
        return self._laid_out(max(8, width)).plain.count("\n") + 1

    def render(self) -> RenderResult:
        """Every answer; the chosen one is in brackets, and under the cursor when this has the focus."""
        return self._laid_out(max(8, self.content_size.width))

    def _laid_out(self, width: int) -> Text:
        here = self.at
        style = bar(self.app, "cursor") if self.has_focus else Style(bold=True)
        words = [Text(NONE, ink(self.app, "muted"))] if here is None else []
        for at, each in enumerate(self.choices):
            label = escape(each.label or each.value)
            words.append(Text(f"[{label}]", style) if at == here else Text(f" {label} "))
        line = Text(" ").join(words)
        if line.cell_len <= width:
            return line
        return Text("\n").join(part for text in words for part in text.wrap(self.app.console, width))
