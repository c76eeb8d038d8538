"""A hypervisor's credentials, asked for on the screen while a thread waits. Nothing of them is kept here."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from bascule.text import escape
from bascule_console.screens.base import BasculeScreen
from bascule_console.screens.dialogs import DIALOG_CSS


class AskDialog(ModalScreen[str]):
    """Returns what was typed; "" gives up."""

    DEFAULT_CSS = (
        DIALOG_CSS.format(name="AskDialog")
        + """
    AskDialog #question { text-style: bold; }
    AskDialog #keys { color: $muted; }
    AskDialog Input, AskDialog Input:focus {
        border: none; height: 1; padding: 0 1; background: $panel; color: $foreground;
    }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Give up")]

    def __init__(self, question: str, *, visible: bool) -> None:
        super().__init__()
        self._question, self._visible = question, visible

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(Text(escape(self._question)), id="question")
            box = Input(compact=True, password=not self._visible)
            box.cursor_blink = False
            yield box
            yield Static("enter take it, it is not kept here   esc give up", id="keys", markup=False)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Typed."""
        event.stop()
        self.dismiss(event.value)

    def action_leave(self) -> None:
        """Given up."""
        self.dismiss("")


class Asks(BasculeScreen):
    """Mixed into a screen whose services ask for credentials from a thread of their own."""

    def ask(self, loop: asyncio.AbstractEventLoop, question: str, visible: bool) -> str:
        """Ask, and wait for the answer; "" where the app ends meanwhile. Called in another thread."""
        if not self.app.is_running:
            return ""
        asked = asyncio.run_coroutine_threadsafe(self._ask(question, visible), loop)
        return asked.result()

    async def _ask(self, question: str, visible: bool) -> str:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def answered(typed: str | None) -> None:
            if not answer.done():
                answer.set_result(typed or "")

        self.app.push_screen(AskDialog(question, visible=visible), answered)
        while not answer.done() and self.app.is_running:  # an app that ends dismisses nothing
            await asyncio.wait([answer], timeout=0.5)
        return answer.result() if answer.done() else ""
