"""A unified diff, and notes with a severity, as coloured text with a symbol beside every colour."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.text import Text
from textual.app import App

from bascule.text import escape
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.theme import rich_color

_DIFF = (("+++", "muted"), ("---", "muted"), ("@@", "muted"), ("+", "verdict-allow"), ("-", "verdict-drop"))
_SEVERITY = {"error": "severity-error", "warning": "severity-warning", "info": "severity-info"}


def diff_text(app: App[Any], diff: str) -> Text:
    """The lines of a unified diff; what came from outside is escaped, never parsed."""
    text = Text(no_wrap=False)
    for line in diff.splitlines():
        role = next((role for start, role in _DIFF if line.startswith(start)), "")
        text.append(escape(line) + "\n", style=rich_color(app, role) if role else "")
    return text


def note_line(app: App[Any], glyphs: Glyphs, severity: str, words: Iterable[str]) -> Text:
    """One note: the severity's symbol and colour, then the words that are not empty."""
    symbol = {"error": glyphs.bad, "warning": glyphs.busy}.get(severity, glyphs.dot)
    style = rich_color(app, _SEVERITY.get(severity, ""))
    return Text(f"{symbol} " + escape(": ".join(word for word in words if word)), style=style)
