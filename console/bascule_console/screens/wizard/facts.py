"""The tables of a page: any columns, the last ones left out first where they do not fit; a row opens as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TypeAlias

from bascule.migration.wizard_page import Table
from bascule_console.screens.wizard.kept import Kept
from bascule_console.screens.wizard.words import VERDICT_TONES
from bascule_console.widgets.columns import Column, cells
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.lines import Parts
from bascule_console.widgets.tableblock import TableBlock

Row: TypeAlias = tuple[str, ...]
LEAST, MOST = 14, 90
MEASURED = 500


class Rows(Kept[Row]):
    """The rows of one table; known by their first cell, the second of the same by its number too."""

    def put(self, rows: Sequence[Row]) -> None:
        """Take these rows in place of the ones before."""
        met: Counter[str] = Counter()
        keyed: list[tuple[Hashable, Row]] = []
        for row in rows:
            name = row[0] if row else ""
            met[name] += 1
            keyed.append(((name, met[name]), row))
        self.keep(keyed)

    def searchable(self, row: Row) -> str:
        """Every cell."""
        return " ".join(row)


class FactsTable(TableBlock[Row]):
    """One table of a page."""

    def __init__(self, facts: Table, glyphs: Glyphs) -> None:
        self.facts = facts
        self._source = Rows()
        self._source.put(facts.rows)
        super().__init__(
            facts.title,
            columns_of(facts, glyphs),
            self._source,
            glyphs,
            id=f"facts-{identifier(facts.id)}",
            empty=self._why_empty,
            extra=self._extra,
        )

    def take(self, facts: Table) -> None:
        """The page was made anew."""
        wider = facts.columns != self.facts.columns or facts.rows != self.facts.rows
        self.facts, self.title = facts, facts.title
        self._source.put(facts.rows)
        if wider:
            self.table.set_columns(columns_of(facts, self.glyphs))
        self.table.tick()
        self.show()

    def opened(self) -> tuple[str, list[tuple[str, str]]] | None:
        """The row under the cursor with all its cells; None without one."""
        row = self.table.view.cursor_row()
        if row is None:
            return None
        return self.facts.title, [*zip(self.facts.columns, row, strict=False)]

    def _why_empty(self) -> list[str]:
        if self.facts.rows:
            return ["No row passes the filter.", "Next: press / and Enter on an empty line"]
        return [self.facts.empty]

    def _extra(self) -> Parts:
        hidden = self.table.hidden_columns
        parts: Parts = [(f"  and {self.facts.more} more", "busy")] if self.facts.more else []
        return [*parts, ("  enter: the whole row", "muted")] if hidden and self.facts.rows else parts


def columns_of(facts: Table, glyphs: Glyphs) -> tuple[Column[Row], ...]:
    """A column per title, as wide as its cells where there is room; one that no row has anything in is left out."""
    some = [at for at in range(len(facts.columns)) if any(len(row) > at and row[at] for row in facts.rows)]
    return tuple(_column(facts, at, glyphs) for at in some or range(len(facts.columns)))


def _column(facts: Table, at: int, glyphs: Glyphs) -> Column[Row]:
    title = facts.columns[at]
    texts = [shown(row, at, glyphs) for row in facts.rows[:MEASURED]]
    natural = max([cells(title) + 1, *(cells(text) for text in texts)])
    numbers = bool(texts) and all(_is_number(row, at) for row in facts.rows[:MEASURED])
    return Column(
        str(at),
        escape_title(title),
        min(natural, LEAST),
        lambda row: shown(row, at, glyphs),
        lambda row: (0, float(row[at]), "") if _is_number(row, at) else (1, 0.0, row[at] if at < len(row) else ""),
        at,
        tone=lambda row: VERDICT_TONES.get(row[at], "") if at < len(row) else "",
        right=numbers,
        grow=1,
        most=min(natural, MOST),
    )


def shown(row: Row, at: int, glyphs: Glyphs) -> str:
    """One cell; a verdict has its symbol."""
    text = row[at] if at < len(row) else ""
    signs = {"error": glyphs.bad, "warning": glyphs.busy, "unknown": glyphs.unknown, "ok": glyphs.good}
    return f"{signs[text]} {text}" if text in signs else text


def escape_title(title: str) -> str:
    """Titles in capitals, as everywhere."""
    return title.upper()


def identifier(text: str) -> str:
    """`text` as a widget's id."""
    return "".join(char if char.isalnum() and char.isascii() else "-" for char in text) or "table"


def _is_number(row: Row, at: int) -> bool:
    return at < len(row) and row[at].isdecimal() and row[at].isascii()
