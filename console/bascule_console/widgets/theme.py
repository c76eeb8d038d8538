"""Theme data as Textual themes: our roles become style variables, `$verdict-allow` and the like."""

from __future__ import annotations

from functools import cache
from typing import Any

from rich.style import Style
from textual.app import App
from textual.theme import Theme

from bascule_console.widgets.themedata import ThemeData, load_theme, themes_folder

START_THEME = "bascule-dark"
# What Textual asks of a theme of the terminal's own colours (as its own ansi-dark has it).
TERMINAL = {
    "ansi-background": "ansi_black",
    "ansi-foreground": "ansi_white",
    "border-blurred": "ansi_white",
    "block-cursor-foreground": "ansi_black",
    "block-cursor-background": "ansi_white",
    "input-cursor-background": "ansi_white",
    "input-cursor-foreground": "ansi_black",
    "input-cursor-text-style": "none",
    "input-selection-background": "ansi_cyan",
    "input-selection-foreground": "ansi_black",
    "screen-selection-background": "ansi_cyan",
    "screen-selection-foreground": "ansi_black",
}

# What a tone looks like: a role of the theme, and whether it is bold. Not component classes, each of which costs a pass
# over the style sheet per widget.
TONES = {
    "good": ("verdict-allow", False),
    "deny": ("verdict-deny", False),
    "bad": ("verdict-drop", True),
    "busy": ("severity-warning", True),
    "unknown": ("verdict-unknown", False),
    "muted": ("muted", False),
    "name": ("name", False),
    "key": ("name", True),
    "port": ("port", False),
    "strong": ("", True),
}


def textual_theme(data: ThemeData) -> Theme:
    """One theme as Textual takes it."""
    variables = {**data.roles, **(TERMINAL if data.ansi else {})}
    theme = Theme(name=data.name, primary=data.base["primary"], dark=data.dark, ansi=data.ansi, variables=variables)
    for name, color in data.base.items():
        setattr(theme, name, color)
    return theme


def theme_names() -> list[str]:
    """The full names of every theme in the themes folder."""
    return sorted(f"bascule-{path.stem}" for path in themes_folder().glob("*.yaml"))


@cache
def load(name: str) -> Theme:
    """One theme by its full name. Raises ThemeError."""
    return textual_theme(load_theme(themes_folder() / f"{name.removeprefix('bascule-')}.yaml"))


def rich_color(app: App[Any], role: str) -> str:
    """One of the present theme's roles as Rich names colours, for text made of spans."""
    return app.theme_variables.get(role, "").replace("ansi_", "")


def ink(app: App[Any], tone: str) -> Style:
    """The style of a tone; none for "". Without colour, `bad` is underlined."""
    if not tone:
        return Style()
    role, bold = TONES[tone]
    underline = True if tone == "bad" and app.no_color else None
    return Style(color=rich_color(app, role) or None, bold=bold or None, underline=underline)


def bar(app: App[Any], name: str) -> Style:
    """The style of a whole line: `header`, `cursor`, `cursor-blurred`. Without colour, the cursor is reversed."""
    if app.no_color and name == "cursor":
        return Style(reverse=True)
    bold = name != "cursor-blurred"
    return Style(color=rich_color(app, f"{name}-ink"), bgcolor=rich_color(app, name), bold=bold)
