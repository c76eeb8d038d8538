"""A table with its title line above it and, where there is no row, the reason and the next command in its place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from textual.app import ComposeResult
from textual.containers import Vertical

from bascule_console.widgets.columns import Column
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.lines import Empty, Line, Parts
from bascule_console.widgets.rowview import RowSource, RowView
from bascule_console.widgets.table import GridTable

R = TypeVar("R")


def _plain(_row: Any) -> str:
    return ""


def _no_parts() -> Parts:
    return []


class TableBlock(Vertical, Generic[R]):
    """Title, table, empty state. The table has the block's id, the block itself `<id>-block`.

    `empty` says, when no row is shown, why and what to do next; `extra` adds to the title (counts of what is wrong).
    """

    DEFAULT_CSS = """
    TableBlock { height: 1fr; min-height: 4; }
    TableBlock GridTable { height: 1fr; }
    TableBlock Empty { height: 1fr; }
    TableBlock.-empty GridTable { height: 1; min-height: 1; }
    """

    def __init__(
        self,
        title: str,
        columns: Sequence[Column[R]],
        source: RowSource[R],
        glyphs: Glyphs,
        *,
        id: str,  # noqa: A002 - Textual's own name for it
        empty: Callable[[], list[str]],
        row_tone: Callable[[R], str] = _plain,
        extra: Callable[[], Parts] = _no_parts,
        follow: bool = False,
    ) -> None:
        super().__init__(id=f"{id}-block")
        self.title = title
        self.source = source
        self.glyphs = glyphs
        self.table: GridTable[R] = GridTable(columns, source, glyphs, row_tone=row_tone, follow=follow, id=id)
        self._empty = empty
        self._extra = extra

    def compose(self) -> ComposeResult:
        yield Line(id=f"{self.table.id}-title")
        yield self.table
        yield Empty(id=f"no-{self.table.id}")

    def show(self) -> None:
        """Bring title and empty state up to date; the table paints itself in `tick`."""
        if not self.children:  # not composed yet, or closing already
            return
        view = self.table.view
        left, right = title(self.title, view, len(self.source.rows()), active=self.table.has_focus, glyphs=self.glyphs)
        self.query_one(Line).show(left + self._extra(), right)
        lines = [] if len(view) else self._empty()
        self.set_class(bool(lines), "-empty")
        self.query_one(Empty).show(lines)


def title(name: str, view: RowView[Any], total: int, *, active: bool, glyphs: Glyphs) -> tuple[Parts, Parts]:
    """A table's title: its name and count, the filter, and on the right whether it follows or is frozen."""
    shown = len(view)
    left: Parts = [
        (f" {name} ", "strong" if active else "muted"),
        (f"{shown}" if shown == total else f"{shown} of {total}", ""),
    ]
    if view.filter.text:
        left.append((f"  /{view.filter.text}", "busy"))
    if view.frozen:
        return left, [(f"{glyphs.busy} frozen, +{view.newer()} newer, {view.lost_since()} lost ", "busy")]
    return left, [("following ", "muted")] if view.follow else []
