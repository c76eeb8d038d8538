"""Help made from the bindings that are live, and the notice for a terminal that is too small."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from bascule_console.actions.bindings import readable
from bascule_console.actions.registry import ACTIONS

LEGEND = (
    ("allow, running", "green, with a check mark"),
    ("deny, drop, failed", "orange or red, with a cross"),
    ("moving, starting", "yellow, with a tilde"),
    ("unknown", "yellow, with a question mark"),
)


class HelpScreen(ModalScreen[None]):
    """Keys of the screen below, with the headless verb that does the same."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen > VerticalScroll {
        width: 76; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; color: $foreground; border: round $primary; padding: 0 1;
    }
    HelpScreen Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark", "dismiss", "Close")]

    def __init__(self, below: Screen[Any], *, read_only: bool) -> None:
        super().__init__()
        self._below = below
        self._read_only = read_only

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield Static(self._text(), markup=False)

    def _text(self) -> Text:
        verbs = {action.id: action.verb for action in ACTIONS}
        text = Text("Keys\n", style="bold")
        for binding, enabled in self._live():
            verb = verbs.get(binding.action, "")
            text.append(f"  {readable(binding.key):<10}{binding.description:<18}", "" if enabled else "dim")
            text.append(f"{verb}\n", "dim")
        text.append("\nColours\n", style="bold")
        for meaning, look in LEGEND:
            text.append(f"  {meaning:<22}{look}\n")
        if self._read_only:
            text.append("\nRead-only: actions that change the cluster are absent.\n", style="bold")
        text.append("\nEsc closes this.", style="dim")
        return text

    def _live(self) -> list[tuple[Binding, bool]]:
        bindings = [(active.binding, active.enabled) for active in self._below.active_bindings.values()]
        return [(b, on) for b, on in bindings if b.description and not b.system]


class TooSmall(ModalScreen[None]):
    """Below the smallest size nothing can be shown truthfully."""

    DEFAULT_CSS = """
    TooSmall { align: center middle; background: $background; }
    TooSmall Static { width: auto; height: auto; color: $foreground; }
    """

    def __init__(self, smallest: tuple[int, int]) -> None:
        super().__init__()
        self._smallest = smallest

    def compose(self) -> ComposeResult:
        width, height = self._smallest
        yield Static(f"Terminal too small\nneeds {width}×{height}", markup=False)
