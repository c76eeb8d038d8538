"""What is known about the row under the cursor: lines of words below its table."""

from __future__ import annotations

from rich.text import Text
from textual.app import RenderResult
from textual.containers import Container
from textual.geometry import Size

from bascule_console.widgets.lines import Line, Parts

NAME = 11  # cells for the name of a fact, the gap included


class Detail(Line):
    """Several lines, each a list of (words, component style or ""); long ones are wrapped."""

    DEFAULT_CSS = "Detail { height: auto; padding: 0 1; }"

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's own name for it
        super().__init__(id=id)
        self._lines: list[Parts] = []

    def show_lines(self, lines: list[Parts]) -> None:
        """Set the lines; no line hides the widget."""
        if lines == self._lines:
            return
        self._lines = lines
        self.display = bool(lines)
        self.refresh(layout=True)

    def render(self) -> RenderResult:
        """The lines, wrapped where they are too long."""
        return self._laid_out(self.content_size.width)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as the wrapped words take."""
        return self._laid_out(width).plain.count("\n") + 1 if self._lines else 0

    def _laid_out(self, width: int) -> Text:
        return Text("\n").join(line for parts in self._lines for line in self._wrapped(parts, max(NAME + 10, width)))

    def _wrapped(self, parts: Parts, width: int) -> list[Text]:
        """One line's words; a fact's go on under its first word, not under its name."""
        is_fact = len(parts) > 1 and len(parts[0][0]) == NAME and parts[0][1] == "muted"
        hang = NAME if is_fact else 0
        name, words = self._text(parts[:1] if hang else []), self._text(parts[1:] if hang else parts)
        lines = [*words.wrap(self.app.console, width - hang)] or [Text()]
        return [Text.assemble(name if at == 0 else " " * hang, line) for at, line in enumerate(lines)]


class Split(Container):
    """A table above, its detail below: columns and loss strips both want the whole width."""

    DEFAULT_CSS = """
    Split { height: 1fr; layout: vertical; }
    Split > Detail { max-height: 50%; background: $panel; color: $foreground; }
    """


def heading(words: str) -> Parts:
    """The detail's first line."""
    return [(words, "strong")]


def fact(name: str, words: str, tone: str = "") -> Parts:
    """One fact: its name in a column of its own, muted."""
    return [(f"{name:<{NAME - 1}} "[:NAME], "muted"), (words, tone)]
