"""A screen of one table and the detail of its row under the cursor."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from textual.app import ComposeResult

from bascule_console.screens.base import BasculeScreen
from bascule_console.widgets.detail import Detail, Split
from bascule_console.widgets.lines import Parts
from bascule_console.widgets.table import GridTable
from bascule_console.widgets.tableblock import TableBlock

R = TypeVar("R")


class DetailedScreen(BasculeScreen, Generic[R]):
    """A screen overrides `block` and `detail`."""

    def block(self) -> TableBlock[R]:
        """The table."""
        raise NotImplementedError

    def detail(self, row: R) -> list[Parts]:
        """What is known about one row, as lines."""
        raise NotImplementedError

    def body(self) -> ComposeResult:
        """Table and detail."""
        with Split():
            yield self.block()
            yield Detail(id="detail")

    @property
    def table(self) -> GridTable[R]:
        """The table."""
        return self.query_one(GridTable)

    @property
    def row(self) -> R | None:
        """The row under the cursor."""
        return self.table.view.cursor_row()

    @property
    def room(self) -> int:
        """Cells that a line of the detail has."""
        return max(20, self.query_one(Detail).content_size.width)

    def refresh_lines(self) -> None:
        """The table's words, and the detail."""
        super().refresh_lines()
        self._show_detail()

    def on_grid_table_chosen(self, _event: GridTable.Chosen) -> None:
        """The cursor sits on another row, or the row changed."""
        self._show_detail()

    def _show_detail(self) -> None:
        found: Any = self.query(Detail)
        if found:
            row = self.row
            found.first().show_lines([] if row is None else self.detail(row))
