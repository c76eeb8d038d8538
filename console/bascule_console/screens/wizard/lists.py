"""Lists of a page that one can choose from: problems, what can be done, what would be applied. Enter opens one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from bascule.migration.wizard_page import Action, Apply, Problem
from bascule.text import escape
from bascule_console.screens.wizard.words import VERDICT_TONES, name
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.lines import Line, Parts
from bascule_console.widgets.theme import ink

if TYPE_CHECKING:
    from bascule_console.app import BasculeApp

T = TypeVar("T")
AROUND, HANG = 3, 4  # cells of padding and scroll bar; how far a line that goes on is indented


class Listed(Vertical, Generic[T]):
    """A heading and entries of one or more lines each; hidden while there is none."""

    DEFAULT_CSS = """
    Listed { height: auto; }
    Listed OptionList, Listed OptionList:focus {
        height: auto; max-height: 14; background: $surface; color: $foreground; border: none; padding: 0 1;
        scrollbar-size: 1 1;
    }
    Listed OptionList > .option-list--option-highlighted { background: $surface; color: $foreground; text-style: none; }
    Listed OptionList:focus > .option-list--option-highlighted {
        background: $cursor-blurred; color: $cursor-blurred-ink;
    }
    """
    app: BasculeApp

    class Opened(Message):
        """Enter on an entry."""

        def __init__(self, entry: object) -> None:
            super().__init__()
            self.entry = entry

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self.entries: tuple[T, ...] = ()
        self._told: list[Text] = []
        self.display = False

    def compose(self) -> ComposeResult:
        yield Line(id=f"{self.id}-head")
        yield OptionList(markup=False)

    def heading(self) -> tuple[Parts, Parts]:
        """What stands above the entries."""
        raise NotImplementedError

    def lines(self, entry: T) -> list[Parts]:
        """One entry."""
        raise NotImplementedError

    @property
    def options(self) -> OptionList:
        """The list."""
        return self.query_one(OptionList)

    @property
    def glyphs(self) -> Glyphs:
        """The symbols of this terminal."""
        return self.app.glyphs

    @property
    def current(self) -> T | None:
        """The entry under the cursor."""
        at = self.options.highlighted
        return self.entries[at] if at is not None and at < len(self.entries) else None

    def show(self, entries: Sequence[T]) -> None:
        """These entries; the cursor stays where it is."""
        self.entries = tuple(entries)
        self.display = bool(entries)
        self.query_one(Line).show(*self.heading())
        self._fit()

    def on_resize(self) -> None:
        """Long lines wrap elsewhere."""
        self._fit()

    def _fit(self) -> None:
        width = max(20, self.size.width - AROUND) if self.size.width else 76
        told = [self._text(self.lines(entry), width) for entry in self.entries]
        if told == self._told:
            return
        options, at = self.options, self.options.highlighted
        self._told = told
        options.set_options([Option(text) for text in told])
        if told:
            options.highlighted = min(at or 0, len(told) - 1)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Enter."""
        event.stop()
        self.post_message(self.Opened(self.entries[event.option_index]))

    def _text(self, lines: list[Parts], width: int) -> Text:
        made: list[Text] = []
        for parts in lines:
            line = Text.assemble(*((escape(words), ink(self.app, tone)) for words, tone in parts))
            first, *rest = line.wrap(self.app.console, width) if line.cell_len <= width else self._hung(line, width)
            made += [first, *rest]
        return Text("\n").join(made)

    def _hung(self, line: Text, width: int) -> list[Text]:
        """What does not fit goes on under its first word."""
        first = line.wrap(self.app.console, width)[0]
        rest = line[len(first.plain) :]
        rest = rest[len(rest.plain) - len(rest.plain.lstrip()) :]
        return [first, *(Text.assemble(" " * HANG, part) for part in rest.wrap(self.app.console, width - HANG))]


class Problems(Listed[Problem]):
    """What is not in order: verdict and what it is, evidence, fix, and where it is mended."""

    labels: dict[str, str] = {}

    def heading(self) -> tuple[Parts, Parts]:
        """How many, and what Enter does."""
        return [(" Problems ", "strong"), (f"{len(self.entries)}", "")], [("enter mends ", "muted")]

    def lines(self, entry: Problem) -> list[Parts]:
        """Two or three lines."""
        signs = {"error": self.glyphs.bad, "warning": self.glyphs.busy, "unknown": self.glyphs.unknown}
        sign = signs.get(entry.verdict, self.glyphs.dot)
        lines: list[Parts] = [[(f"{sign} {entry.verdict}: ", VERDICT_TONES.get(entry.verdict, "")), (entry.text, "")]]
        if entry.evidence:
            lines.append([("  seen: ", "muted"), (entry.evidence, "")])
        if entry.fix or entry.field:
            lines.append([("  fix: ", "muted"), (entry.fix, ""), (self._where(entry), "key")])
        return lines

    def _where(self, entry: Problem) -> str:
        if not entry.field:
            return ""
        lead = " " if entry.fix else ""
        label = self.labels.get(entry.field)
        place = f"“{label}”" if label else name(entry.field.partition(".")[0])
        return f"{lead}{self.glyphs.arrow} {place}".replace("“", '"').replace("”", '"')


class Doings(Listed[Action]):
    """What can be done on this page; what cannot yet says why."""

    def heading(self) -> tuple[Parts, Parts]:
        """That it is a matter of choice."""
        return [(" What can be done here ", "strong")], [("enter or a does it ", "muted")]

    def lines(self, entry: Action) -> list[Parts]:
        """Label and help; blocked: why."""
        if entry.blocked:
            return [[(f"{self.glyphs.off} {entry.label}", "muted"), (f"  not now: {entry.blocked}", "muted")]]
        return [[(f"{self.glyphs.into} {entry.label}", "key"), (f"  {entry.help}" if entry.help else "", "")]]


class Applies(Listed[Apply]):
    """What would be changed: object by object, with the size of its diff."""

    def heading(self) -> tuple[Parts, Parts]:
        """How much there is."""
        counts = {verb: sum(1 for each in self.entries if each.verb == verb) for verb in ("create", "change")}
        same = len(self.entries) - sum(counts.values())
        words = [f"{number} to {verb}" for verb, number in counts.items() if number]
        words += [f"{same} already as they should be"] if same else []
        return [(" What would be applied ", "strong"), (", ".join(words), "")], [("enter diff  v all ", "muted")]

    def lines(self, entry: Apply) -> list[Parts]:
        """One line."""
        sign, tone = {"create": ("+", "good"), "change": (self.glyphs.busy, "busy")}.get(
            entry.verb, (self.glyphs.dot, "muted")
        )
        size = sum(1 for line in entry.diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---"))
        lines = f"  {size} lines" if size else ""
        return [[(f"{sign} {entry.verb:<9} ", tone), (entry.object, ""), (lines, "muted")]]
