"""Themes as data: read, check, and measure the contrast of their colours. Pure but for reading the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bascule.errors import UsageError

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
_HEX = re.compile(r"#[0-9a-fA-F]{6}")


class ThemeError(UsageError):
    """A theme file that cannot be used."""


@dataclass(frozen=True)
class ThemeData:
    """One theme: Textual's base colours, our roles, and which colours must stand out from which."""

    name: str
    dark: bool
    base: dict[str, str]
    roles: dict[str, str]
    inks: tuple[str, ...]
    grounds: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]

    def contrasts(self) -> Iterator[tuple[str, str, float]]:
        """Every (ink, ground, contrast) that the theme promises to keep readable."""
        every = [(ink, ground) for ink in (*self.inks, "foreground") for ground in self.grounds]
        colors = {**self.base, **self.roles}
        for ink, ground in (*every, *self.pairs):
            yield ink, ground, contrast(colors[ink], colors[ground])


def themes_folder() -> Path:
    """Where themes lie: beside the source tree, or inside an installed package."""
    package = Path(__file__).resolve().parents[1]
    beside = package.parents[1] / "themes"
    return beside if beside.is_dir() else package / "themes"


def load_theme(path: Path) -> ThemeData:
    """Read a theme; ThemeError names the file and the field."""
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ThemeError(f"cannot read theme {path}", cause=str(error)) from error
    if not isinstance(document, dict) or not isinstance(document.get("name"), str):
        raise ThemeError(f"{path}: no theme", cause="it has no field name", fix="compare it with themes/dark.yaml")
    return ThemeData(
        name=document["name"],
        dark=bool(document.get("dark", True)),
        base=_colors(path, document, "base", BASE),
        roles=_colors(path, document, "roles", ROLES),
        inks=tuple(document.get("inks") or ()),
        grounds=tuple(document.get("grounds") or ()),
        pairs=tuple((str(a), str(b)) for a, b in document.get("pairs") or ()),
    )


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio of two `#rrggbb` colours, 1 to 21 (w3.org/TR/WCAG21/#dfn-contrast-ratio)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _colors(path: Path, document: dict[str, Any], section: str, names: tuple[str, ...]) -> dict[str, str]:
    given = document.get(section) or {}
    for name in names:
        if not _HEX.fullmatch(str(given.get(name, ""))):
            raise ThemeError(
                f"{path}: {section}.{name} is {given.get(name)!r}",
                cause="a colour is # and six hexadecimal digits",
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
