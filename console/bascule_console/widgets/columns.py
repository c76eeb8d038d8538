"""Columns as data, and which of them fit: the ones that matter least drop first on a narrow terminal. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from bascule.text import escape

R = TypeVar("R")
GAP = 1


def _no_tone(_row: Any) -> str:
    return ""


@dataclass(frozen=True)
class Column(Generic[R]):
    """One column: `text` gives the cell, `tone` the name of its style ("" plain), `order` the sort key.

    `priority` 0 is never dropped; the highest number goes first. `grow` shares out spare width up to `most`.
    """

    id: str
    title: str
    width: int
    text: Callable[[R], str]
    order: Callable[[R], Any]
    priority: int = 0
    tone: Callable[[R], str] = _no_tone
    right: bool = False
    grow: int = 0
    most: int = 0


@dataclass(frozen=True)
class Placed(Generic[R]):
    """A column that is shown, with the width it got."""

    column: Column[R]
    width: int


def fit(columns: Sequence[Column[R]], width: int) -> tuple[Placed[R], ...]:
    """The columns that fit into `width` cells, in their own order, spare cells given to those that grow."""
    kept = list(columns)
    while _needs(kept) > width:
        droppable = [c for c in kept if c.priority > 0]
        if not droppable:
            break
        kept.remove(max(droppable, key=lambda c: c.priority))
    spare = max(0, width - _needs(kept))
    widths = {c.id: c.width for c in kept}
    growing = [c for c in kept if c.grow]
    while spare and growing:
        growing = [c for c in growing if widths[c.id] < c.most]
        for column in growing:
            step = min(column.grow, spare, column.most - widths[column.id])
            widths[column.id] += step
            spare -= step
    return tuple(Placed(c, widths[c.id]) for c in kept)


def _needs(columns: Sequence[Column[R]]) -> int:
    return sum(c.width for c in columns) + GAP * max(0, len(columns) - 1)


def cell(text: str, width: int, *, right: bool = False, more: str = "…") -> str:
    """`text` in exactly `width` terminal cells: control characters written out, cut with `more` when too long."""
    clean = escape(text)
    used = cells(clean)
    if used > width:
        clean, used = _cut(clean, width - cells(more))
        clean, used = clean + more, used + cells(more)
    pad = " " * max(0, width - used)
    return pad + clean if right else clean + pad


def cells(text: str) -> int:
    """Terminal cells that `text` takes: wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(_char_cells(c) for c in text)


def _char_cells(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _cut(text: str, width: int) -> tuple[str, int]:
    used, out = 0, []
    for char in text:
        size = _char_cells(char)
        if used + size > width:
            break
        out.append(char)
        used += size
    return "".join(out), used
