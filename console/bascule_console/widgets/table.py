"""Our own table on Textual's line API: it paints only the lines that are visible, from rows it does not own.

Textual's DataTable needs 203 ms a frame at 100,000 rows, this one 8 ms (reference/ui-and-code.md D3). Cells are plain
text in styled segments: nothing that came from outside is ever parsed as markup.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar, Generic, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from bascule_console.widgets.columns import GAP, Column, Placed, cell, fit
from bascule_console.widgets.filtering import TextFilter
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.rowview import RowSource, RowView, Sort
from bascule_console.widgets.theme import bar, ink

R = TypeVar("R")
CACHED_STRIPS = 512


class GridTable(ScrollView, Generic[R], can_focus=True):
    """Rows by identity, columns by priority, sort, follow, freeze. `tick` is called by the screen's clock."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "move(1)", "Down", show=False, id="grid.down"),
        Binding("up,k", "move(-1)", "Up", show=False, id="grid.up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="grid.page_down"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="grid.page_up"),
        Binding("home,g", "first", "First row", show=False, id="grid.first"),
        Binding("end,G", "last", "Last row, follow", show=False, id="grid.last"),
    ]

    class Chosen(Message):
        """The cursor sits on another row, or the view's state changed."""

    def __init__(
        self,
        columns: Sequence[Column[R]],
        source: RowSource[R],
        glyphs: Glyphs,
        *,
        row_tone: Callable[[R], str],
        follow: bool = False,
        id: str,  # noqa: A002 - Textual's own name for it
    ) -> None:
        super().__init__(id=id)
        self.columns = columns
        self.view: RowView[R] = RowView(source, columns, time.monotonic)
        self.view.follow = self._follows = follow
        self.glyphs = glyphs
        self._row_tone = row_tone
        self._inks: dict[str, Style] = {}
        self._placed: tuple[Placed[R], ...] = ()
        self._strips: dict[Hashable, tuple[R, tuple[bool, bool, int], Strip]] = {}

    # -- what the screen calls -------------------------------------------------------------------------------

    def tick(self) -> bool:
        """Take in what changed and repaint when something did; True when it did."""
        if not self.view.update():
            return False
        self._reshape()
        return True

    def set_columns(self, columns: Sequence[Column[R]]) -> None:
        """Show other columns from now on, where what there is to show makes them (a column per node)."""
        self.columns = columns
        self.view.columns = {column.id: column for column in columns}
        self.on_resize()

    @property
    def hidden_columns(self) -> int:
        """How many columns do not fit; none before there is a width."""
        return len(self.columns) - len(self._placed) if self._placed and self.size.width else 0

    def set_filter(self, wanted: TextFilter) -> None:
        """Show only rows that `wanted` keeps."""
        self.view.set_filter(wanted)
        self._reshape()

    def show_key(self, key: Hashable) -> bool:
        """Put the cursor on the row of that identity; False when there is none."""
        position = self.view.position(key)
        if position is None:
            return False
        self._go(position)
        return True

    def toggle_freeze(self) -> None:
        """Hold the view or let it catch up."""
        self.view.freeze(not self.view.frozen)
        self.tick()
        self._reshape()

    def sort_next(self) -> None:
        """Order by the next visible column; after the last comes the order of arrival."""
        ids = ["", *(p.column.id for p in self._placed)]
        current = self.view.sort.column
        at = ids.index(current) if current in ids else 0
        self._sort(Sort(ids[(at + 1) % len(ids)]))

    def sort_reverse(self) -> None:
        """Turn the present order round."""
        self._sort(Sort(self.view.sort.column, not self.view.sort.reverse))

    # -- keys and mouse --------------------------------------------------------------------------------------

    def action_move(self, step: int) -> None:
        """Cursor up or down."""
        self._go(self.view.cursor_position() + step)

    def action_page(self, pages: int) -> None:
        """Cursor by a screenful."""
        self._go(self.view.cursor_position() + pages * max(1, self.size.height - 2))

    def action_first(self) -> None:
        """First row; ends follow mode."""
        self.view.follow = False
        self._go(0)

    def action_last(self) -> None:
        """Last row; where rows arrive one after the other, in that order, this follows what comes."""
        self.view.follow = self._follows and not self.view.sort.column
        self._go(len(self.view) - 1)

    def on_click(self, event: events.Click) -> None:
        """A header sorts by its column, a row takes the cursor."""
        if event.y == 0:
            self._sort_at(event.x + self.scroll_offset.x)
        else:
            self._go(event.y - 1 + self.scroll_offset.y)

    # -- painting --------------------------------------------------------------------------------------------

    def on_resize(self) -> None:
        """Other columns may fit now; the cursor's row stays in view."""
        self._placed = fit(self.columns, self.scrollable_content_region.width)
        self._strips.clear()
        self._reshape()

    def notify_style_update(self) -> None:
        """Cached lines carry the old theme's colours."""
        self._strips.clear()
        self._inks.clear()
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        """Line `y` of the viewport: the header, or the row that is scrolled there."""
        left, top = self.scroll_offset
        width = self.size.width
        if y == 0:
            return self._header().crop_extend(left, left + width, self._style("header"))
        position = top + y - 1
        row = self.view.row(position) if position < len(self.view) else None
        if row is None:
            return Strip.blank(width, self.rich_style)
        return self._line(row, self.view.order[position], left, width)

    def _header(self) -> Strip:
        style, sort = self._style("header"), self.view.sort
        segments = []
        for placed in self._placed:
            column, title = placed.column, placed.column.title
            if column.id == sort.column:
                title += self.glyphs.down if sort.reverse else self.glyphs.up
            segments.append(Segment(cell(title, placed.width, right=column.right, more="") + " " * GAP, style))
        return Strip(segments)

    def _line(self, row: R, key: Hashable, left: int, width: int) -> Strip:
        state = (key == self.view.cursor, self.has_focus, left)
        cached = self._strips.get(key)
        if cached is not None and cached[0] is row and cached[1] == state:
            return cached[2]
        strip = self._paint(row, on_cursor=state[0]).crop_extend(left, left + width, self._base(state[0]))
        if len(self._strips) >= CACHED_STRIPS:
            self._strips.clear()
        self._strips[key] = (row, state, strip)
        return strip

    def _paint(self, row: R, *, on_cursor: bool) -> Strip:
        base, row_tone = self._base(on_cursor), self._row_tone(row)
        segments = []
        for placed in self._placed:
            column = placed.column
            tone = row_tone or column.tone(row)
            # Under a focused cursor the cursor's own colours win: they are the pair whose contrast is tested.
            style = base + self._ink(tone) if tone and not on_cursor else base
            text = cell(column.text(row), placed.width, right=column.right, more=self.glyphs.more)
            segments.append(Segment(text + " " * GAP, style))
        return Strip(segments)

    def _base(self, on_cursor: bool) -> Style:
        if not on_cursor:
            return self.rich_style
        return self._style("cursor" if self.has_focus else "cursor-blurred")

    def _style(self, name: str) -> Style:
        found = self._inks.get(name)
        if found is None:
            found = self._inks[name] = bar(self.app, name)
        return found

    def _ink(self, tone: str) -> Style:
        found = self._inks.get(tone)
        if found is None:
            found = self._inks[tone] = ink(self.app, tone)
        return found

    # -- inner -----------------------------------------------------------------------------------------------

    def _go(self, position: int) -> None:
        self.view.move_cursor(position)
        self._show_cursor()
        self.refresh()
        self.post_message(self.Chosen())

    def _sort(self, sort: Sort) -> None:
        self.view.set_sort(sort)
        self._reshape()

    def _sort_at(self, x: int) -> None:
        edge = 0
        for placed in self._placed:
            edge += placed.width + GAP
            if x < edge:
                same = placed.column.id == self.view.sort.column
                self._sort(Sort(placed.column.id, same and not self.view.sort.reverse))
                return

    def _reshape(self) -> None:
        width = sum(p.width for p in self._placed) + GAP * max(0, len(self._placed) - 1)
        size = Size(width, len(self.view) + 1)
        if size != self.virtual_size:
            self.virtual_size = size
        if self.view.follow or self.has_focus:
            self._show_cursor()
        self.refresh()
        self.post_message(self.Chosen())

    def _show_cursor(self) -> None:
        at, top, lines = self.view.cursor_position(), self.scroll_offset.y, max(1, self.size.height - 1)
        if at < top:
            self.scroll_to(y=at, animate=False, immediate=True)
        elif at >= top + lines:
            self.scroll_to(y=at - lines + 1, animate=False, immediate=True)
