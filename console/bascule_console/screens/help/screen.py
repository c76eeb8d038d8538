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
from bascule_console.actions.registry import all_actions
from bascule_console.screens.modes import MODES
from bascule_console.widgets.table import GridTable
from bascule_console.widgets.theme import rich_color

MOTIONS = frozenset(binding.action for binding in GridTable.BINDINGS if isinstance(binding, Binding))
LEGEND = (
    ("allow, running", "verdict-allow", "with a check mark"),
    ("deny", "verdict-deny", "with a cross"),
    ("drop, failed", "verdict-drop", "with a cross"),
    ("moving, starting", "severity-warning", "with a tilde"),
    ("unknown", "verdict-unknown", "with a question mark"),
)


class HelpScreen(ModalScreen[None]):
    """Keys of the screen below, with the headless verb that does the same. Only what is bound now is listed."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; background: $background 60%; }
    HelpScreen > VerticalScroll {
        width: 76; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; color: $foreground; border: round $primary; padding: 0 1;
    }
    HelpScreen Static { height: auto; }
    HelpScreen VerticalScroll { scrollbar-size: 1 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark", "dismiss", "Close")]

    def __init__(self, below: Screen[Any], *, read_only: bool) -> None:
        super().__init__()
        self._below = below
        self._read_only = read_only

    def compose(self) -> ComposeResult:
        with VerticalScroll() as box:
            box.border_title, box.border_subtitle = self._title(), "esc close"
            yield Static(self._text(), markup=False)

    def _title(self) -> str:
        title = next((each.title for each in MODES if each.id == getattr(self._below, "MODE", "")), "")
        return f"Keys of {title}" if title else "Keys"

    def _text(self) -> Text:
        verbs = {action.id: action.verb for action in all_actions()}
        place = {action.id: at for at, action in enumerate(all_actions())}
        live = dict(sorted(self._live().items(), key=lambda item: place.get(item[0], len(place))))
        text = Text()
        for heading, wanted in (("Actions", verbs.__contains__), ("Tables", MOTIONS.__contains__)):
            text.append(f"{heading}\n", style="bold")
            for action, (keys, label) in live.items():
                if wanted(action):
                    text.append(f"  {' '.join(keys):<12}{label:<20}{verbs.get(action, '')}".rstrip() + "\n")
        text.append("Places, typed after :\n", style="bold")
        for mode in MODES:
            text.append(f"  {mode.id:<12}{' '.join(mode.aliases)}\n")
        text.append("Colours\n", style="bold")
        for meaning, role, sign in LEGEND:
            text.append(f"  {meaning:<20}", style=rich_color(self.app, role))
            text.append(f"{sign}\n")
        if self._read_only:
            text.append("Read-only: actions that change the cluster are absent.\n", style="bold")
        return text

    def _live(self) -> dict[str, tuple[list[str], str]]:
        """Action → (keys, label) of the screen below, as its bindings are now."""
        labels = {action.id: action.label for action in all_actions()}
        found: dict[str, tuple[list[str], str]] = {}
        for active in self._below.active_bindings.values():
            binding = active.binding
            keys, _ = found.setdefault(binding.action, ([], labels.get(binding.action, binding.description)))
            keys.append(readable(binding.key))
        return found


class TooSmall(ModalScreen[None]):
    """Below the smallest size nothing can be shown truthfully."""

    DEFAULT_CSS = """
    TooSmall { align: center middle; background: $background; }
    TooSmall Static { width: auto; height: auto; color: $foreground; }
    """

    def __init__(self, smallest: tuple[int, int]) -> None:
        super().__init__(classes="-too-small")
        self._smallest = smallest

    def compose(self) -> ComposeResult:
        width, height = self._smallest
        yield Static(f"Terminal too small\nneeds {width}×{height}", markup=False)
