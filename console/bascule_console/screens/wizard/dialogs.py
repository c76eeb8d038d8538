"""Dialogs of the wizard: choose one of several, look at a diff."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from bascule.text import escape
from bascule_console.screens.dialogs import DIALOG_CSS
from bascule_console.widgets.difftext import diff_text
from bascule_console.widgets.lines import Parts
from bascule_console.widgets.theme import ink

if TYPE_CHECKING:
    from bascule_console.app import BasculeApp

AROUND = 6


class PickDialog(ModalScreen[int | None]):
    """Returns the number of the entry that was chosen, from 0. `open_` are those that can be; digits choose too."""

    DEFAULT_CSS = (
        DIALOG_CSS.format(name="PickDialog")
        + """
    PickDialog > Vertical { width: 78; }
    PickDialog OptionList, PickDialog OptionList:focus {
        height: auto; background: $surface; color: $foreground; border: none; padding: 0; scrollbar-size: 1 1;
    }
    PickDialog OptionList:focus > .option-list--option-highlighted { background: $cursor; color: $cursor-ink; }
    PickDialog #keys { color: $muted; }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Leave"),
        Binding("j", "down", show=False),
        Binding("k", "up", show=False),
        *(Binding(str(digit), f"take({digit - 1})", show=False) for digit in range(1, 10)),
    ]
    app: BasculeApp

    def __init__(self, title: str, entries: Sequence[Parts], can: Sequence[bool], at: int = 0) -> None:
        super().__init__()
        self._title, self._entries, self._can, self._at = title, entries, can, at

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = Text(escape(self._title)).markup
            yield OptionList(
                *(
                    Option(self._text(parts), disabled=not can)
                    for parts, can in zip(self._entries, self._can, strict=True)
                )
            )
            yield Static("enter take it   esc leave", id="keys", markup=False)

    def on_mount(self) -> None:
        """Begin where one is."""
        options = self.query_one(OptionList)
        options.styles.max_height = max(3, self.size.height - AROUND)
        options.highlighted = self._at
        options.focus()

    def _text(self, parts: Parts) -> Text:
        return Text.assemble(*((escape(words), ink(self.app, tone)) for words, tone in parts))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """This one."""
        event.stop()
        self.dismiss(event.option_index)

    def action_take(self, at: int) -> None:
        """By its number."""
        if at < len(self._can) and self._can[at]:
            self.dismiss(at)

    def action_down(self) -> None:
        """One down."""
        self.query_one(OptionList).action_cursor_down()

    def action_up(self) -> None:
        """One up."""
        self.query_one(OptionList).action_cursor_up()

    def action_leave(self) -> None:
        """None of them."""
        self.dismiss(None)


class DiffDialog(ModalScreen[None]):
    """A unified diff to read and scroll."""

    DEFAULT_CSS = (
        DIALOG_CSS.format(name="DiffDialog")
        + """
    DiffDialog > VerticalScroll {
        width: 110; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; color: $foreground; border: round $primary; padding: 0 1; scrollbar-size: 1 1;
    }
    """
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,v,f5", "leave", "Close"),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]

    def __init__(self, title: str, diff: str) -> None:
        super().__init__()
        self._title, self._diff = title, diff

    def compose(self) -> ComposeResult:
        with VerticalScroll() as box:
            box.border_title, box.border_subtitle = Text(escape(self._title)).markup, "esc close"
            yield Static(diff_text(self.app, self._diff), markup=False)

    def action_scroll(self, lines: int) -> None:
        """By a line."""
        self.query_one(VerticalScroll).scroll_relative(y=lines, animate=False)

    def action_leave(self) -> None:
        """Seen."""
        self.dismiss(None)
