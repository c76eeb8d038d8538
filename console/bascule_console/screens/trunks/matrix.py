"""The matrix of VLAN × node: a table with a cursor on one cell; as many nodes as fit, left and right for more."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.strip import Strip

from bascule_console.screens.trunks.words import SILENT, TONES, symbol
from bascule_console.store.trunks import Row, VlanLine
from bascule_console.widgets.columns import GAP, Column, cell
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.lines import Parts
from bascule_console.widgets.rowview import RowSource
from bascule_console.widgets.table import GridTable
from bascule_console.widgets.tableblock import TableBlock

NARROWEST, WIDEST = 10, 20


class MatrixTable(GridTable[VlanLine]):
    """Rows are VLANs, columns nodes; `node` is the one under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "across(-1)", "Node before", show=False, id="grid.left"),
        Binding("right,l", "across(1)", "Next node", show=False, id="grid.right"),
    ]

    def __init__(self, source: RowSource[VlanLine], glyphs: Glyphs, *, id: str) -> None:  # noqa: A002 - as in GridTable
        super().__init__(_left(), source, glyphs, row_tone=lambda _: "", id=id)
        self.nodes: tuple[str, ...] = ()
        self.node = ""
        self.silent: frozenset[str] = frozenset()
        self._first = 0

    def set_nodes(self, nodes: tuple[str, ...], silent: frozenset[str]) -> None:
        """Which nodes there are; the cursor stays on its own."""
        if (nodes, silent) == (self.nodes, self.silent):
            return
        self.nodes, self.silent = nodes, silent
        if self.node not in nodes:
            self.node = nodes[0] if nodes else ""
        self._arrange()

    def show_node(self, node: str) -> None:
        """Put the cursor on that node's column, if it has one."""
        if node in self.nodes:
            self.node = node
            self._arrange()
            self.post_message(self.Chosen())

    @property
    def outside(self) -> tuple[int, int]:
        """How many nodes stand left and right of what is shown."""
        return self._first, max(0, len(self.nodes) - self._first - self._across())

    @property
    def under_cursor(self) -> tuple[VlanLine, Row | None] | None:
        """The VLAN and the cell under the cursor; no cell where the node does not have that VLAN."""
        line = self.view.cursor_row()
        return (line, line.cells.get(self.node)) if line is not None and self.node else None

    def action_across(self, step: int) -> None:
        """Cursor left or right."""
        if self.nodes:
            at = self.nodes.index(self.node) + step
            self.show_node(self.nodes[max(0, min(len(self.nodes) - 1, at))])

    def on_resize(self) -> None:
        """Other nodes may fit."""
        self._arrange()

    def on_click(self, event: events.Click) -> None:
        """A cell takes the cursor."""
        edge, x = 0, event.x
        for placed in self._placed:
            edge += placed.width + GAP
            if x < edge:
                if placed.column.id in self.nodes and event.y:
                    self.show_node(placed.column.id)
                break

    def _arrange(self) -> None:
        across = self._across()
        at = self.nodes.index(self.node) if self.node else 0
        self._first = max(0, min(self._first, at, len(self.nodes) - across))
        self._first = max(self._first, at - across + 1)
        shown = self.nodes[self._first : self._first + across]
        self.columns = [*_left(), *(self._of(node) for node in shown)]
        self.view.columns = {column.id: column for column in self.columns}
        super().on_resize()

    def _across(self) -> int:
        if not self.size.width:  # not laid out yet
            return max(1, len(self.nodes))
        room = self.scrollable_content_region.width - sum(column.width + GAP for column in _left())
        return max(1, (room + GAP) // (self._width() + GAP))

    def _width(self) -> int:
        return min(WIDEST, max(NARROWEST, *(len(node) for node in self.nodes), NARROWEST))

    def _of(self, node: str) -> Column[VlanLine]:
        def verdict(line: VlanLine) -> str:
            found = line.cells.get(node)
            return str(found["verdict"]) if found else SILENT if node in self.silent else ""

        def text(line: VlanLine) -> str:
            found = verdict(line)
            return f"{symbol(found, self.glyphs)} {found}".rstrip()

        def tone(line: VlanLine) -> str:
            return TONES.get(verdict(line), "muted")

        return Column(node, node, self._width(), text, text, tone=tone)

    def _base(self, on_cursor: bool) -> Style:
        return self.rich_style  # the row is not filled: the cursor is one cell

    def _paint(self, row: VlanLine, *, on_cursor: bool) -> Strip:
        segments = []
        for placed in self._placed:
            column = placed.column
            tone = column.tone(row)
            style = self.rich_style + (self._ink(tone) if tone else Style())
            if on_cursor and column.id == self.node:
                style = self._style("cursor" if self.has_focus else "cursor-blurred")
            text = cell(column.text(row), placed.width, right=column.right, more=self.glyphs.more)
            segments += [Segment(text, style), Segment(" " * GAP, self.rich_style)]
        return Strip(segments)


class MatrixBlock(TableBlock[VlanLine]):
    """Title, matrix, empty state."""

    def __init__(
        self,
        source: RowSource[VlanLine],
        glyphs: Glyphs,
        *,
        empty: Callable[[], list[str]],
        extra: Callable[[], Parts],
    ) -> None:
        super().__init__("VLANs by node", _left(), source, glyphs, id="matrix", empty=empty, extra=extra)
        self.table = MatrixTable(source, glyphs, id="matrix")


def _left() -> list[Column[VlanLine]]:
    return [
        Column("network", "NETWORK", 10, lambda line: line.network, lambda line: line.network, tone=lambda _: "name"),
        Column("vlan", "VLAN", 4, lambda line: str(line.vlan), lambda line: line.vlan, right=True),
    ]
