"""Theme data as Textual themes: our roles become style variables, `$verdict-allow` and the like."""

from __future__ import annotations

from textual.theme import Theme

from bascule_console.widgets.themedata import ThemeData, load_theme, themes_folder


def textual_theme(data: ThemeData) -> Theme:
    """One theme as Textual takes it."""
    theme = Theme(name=data.name, primary=data.base["primary"], dark=data.dark, variables=dict(data.roles))
    for name, color in data.base.items():
        setattr(theme, name, color)
    return theme


def all_themes() -> list[Theme]:
    """Every theme in the themes folder, by file name."""
    return [textual_theme(load_theme(path)) for path in sorted(themes_folder().glob("*.yaml"))]
