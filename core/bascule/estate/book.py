"""An .xlsx book as tables of cells, read by calamine (python-calamine) straight into lists.

Not through pandas, which wraps the same reader: columns are read one by one anyway, so its frames gain nothing, and its
import costs 0.16 s and 45 MB in a core that needs none of it. Before calamine sees a book it is inflated once under a
limit and its cell references are looked at: calamine holds a sheet as one dense block, so that two cells at opposite
corners would be a terabyte.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

from bascule.estate.errors import EstateFileError
from bascule.estate.model import Rejected

MAX_INFLATED = 1 << 30
MAX_MEMBERS = 2_000
MAX_ROWS, MAX_COLUMNS, MAX_CELLS = 1_048_576, 16_384, 40_000_000
_CHUNK = 4 << 20
_PLAIN = re.compile(rb'<c r="([A-Z]{1,3})(\d{1,7})"(?: (?:s|t|cm|vm|ph)="\w*")*\s?/?>')
"""A cell as every known writer writes it; whatever is not of this form is looked at more closely."""
_TAG = re.compile(rb"<(?:[\w.-]{1,40}:)?c([\s/][^<>]*)?>")
_OTHER_TAGS = tuple(start + end for start in (b"<c", b":c") for end in (b"\t", b"\n", b"\r", b"/", b">")) + (b":c ",)
_REFERENCE = re.compile(rb"""(?<![\w:.-])r\s*=\s*(?:"([^"]*)"|'([^']*)'|)""")
_VALUE = re.compile(rb"([A-Z]{1,3})(\d{1,7})")
_BEFORE_XML = b"\xef\xbb\xbf\xff\xfe\0 \t\r\n"
_MIB = 1 << 20
SAVE_AGAIN = "open it and save it again as .xlsx, or export the sheets as CSV"
Table = tuple[str, list[list[Any]], int]
"""A sheet's name, its cells, and the number of the first of its rows."""


def read_book(name: str, data: bytes, choose: Callable[[list[str]], list[str]]) -> tuple[list[Table], list[Rejected]]:
    """The tables of a book, and the sheets that are broken. `choose` picks of all names.

    Raises EstateFileError for what is no book, or one that would not fit.
    """
    inspect(name, data)
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ModuleNotFoundError:
        fix = "pip install python-calamine, or export the sheets as CSV"
        raise EstateFileError(f"{name}: .xlsx cannot be read here", "python-calamine is not installed", fix) from None
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(data))
        names = choose(book.sheet_names)
    except (CalamineError, ValueError, OSError) as error:
        raise EstateFileError(f"{name}: no readable .xlsx book", str(error), SAVE_AGAIN) from None
    except BaseException as error:
        raise _panic(name, error) from None
    tables: list[Table] = []
    rejected: list[Rejected] = []
    for each in names:
        try:
            sheet = book.get_sheet_by_name(each)
            start = sheet.start
            tables.append((each, sheet.to_python(), start[0] + 1 if start else 1))
        except (CalamineError, ValueError, OSError) as error:
            rejected.append(Rejected("sheet", name, each, 0, "", f"it cannot be read: {error}", SAVE_AGAIN))
        except BaseException as error:
            rejected.append(Rejected("sheet", name, each, 0, "", _panic(name, error).cause, SAVE_AGAIN))
    return tables, rejected


def inspect(name: str, data: bytes) -> None:
    """Refuse a book that is none, is encrypted, or would inflate beyond reason. Raises EstateFileError."""
    if data[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        cause = "it is an old .xls book, or an encrypted one"
        raise EstateFileError(f"{name}: not an .xlsx book", cause, "save it as .xlsx without a password")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            members = book.infolist()
            if "xl/workbook.xml" not in {each.filename for each in members}:
                raise EstateFileError(f"{name}: not an .xlsx book", "it is a zip of something else", SAVE_AGAIN)
            if len(members) > MAX_MEMBERS:
                raise EstateFileError(f"{name}: refused", f"{len(members)} files in one book", SAVE_AGAIN)
            inflated = 0
            for each in members:
                inflated = _look(name, book, each, inflated)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError) as error:
        raise EstateFileError(
            f"{name}: not an .xlsx book", f"it is truncated or damaged: {error}", SAVE_AGAIN
        ) from None


def _look(name: str, book: zipfile.ZipFile, member: zipfile.ZipInfo, inflated: int) -> int:
    """Inflate one member without keeping it; returns what all of them came to so far."""
    span = None
    with book.open(member) as stream:
        while chunk := stream.read(_CHUNK):
            if span is None and chunk.lstrip(_BEFORE_XML)[:1] == b"<":
                span = _Span(name, member.filename)  # whatever it is called: a book may keep a sheet anywhere
            inflated += len(chunk)
            if inflated > MAX_INFLATED:
                cause = f"it inflates to more than {MAX_INFLATED // _MIB} MiB: a zip bomb"
                raise EstateFileError(f"{name}: refused", cause, "import the sheets as CSV, in parts")
            if b"<!DOCTYPE" in chunk or b"<!ENTITY" in chunk:
                cause = f"{member.filename} declares entities: an XML bomb"
                raise EstateFileError(f"{name}: refused", cause, SAVE_AGAIN)
            if span is not None:
                span.take(chunk)
    return inflated


class _Span:
    """How far the cells of a sheet reach. Every cell has to say plainly where it is."""

    def __init__(self, name: str, member: str) -> None:
        self._name, self._member = name, member
        self._tail = b""
        self._width = self._last = 0

    def take(self, chunk: bytes) -> None:
        """Look at the next part of the sheet. Raises EstateFileError."""
        part = self._tail + chunk
        end = part.rfind(b">") + 1
        part, self._tail = part[:end], part[end:]
        if b"\0" in chunk or len(self._tail) > 2 * _CHUNK:
            raise EstateFileError(f"{self._name}: refused", f"{self._member} is no plain XML in UTF-8", SAVE_AGAIN)
        places = _PLAIN.findall(part)
        if len(places) != part.count(b"<c ") or any(other in part for other in _OTHER_TAGS):
            places = [self._place(attributes) for attributes in _TAG.findall(part)]
        if places:
            self._width = max(self._width, *map(_column, {letters for letters, _ in places}))
            self._last = max(self._last, max(map(int, {digits for _, digits in places})))
        if self._last > MAX_ROWS or self._width > MAX_COLUMNS or self._last * self._width > MAX_CELLS:
            cause = f"{self._member} spans {self._last} rows × {self._width} columns"
            fix = "delete the stray cells at its far end, or use CSV"
            raise EstateFileError(f"{self._name}: refused", cause, fix)

    def _place(self, attributes: bytes) -> tuple[bytes, bytes]:
        found = [double or single for double, single in _REFERENCE.findall(attributes)]
        place = _VALUE.fullmatch(found[0]) if len(found) == 1 else None
        if place is None:
            cause = f"{self._member} has cells that do not say plainly where they are"
            raise EstateFileError(f"{self._name}: refused", cause, SAVE_AGAIN)
        return place[1], place[2]


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number


def _panic(name: str, error: BaseException) -> EstateFileError:
    """calamine's own faults arrive as a PanicException, which is no Exception; everything else is passed on."""
    if type(error).__name__ != "PanicException" and not isinstance(error, MemoryError):
        raise error
    return EstateFileError(f"{name}: no readable .xlsx book", f"its reader gave up: {error}", SAVE_AGAIN)
