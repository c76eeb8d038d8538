"""stdout is data, stderr is narration: the one place where the CLI writes either.

Names, labels and messages come from outside, so every text is escaped on its way: a table and CSV by `escape`, JSON and
YAML by writing everything beyond ASCII as escapes.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bascule.errors import BasculeError
from bascule.text import escape

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table or CSV: `value` is a key of the row or a function of it; `wide` ones only with -o wide."""

    title: str
    value: str | Callable[[Row], Any]
    wide: bool = False

    def text(self, row: Row) -> str:
        """The escaped cell; lists are joined, None is empty."""
        value = row.get(self.value) if isinstance(self.value, str) else self.value(row)
        if value is None:
            return ""
        if isinstance(value, list | tuple):
            return escape(",".join(str(part) for part in value))
        return escape(str(value))


def write_rows(rows: Sequence[Row], columns: Sequence[Column], fmt: str) -> None:
    """Write a list of objects to stdout in one of options.FORMATS; an empty table says so on stderr."""
    if fmt in ("table", "wide"):
        shown = [column for column in columns if fmt == "wide" or not column.wide]
        _table(rows, shown)
    elif fmt == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow([column.title.lower() for column in columns])
        writer.writerows([column.text(row) for column in columns] for row in rows)
    elif fmt == "jsonl":
        for row in rows:
            write_json_line(row)
    else:
        write_document(list(rows), fmt)


def write_document(document: Any, fmt: str) -> None:
    """Write one value as YAML (`yaml`) or else as JSON."""
    if fmt == "yaml":
        import yaml

        sys.stdout.write(yaml.safe_dump(document, sort_keys=False, default_flow_style=False))
    else:
        sys.stdout.write(json.dumps(document, indent=2) + "\n")


def write_json_line(document: Any) -> None:
    """Write one value as one line of JSON, and flush, for whoever follows."""
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def write_lines(text: str) -> None:
    """Write text to stdout line by line, escaped."""
    sys.stdout.writelines(escape(line) + "\n" for line in text.splitlines())


def narrate(text: str) -> None:
    """One line to stderr, escaped."""
    print(escape(text), file=sys.stderr, flush=True)


def report(error: BasculeError) -> None:
    """An error as message, cause and fix on stderr."""
    narrate(f"error: {error.message}")
    for word, text in (("cause", error.cause), ("fix", error.fix)):
        if text:
            narrate(f"  {word}: {text}")


def _table(rows: Iterable[Row], columns: Sequence[Column]) -> None:
    cells = [[column.text(row) for column in columns] for row in rows]
    if not cells:
        narrate("nothing found")
        return
    lines = [[column.title.upper() for column in columns], *cells]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        padded = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        sys.stdout.write("   ".join(padded).rstrip() + "\n")
