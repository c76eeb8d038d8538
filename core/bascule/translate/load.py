"""Files of an old firewall to a rule base: which importer they are for, and what is wrong with a file as such.

A fault of a file ends it with one error that names file and line; a fault of one rule in it is a leftover, and the rest
is still read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from bascule.translate.errors import RuleFileError
from bascule.translate.model import RuleBase

MAX_BYTES = 256 << 20
File = tuple[str, bytes]
"""Name and contents."""


def load(files: Sequence[File], kind: str = "") -> RuleBase:
    """Read files of one source. `kind` is a key of KINDS, "" to tell it from the files. Raises RuleFileError."""
    if not files:
        raise RuleFileError("no file to import", fix="name the files of the old firewall")
    for name, data in files:
        if len(data) > MAX_BYTES:
            raise RuleFileError(
                f"{name}: larger than {MAX_BYTES >> 20} MiB", "", "split it, or dump without statistics"
            )
        if not data.strip():
            raise RuleFileError(f"{name}: empty", "", "dump it again")
    kinds = {name: kind or recognise(name, data) for name, data in files}
    if len(set(kinds.values())) > 1:
        told = ", ".join(f"{name} is {which}" for name, which in kinds.items())
        raise RuleFileError("files of different firewalls", told, "import each on its own")
    return KINDS[next(iter(kinds.values()))](files)


def recognise(name: str, data: bytes) -> str:
    """Which importer a file is for, by its beginning and its name. Raises RuleFileError."""
    start = data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start in (b"{", b"[") and not name.lower().endswith((".fw", ".conf")):
        return "nsx"
    if start == b"<":
        return "nwfilter"
    if name.lower().endswith((".fw", ".conf")):
        return "proxmox"
    fix = f"say what it is with --kind {'|'.join(KINDS)}"
    raise RuleFileError(f"{name}: no JSON, no .fw file and no XML", "it is not known which firewall it is of", fix)


def _nsx(files: Sequence[File]) -> RuleBase:
    from bascule.translate.nsx import read_nsx

    return read_nsx([(name, parse_json(name, data)) for name, data in files])


def _proxmox(files: Sequence[File]) -> RuleBase:
    from bascule.translate.proxmox import read_proxmox

    return read_proxmox([(name, text_of(name, data)) for name, data in files])


def _nwfilter(files: Sequence[File]) -> RuleBase:
    from bascule.translate.nwfilter import read_nwfilter

    return read_nwfilter(files)


KINDS: dict[str, Callable[[Sequence[File]], RuleBase]] = {"nsx": _nsx, "proxmox": _proxmox, "nwfilter": _nwfilter}


def text_of(name: str, data: bytes) -> str:
    """A file as text. Raises RuleFileError with the line of what is no UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise RuleFileError(
            f"{name}:{line}: not UTF-8 text", f"byte {data[error.start]:#04x}", "save it as UTF-8"
        ) from None


def parse_json(name: str, data: bytes) -> Any:
    """A JSON document. Raises RuleFileError with line and column; a truncated one says so."""
    text = text_of(name, data)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        ended = error.pos >= len(text.rstrip()) - 1
        what = "it ends before it is complete: truncated" if ended else error.msg
        raise RuleFileError(
            f"{name}:{error.lineno}: no JSON: {what}", f"column {error.colno}", "dump it again"
        ) from None
    except RecursionError:
        raise RuleFileError(f"{name}: nested too deeply for any firewall", "", "check what wrote it") from None
