"""A CSV file as rows: whatever encoding and delimiter a spreadsheet of any country wrote."""

from __future__ import annotations

import csv
import io

from bascule.estate.errors import EstateFileError

_DELIMITERS = (",", ";", "\t", "|")
_MOST_ROWS = 2_000_000


def text_of(name: str, data: bytes) -> str:
    """UTF-8 or UTF-16 by their marks, else UTF-8, else what Windows calls ANSI. Raises EstateFileError."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError as error:
                raise EstateFileError(f"{name}: not {encoding} text", str(error), "save it as UTF-8") from None
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise EstateFileError(f"{name}:{line}: not text", "it holds zero bytes", "export it as CSV, in UTF-8")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def rows_of(name: str, data: bytes) -> list[list[str]]:
    """The rows of a file; the delimiter is the one that the first lines have most of. Raises EstateFileError."""
    text = text_of(name, data)
    start = text[:20_000].splitlines()[:10]
    delimiter = max(_DELIMITERS, key=lambda each: sum(line.count(each) for line in start))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[list[str]] = []
    try:
        for row in reader:
            rows.append(row)
            if len(rows) > _MOST_ROWS:
                raise EstateFileError(f"{name}: more than {_MOST_ROWS} rows", "", "import it in parts")
    except csv.Error as error:
        raise EstateFileError(f"{name}:{reader.line_num}: no CSV", str(error), "export it again") from None
    return rows
