"""A preflight on screen: what fails first, what is unknown next, what passed in one line, and how long it will take."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.app import App

from bascule.text import escape
from bascule_console.services.preflight import Preflight
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.theme import rich_color

_ORDER = ("fail", "warn", "unknown")
_INK = {"fail": "severity-error", "warn": "severity-warning", "unknown": "verdict-unknown"}


def checks_text(app: App[Any], found: Preflight, glyphs: Glyphs) -> Text:
    """The checks in lines; each that did not pass has its fix below it."""
    symbols = {"fail": glyphs.bad, "warn": glyphs.busy, "unknown": glyphs.unknown}
    text = Text()
    for state in _ORDER:
        for check in found.checks:
            if check.state != state:
                continue
            ink = rich_color(app, _INK[state])
            told = f" ({check.evidence})" if check.evidence else ""
            text.append(escape(f"{symbols[state]} {check.object}: {check.message}{told}") + "\n", ink)
            if check.fix:
                text.append(escape(f"fix: {check.fix}") + "\n")
    passed = [check.id for check in found.checks if check.state == "pass"]
    text.append(escape(f"{glyphs.good} {len(passed)} of {len(found.checks)} checks pass: {', '.join(passed)}") + "\n")
    text.append(escape(f"It takes {found.estimate.words}"))
    return text
