"""Files of the old side to an estate: what each is, what is wrong with it as such, and all of them merged.

A fault of a file ends it with one error that names it; a fault of a row is noted in `Estate.rejected`, and the rest is
read. The same files in the same order make the same estate, whatever the day.
"""

from __future__ import annotations

import gc
import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from bascule.estate.book import read_book
from bascule.estate.csvfile import rows_of
from bascule.estate.document import load_document
from bascule.estate.errors import EstateFileError
from bascule.estate.libvirt import read_xml
from bascule.estate.merge import merge
from bascule.estate.model import Estate, Rejected, Source
from bascule.estate.ovf import ovf_member, read_ovf
from bascule.estate.rvtools import read_sheets
from bascule.estate.rvtools.headers import SHEETS, kind_of
from bascule.estate.sheet import Sheet
from bascule.estate.table import read_table

MAX_BYTES = 256 << 20
File = tuple[str, bytes]
"""Name and contents."""
KINDS = ("rvtools", "csv", "ovf", "libvirt", "estate")


def load(files: Sequence[File]) -> Estate:
    """One estate of all files. CSV files that are sheets of RVTools belong together. Raises EstateFileError."""
    if not files:
        raise EstateFileError("no file to import", fix="name RVTools books, CSV files, OVFs or libvirt XML")
    with _no_collection():
        found = merge(_parts(files))
    if not found.vms and not found.port_groups:
        first = found.rejected[0] if found.rejected else None
        why = f"{first.place}: {first.why}" if first else "they hold no row"
        raise EstateFileError(f"nothing to import in {', '.join(name for name, _ in files)}", why, "check the export")
    return found


@contextmanager
def _no_collection() -> Iterator[None]:
    """A book is a million small objects and no cycles; the collector would walk them over and over (a fifth of the time
    for 10,000 VMs)."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _parts(files: Sequence[File]) -> list[Estate]:
    parts: list[Estate] = []
    folder = [each for each in files if each[0].lower().endswith(".csv") and kind_of(each[0])]
    for name, data in files:
        if len(data) > MAX_BYTES:
            raise EstateFileError(f"{name}: larger than {MAX_BYTES >> 20} MiB", "", "export it in parts")
        if (name, data) in folder:
            if (name, data) == folder[0]:
                parts.append(_folder(folder))
        else:
            parts.append(read_file(name, data))
    return parts


def read_file(name: str, data: bytes) -> Estate:
    """The estate of one file. Raises EstateFileError."""
    if not data.strip():
        raise EstateFileError(f"{name}: empty", "", "export it again")
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    low = name.lower()
    if data[:4] == b"PK\x03\x04" or data[:4] == b"\xd0\xcf\x11\xe0" or low.endswith((".xlsx", ".xlsm", ".xls")):
        kind, found = _book(name, data)
    elif low.endswith(".ova") and start != b"<":
        kind, found = "ovf", read_ovf(name, ovf_member(name, io.BytesIO(data)))
    elif start == b"{":
        return load_document(name, data)
    elif start == b"<":
        kind, found = read_xml(name, data)
    elif low.endswith((".xml", ".ovf")):
        raise EstateFileError(f"{name}: no XML", "it does not begin with '<'", "export it again")
    else:
        kind, found = "csv", read_table(name, rows_of(name, data))
    return _signed(found, [(name, data)], kind)


def _signed(estate: Estate, files: Sequence[File], kind: str) -> Estate:
    rows = len(estate.vms) + sum(len(vm.nics) + len(vm.disks) for vm in estate.vms) + len(estate.port_groups)
    sources = tuple(
        Source(name, kind, hashlib.sha256(data).hexdigest(), rows if at == 0 else 0)
        for at, (name, data) in enumerate(files)
    )
    return replace(estate, sources=sources)


def _book(name: str, data: bytes) -> tuple[str, Estate]:
    """RVTools' book, or any other whose first sheet is a plain table."""
    tables, rejected = read_book(name, data, _wanted)
    if not any(kind_of(each) for each, _, _ in tables) and not any(kind_of(each.sheet) for each in rejected):
        if not tables or not tables[0][1]:
            raise EstateFileError(f"{name}: the first sheet is empty", "", "import the sheet that lists the VMs")
        called, cells, first = tables[0]
        return "csv", read_table(name, cells, called, first)
    sheets = []
    for called, cells, first in tables:
        sheet = _sheet(name, called, cells, first, rejected)
        sheets += [(kind_of(called), sheet)] if sheet else []
    return "rvtools", read_sheets(name, sheets, rejected)


def _wanted(names: list[str]) -> list[str]:
    return [each for each in names if kind_of(each)] or names[:1]


def _folder(files: Sequence[File]) -> Estate:
    """RVTools' CSV export: one file a sheet. An empty file is noted, and the others are read."""
    rejected: list[Rejected] = []
    sheets = []
    for name, data in files:
        cells = rows_of(name, data) if data.strip() else []
        sheet = _sheet(name, "", cells, 1, rejected)
        sheets += [(kind_of(name), sheet)] if sheet else []
    return _signed(read_sheets(files[0][0], sheets, rejected), files, "rvtools")


def _sheet(name: str, called: str, cells: list[Any], first: int, rejected: list[Rejected]) -> Sheet | None:
    if not cells:
        rejected.append(Rejected("sheet", name, called, 0, "", "it is empty", "export it again if it should not be"))
        return None
    return Sheet(name, called, SHEETS[kind_of(called or name)], cells, first)
