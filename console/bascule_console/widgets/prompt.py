"""The one line for typing: `:` goes somewhere, `/` filters. History with up and down, completion with tab."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.suggester import Suggester
from textual.widgets import Input

from bascule_console.widgets.history import History
from bascule_console.widgets.lines import Line

Candidates = Callable[[str], Sequence[str]]


class _Ghost(Suggester):
    """The first candidate in grey behind the cursor."""

    def __init__(self, candidates: Candidates) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._candidates = candidates

    async def get_suggestion(self, value: str) -> str | None:
        return next(iter(self._candidates(value)), None) if value else None


class PromptInput(Input):
    """The text being typed. Lives from opening to entering."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "submit", "Do it"),
        Binding("tab", "complete", "Complete", priority=True),
        Binding("up", "older", "Older"),
        Binding("down", "newer", "Newer"),
        Binding("escape", "leave", "Leave"),
    ]

    class Left(Message):
        """Closed without an entry."""

    def __init__(self, text: str, hint: str, history: History, candidates: Candidates) -> None:
        super().__init__(text, hint, suggester=_Ghost(candidates), compact=True, select_on_focus=False)
        self._history = history
        self._candidates = candidates
        self.cursor_blink = False  # a repaint every half second, over SSH too
        history.rewind()

    def action_complete(self) -> None:
        """The first candidate; where one is complete already, the next one."""
        if found := completed(self.value, self._candidates):
            self._put(found)

    def action_older(self) -> None:
        """The entry before."""
        self._put(self._history.older(self.value))

    def action_newer(self) -> None:
        """The entry after."""
        self._put(self._history.newer(self.value))

    def action_leave(self) -> None:
        """Close without a change."""
        self.post_message(self.Left())

    def _put(self, text: str) -> None:
        self.value = text
        self.cursor_position = len(text)


class Prompt(Horizontal):
    """The line: its kind, `:` or `/`, and the input. `candidates` gives the whole lines that begin with a text."""

    DEFAULT_CSS = """
    Prompt { height: 1; background: $panel; color: $foreground; }
    Prompt Line { width: 2; color: $foreground; }
    Prompt PromptInput, Prompt PromptInput:focus {
        width: 1fr; height: 1; border: none; padding: 0; background: $panel; color: $foreground;
    }
    """

    def __init__(self, kind: str, hint: str, text: str, history: History, candidates: Candidates) -> None:
        super().__init__(id="prompt")
        self.kind = kind
        self.input = PromptInput(text, hint, history, candidates)

    def compose(self) -> ComposeResult:
        sign = Line(id="prompt-kind")
        sign.show([(self.kind, "strong")])
        yield sign
        yield self.input


def completed(text: str, candidates: Candidates) -> str:
    """`text` completed by the first candidate, or by the one after it when it is a candidate itself; "" for none."""
    found = [*candidates(text)]
    if not found:
        return ""
    if text not in found:
        return found[0]
    every = [*candidates("")]
    return every[(every.index(text) + 1) % len(every)] if text in every else text
