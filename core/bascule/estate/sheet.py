"""One table of a source: a header that was recognised, columns by the field they hold, rows by the number people see.

Headers drift between versions and hands: spelling, order, units, extra columns. `headers.py` lists what each field has
been called; a column that no field claims is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from bascule.estate.cells import CellError, text, value_text
from bascule.estate.model import Rejected

T = TypeVar("T")
HEADER_WITHIN = 10
Aliases = dict[str, tuple[str, ...]]


def normal(header: str) -> str:
    """A header as it is compared: lower-case letters, digits and '#'."""
    return re.sub(r"[^a-z0-9#]+", "", header.lower())


class Sheet:
    """Rows under a recognised header. `first` is the number of the first row of data as a spreadsheet counts it."""

    def __init__(self, file: str, name: str, aliases: Aliases, cells: Sequence[Sequence[Any]], first: int = 1) -> None:
        self.file, self.name = file, name
        self.rejected: list[Rejected] = []
        self._read: dict[tuple[str, Callable[[Any], str]], list[str]] = {}
        at, self._columns = _header(cells, aliases)
        self.fields = frozenset(self._columns)
        self._cells = cells[at + 1 :]
        self._first = first + at + 1
        headers = [text(value) for value in cells[at]] if self._columns else []
        self._headers = {name: headers[column] for name, column in self._columns.items()}
        self.extra = [
            (header, column) for column, header in enumerate(headers) if header and column not in self._columns.values()
        ]

    def __len__(self) -> int:
        return len(self._cells)

    def place(self, at: int) -> str:
        """`file:sheet:row` of row `at` (from 0)."""
        middle = f":{self.name}" if self.name else ""
        return f"{self.file}{middle}:{self._first + at}"

    def header(self, name: str) -> str:
        """What the column of a field is called in this file, "" when it has none."""
        return self._headers.get(name, "")

    def position(self, name: str) -> int:
        """Which column a field is in, from 0; -1 when it is in none."""
        return self._columns.get(name, -1)

    def names(self, name: str) -> list[str]:
        """A column as text in which the word VM may be a name."""
        return self._column(name, text)

    def texts(self, name: str) -> list[str]:
        """A column as text, "" throughout when it is absent."""
        return self._column(name, value_text)

    def values(self, name: str, convert: Callable[[str], T], empty: T) -> list[T]:
        """A column converted; a cell that CellError refuses is `empty` and noted as rejected."""
        found: list[T] = []
        header = self._headers.get(name)  # stands among the rows of a book that was merged by hand
        for at, cell in enumerate(self.texts(name)):
            try:
                found.append(convert(cell) if cell and cell != header else empty)
            except CellError as error:
                self.reject(at, str(error), "correct the cell, or import a source that has it", name)
                found.append(empty)
        return found

    def column(self, column: int) -> list[str]:
        """A column by its position, for those that no field claims."""
        return [value_text(row[column]) if column < len(row) else "" for row in self._cells]

    def reject(self, at: int, why: str, fix: str, name: str = "") -> None:
        """Note that a row was not read, or one cell of it when `name` is its field."""
        what = "cell" if name else "row"
        header = self._headers.get(name, name)
        self.rejected.append(Rejected(what, self.file, self.name, self._first + at, header, why, fix))

    def is_blank(self, at: int) -> bool:
        """Is there nothing in the row?"""
        return not any(text(value) for value in self._cells[at])

    def is_header(self, at: int) -> bool:
        """Is the row the header again, as in books that were merged by hand?"""
        row = self._cells[at]
        matching = sum(
            1
            for name, column in self._columns.items()
            if column < len(row) and text(row[column]) == self._headers[name]
        )
        return matching >= 2 and matching * 2 > len(self._columns)

    def _column(self, name: str, convert: Callable[[Any], str]) -> list[str]:
        found = self._read.get((name, convert))
        if found is None:
            column = self._columns.get(name)
            if column is None:
                found = [""] * len(self._cells)
            else:
                found = [convert(row[column]) if column < len(row) else "" for row in self._cells]
            self._read[name, convert] = found
        return found


def _header(cells: Sequence[Sequence[Any]], aliases: Aliases) -> tuple[int, dict[str, int]]:
    """The row of the first few that names most fields, and the column of each; the first alias that is there wins."""
    best: tuple[int, dict[str, int]] = (0, {})
    for at, row in enumerate(cells[:HEADER_WITHIN]):
        positions: dict[str, int] = {}
        for column, value in enumerate(row):
            positions.setdefault(normal(text(value)), column)
        found = {
            name: positions[alias]
            for name, known in aliases.items()
            for alias in [next((each for each in known if each in positions), "")]
            if alias
        }
        if len(found) > len(best[1]):
            best = at, found
    return best
