"""The table's model: identity, filter, sort, follow, freeze; and which columns fit. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule_console.widgets.columns import Column, cell, cells, fit
from bascule_console.widgets.filtering import FilterError, parse_filter
from bascule_console.widgets.rowview import MANY_ROWS, RowView, Sort
from bascule_console.widgets.units import count, size


@dataclass(frozen=True)
class Item:
    name: str
    value: int


@dataclass
class Source:
    items: dict[Hashable, Item] = field(default_factory=dict)
    version: int = 0
    intake: int = 0
    lost: int = 0

    def rows(self) -> Mapping[Hashable, Item]:
        return self.items

    def searchable(self, row: Item) -> str:
        return row.name

    def labels(self, row: Item) -> Mapping[str, str]:
        return {"parity": "odd" if row.value % 2 else "even"}

    def put(self, name: str, value: int = 0) -> None:
        self.items[name] = Item(name, value)
        self.version += 1
        self.intake += 1

    def drop(self, name: str) -> None:
        del self.items[name]
        self.version += 1


COLUMNS = (
    Column[Item]("name", "NAME", 8, lambda i: i.name, lambda i: i.name),
    Column[Item]("value", "VALUE", 5, lambda i: str(i.value), lambda i: i.value, priority=1, right=True),
    Column[Item]("extra", "EXTRA", 9, lambda i: "x", lambda i: 0, priority=2, grow=1, most=20),
)


def view_of(*names: str, follow: bool = False) -> tuple[Source, RowView[Item]]:
    source = Source()
    for name in names:
        source.put(name)
    view = RowView(source, COLUMNS, lambda: 0.0)
    view.follow = follow
    view.update()
    return source, view


def test_the_cursor_stays_on_its_row_when_others_come_and_go() -> None:
    source, view = view_of("b", "c", "d")
    view.set_sort(Sort("name"))
    view.move_cursor(1)
    source.put("a")
    source.drop("b")
    source.put("c", 9)
    view.update()
    assert view.order == ["a", "c", "d"]
    assert view.cursor_row() == Item("c", 9)


def test_a_row_that_leaves_gives_the_cursor_to_its_neighbour() -> None:
    source, view = view_of("a", "b", "c")
    view.move_cursor(2)
    source.drop("c")
    view.update()
    assert view.cursor == "b"
    source.items.clear()
    source.version += 1
    view.update()
    assert view.cursor_row() is None


def test_freeze_holds_rows_and_counts_what_is_newer_and_lost() -> None:
    source, view = view_of("a")
    view.freeze(True)
    source.put("a", 5)
    source.put("b")
    source.lost += 3
    assert view.update() is False
    assert (len(view), view.row(0), view.newer(), view.lost_since()) == (1, Item("a", 0), 2, 3)
    view.set_filter(parse_filter("a"))
    assert view.row(0) == Item("a", 0)
    view.set_filter(parse_filter(""))
    view.freeze(False)
    assert view.update()
    assert (view.order, view.row(0), view.newer(), view.lost_since()) == (["a", "b"], Item("a", 5), 0, 0)


def test_follow_goes_with_the_newest_and_ends_on_the_way_up() -> None:
    source, view = view_of("a", "b", follow=True)
    assert view.cursor == "b"
    source.put("c")
    view.update()
    assert view.cursor == "c"
    view.move_cursor(1)
    source.put("d")
    view.update()
    assert (view.follow, view.cursor) == (False, "b")


def test_filter_and_inverse() -> None:
    _, view = view_of("web-1", "web-2", "db-1")
    view.set_filter(parse_filter("WEB-[12]"))
    assert view.order == ["web-1", "web-2"]
    view.set_filter(parse_filter("!web"))
    assert view.order == ["db-1"]
    view.set_filter(parse_filter("!"))
    assert len(view) == 3


def test_a_broken_filter_says_where() -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter("!web(")
    assert "at character 5" in caught.value.cause
    assert caught.value.fix


def test_a_large_table_is_reordered_at_its_own_pace() -> None:
    now = [0.0]
    source = Source()
    for n in range(MANY_ROWS + 2):
        source.put(f"{n:06}")
    view = RowView(source, COLUMNS, lambda: now[0])
    view.update()
    source.put("new")
    now[0] = 0.1
    assert view.update() and "new" not in view.order
    now[0] = 0.7
    assert view.update() and view.order[-1] == "new"
    assert view.update() is False


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 9)), max_size=30), st.booleans())
def test_order_is_a_sorted_permutation_and_the_cursor_is_in_it(puts: list[tuple[str, int]], reverse: bool) -> None:
    source, view = view_of()
    view.set_sort(Sort("value", reverse))
    for name, value in puts:
        source.put(name, value)
        view.update()
    assert sorted(map(str, view.order)) == sorted({name for name, _ in puts})
    values = [source.items[key].value for key in view.order]
    assert values == sorted(values, reverse=reverse)
    assert view.cursor in view.order or not view.order


def test_columns_drop_by_priority_and_grow_within_bounds() -> None:
    assert [p.column.id for p in fit(COLUMNS, 24)] == ["name", "value", "extra"]
    assert [p.column.id for p in fit(COLUMNS, 23)] == ["name", "value"]
    assert [p.column.id for p in fit(COLUMNS, 3)] == ["name"]
    assert [p.width for p in fit(COLUMNS, 200)] == [8, 5, 20]


@given(st.integers(0, 300))
def test_columns_fit_unless_only_the_ones_that_never_drop_are_left(width: int) -> None:
    placed = fit(COLUMNS, width)
    used = sum(p.width for p in placed) + len(placed) - 1
    assert used <= width or all(p.column.priority == 0 for p in placed)


@given(st.text(max_size=40), st.integers(1, 20), st.booleans())
def test_a_cell_is_printable_and_as_wide_as_its_column(text: str, width: int, right: bool) -> None:
    shown = cell(text, width, right=right)
    assert cells(shown) == width
    assert all(char.isprintable() for char in shown)


def test_units() -> None:
    shown = [count(n) for n in (0, 999, 1000, 12_345, 99_960, 4_500_000)]
    assert shown == ["0", "999", "1.0k", "12.3k", "100k", "4.5M"]
    assert size(1_500) == "1.5kB"
