"""Themes as data: read, check, and measure the contrast of their colours. Pure but for reading the file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bascule.errors import UsageError
from bascule_console.widgets.plainyaml import plain_yaml

ROLES = (
    *("verdict-allow", "verdict-deny", "verdict-drop", "verdict-unknown"),
    *("severity-error", "severity-warning", "severity-info", "name", "port", "muted"),
    *("cursor", "cursor-ink", "cursor-blurred", "cursor-blurred-ink", "header", "header-ink"),
    *("banner", "banner-ink", "guarded", "guarded-ink"),
)
BASE = (
    *("primary", "secondary", "accent", "foreground", "background", "surface", "panel"),
    *("success", "warning", "error"),
)
# Where each ink stands: every ink on every ground, and these pairs. tests/console hold them to 4.5:1, and what screens
# really paint to the same.
INKS = (
    *("foreground", "verdict-allow", "verdict-deny", "verdict-drop", "verdict-unknown"),
    *("severity-error", "severity-warning", "severity-info", "name", "port", "muted", "success", "warning", "error"),
)
GROUNDS = ("background", "surface", "panel")
PAIRS = (
    *(("cursor-ink", "cursor"), ("cursor-blurred-ink", "cursor-blurred"), ("header-ink", "header")),
    *(("banner-ink", "banner"), ("guarded-ink", "guarded")),
    *(
        ("verdict-allow", "header"),
        ("severity-error", "header"),
        ("severity-warning", "header"),
        ("foreground", "header"),
    ),
)
ANSI = {
    "ansi_black": ("#000000", "#000000"),
    "ansi_red": ("#cd0000", "#aa0000"),
    "ansi_green": ("#00cd00", "#00aa00"),
    "ansi_yellow": ("#cdcd00", "#aa5500"),
    "ansi_blue": ("#0000ee", "#0000aa"),
    "ansi_magenta": ("#cd00cd", "#aa00aa"),
    "ansi_cyan": ("#00cdcd", "#00aaaa"),
    "ansi_white": ("#e5e5e5", "#aaaaaa"),
    "ansi_bright_black": ("#7f7f7f", "#555555"),
    "ansi_bright_red": ("#ff0000", "#ff5555"),
    "ansi_bright_green": ("#00ff00", "#55ff55"),
    "ansi_bright_yellow": ("#ffff00", "#ffff55"),
    "ansi_bright_blue": ("#5c5cff", "#5555ff"),
    "ansi_bright_magenta": ("#ff00ff", "#ff55ff"),
    "ansi_bright_cyan": ("#00ffff", "#55ffff"),
    "ansi_bright_white": ("#ffffff", "#ffffff"),
}
"""The 16 colours as xterm and as the Linux console show them by default: a user's own palette cannot be known."""
_HEX = re.compile(r"#[0-9a-fA-F]{6}")


class ThemeError(UsageError):
    """A theme file that cannot be used."""


@dataclass(frozen=True)
class ThemeData:
    """One theme: Textual's base colours and our roles, `#rrggbb` or, where `ansi`, the terminal's own 16."""

    name: str
    dark: bool
    ansi: bool
    base: dict[str, str]
    roles: dict[str, str]

    def contrasts(self) -> Iterator[tuple[str, str, float]]:
        """Every (ink, ground, contrast) that must be readable; the worse palette counts for the 16 colours."""
        colors = {**self.base, **self.roles}
        for ink, ground in (*((ink, ground) for ink in INKS for ground in GROUNDS), *PAIRS):
            shown = zip(rgb(colors[ink]), rgb(colors[ground]), strict=True)
            yield ink, ground, min(contrast(one, other) for one, other in shown)


def rgb(color: str) -> tuple[str, str]:
    """What a colour looks like on the two palettes: a `#rrggbb` is the same on both."""
    return ANSI.get(color, (color, color))


def choose_theme(wanted: str, environ: Mapping[str, str]) -> str:
    """The theme's full name: what is wanted, else the one that suits the terminal's colours (as Rich detects them)."""
    return f"bascule-{wanted or ('ansi' if _sixteen_colors(environ) else 'dark')}"


def _sixteen_colors(environ: Mapping[str, str]) -> bool:
    forced = environ.get("TEXTUAL_COLOR_SYSTEM", "auto")
    if forced != "auto":
        return forced == "standard"
    if environ.get("COLORTERM", "").strip().lower() in ("truecolor", "24bit"):
        return False
    return environ.get("TERM", "").strip().lower().rpartition("-")[2] not in ("256color", "kitty", "direct")


def themes_folder() -> Path:
    """Where themes lie: beside the source tree, or inside an installed package."""
    package = Path(__file__).resolve().parents[1]
    beside = package.parents[1] / "themes"
    return beside if beside.is_dir() else package / "themes"


def load_theme(path: Path) -> ThemeData:
    """Read a theme; ThemeError names the file and the field."""
    document = _read(path)
    if not isinstance(document, dict) or not isinstance(document.get("name"), str):
        raise ThemeError(f"{path}: no theme", cause="it has no field name", fix="compare it with themes/dark.yaml")
    return ThemeData(
        name=document["name"],
        dark=bool(document.get("dark", True)),
        ansi=bool(document.get("ansi")),
        base=_colors(path, document, "base", BASE),
        roles=_colors(path, document, "roles", ROLES),
    )


def _read(path: Path) -> Any:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ThemeError(f"cannot read theme {path}", cause=str(error)) from error
    document = plain_yaml(text)
    if document is not None:
        return document
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ThemeError(f"cannot read theme {path}", cause=str(error)) from error


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio of two `#rrggbb` colours, 1 to 21 (w3.org/TR/WCAG21/#dfn-contrast-ratio)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _colors(path: Path, document: dict[str, Any], section: str, names: tuple[str, ...]) -> dict[str, str]:
    given, ansi = document.get(section) or {}, bool(document.get("ansi"))
    for name in names:
        color = str(given.get(name, ""))
        if not (color in ANSI if ansi else _HEX.fullmatch(color)):
            raise ThemeError(
                f"{path}: {section}.{name} is {given.get(name)!r}",
                cause=f"a colour is one of {', '.join(ANSI)}" if ansi else "a colour is # and six hexadecimal digits",
                fix="compare it with themes/dark.yaml",
            )
    unknown = sorted(set(given) - set(names))
    if unknown:
        raise ThemeError(f"{path}: {section}.{unknown[0]} is no colour that Bascule uses", fix="remove it")
    return {name: str(given[name]) for name in names}


def _luminance(color: str) -> float:
    channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
