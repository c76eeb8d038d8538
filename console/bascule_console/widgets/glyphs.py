"""Symbols beside every colour, from one table, with an ASCII twin for terminals that need it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One symbol per meaning; every field is one terminal cell wide."""

    good: str
    bad: str
    busy: str
    unknown: str
    off: str
    arrow: str
    ingress: str
    egress: str
    more: str
    dot: str
    rule: str
    up: str
    down: str
    into: str


UNICODE = Glyphs("✓", "✗", "~", "?", "·", "→", "←", "→", "…", "·", "─", "▲", "▼", "›")
ASCII = Glyphs("+", "x", "~", "?", ".", ">", "<", ">", "~", "|", "-", "^", "v", ">")


def glyphs(*, ascii_only: bool) -> Glyphs:
    """The table for this terminal."""
    return ASCII if ascii_only else UNICODE
