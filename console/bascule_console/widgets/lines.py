"""One-line and empty-state widgets: banner, titles, crumbs, ledger and status.

They render Text built from spans: no string from outside is parsed as markup.
"""

from __future__ import annotations

from rich.text import Text
from textual.app import RenderResult
from textual.widget import Widget

from bascule.text import escape
from bascule_console.widgets.glyphs import UNICODE
from bascule_console.widgets.theme import ink

Parts = list[tuple[str, str]]
"""Words with the tone (widgets/theme.py) they are shown in, or ""."""


class Line(Widget):
    """One line: text on the left, text on the right, each a list of (words, tone or "")."""

    DEFAULT_CSS = "Line { height: 1; }"

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._left: Parts = []
        self._right: Parts = []

    def show(self, left: Parts, right: Parts | None = None) -> None:
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
        if left.cell_len > room:  # not Rich's own ellipsis, which --ascii has not
            left.truncate(max(0, room - 1), overflow="crop")
            left.append(getattr(self.app, "glyphs", UNICODE).more)
        left.truncate(max(0, room), overflow="crop", pad=True)
        return Text.assemble(left, " " if right.cell_len else "", right, no_wrap=True)

    def _text(self, parts: Parts) -> Text:
        return Text.assemble(*((escape(words), ink(self.app, tone)) for words, tone in parts))


class Empty(Widget):
    """What stands where rows would: what is missing, and the next command."""

    DEFAULT_CSS = "Empty { height: auto; padding: 0 1; color: $foreground; background: $surface; }"

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
        text = "\n".join(escape(line) for line in self._lines)
        return Text(text.replace("…", "...") if getattr(self.app, "ascii_only", False) else text)
