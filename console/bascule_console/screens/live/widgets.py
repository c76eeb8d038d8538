"""The live screen's small parts: banner, table titles, empty states, ledger and status line.

They render Text built from spans: no string from outside is parsed as markup.
"""

from __future__ import annotations

from rich.style import Style
from rich.text import Text
from textual.app import RenderResult
from textual.widget import Widget

from bascule.text import escape


class Line(Widget):
    """One line: text on the left, text on the right, each a list of (words, component style or "")."""

    DEFAULT_CSS = "Line { height: 1; }"
    COMPONENT_CLASSES = {"line--good", "line--bad", "line--busy", "line--muted", "line--strong"}

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._left: list[tuple[str, str]] = []
        self._right: list[tuple[str, str]] = []

    def show(self, left: list[tuple[str, str]], right: list[tuple[str, str]] | None = None) -> None:
        """Set what stands there; nothing is repainted when it is the same."""
        if (left, right or []) == (self._left, self._right):
            return
        self._left, self._right = left, right or []
        self.refresh()

    def render(self) -> RenderResult:
        """Left and right part; the right one wins when both do not fit."""
        left, right = self._text(self._left), self._text(self._right)
        width = self.size.width
        room = width - right.cell_len - (1 if right.cell_len else 0)
        left.truncate(max(0, room), overflow="ellipsis", pad=True)
        return Text.assemble(left, " " if right.cell_len else "", right, no_wrap=True)

    def _text(self, parts: list[tuple[str, str]]) -> Text:
        return Text.assemble(*((escape(words), self._ink(tone)) for words, tone in parts))

    def _ink(self, tone: str) -> Style:
        return self.get_component_rich_style(f"line--{tone}", partial=True) if tone else Style()


class Empty(Widget):
    """What stands where rows would: what is missing, and the next command."""

    DEFAULT_CSS = "Empty { height: auto; padding: 0 1; }"

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self.display = False
        self._lines: list[str] = []

    def show(self, lines: list[str]) -> None:
        """Set the lines; an empty list hides the widget."""
        if lines == self._lines:
            return
        self._lines = lines
        self.display = bool(lines)
        self.refresh(layout=True)

    def render(self) -> RenderResult:
        """The lines, wrapped."""
        return Text("\n".join(escape(line) for line in self._lines))
