"""Completion of file names in an answer: one path, or several separated by blanks and quoted as in a shell."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from bascule_console.services.estate import SUFFIXES

SHOWN = 6
LOOKED_AT = 5000


def last(text: str, *, many: bool) -> tuple[str, str]:
    """(what stands before, the path that is being typed). A quoted path, or one with an escape, is not taken apart."""
    if not many:
        return "", text
    for quote in ("'", '"'):
        if text.count(quote) % 2:
            before, _, rest = text.rpartition(quote)
            return before + quote, rest
    at = len(text)
    while at and (text[at - 1] != " " or text[:at].endswith("\\ ")):
        at -= 1
    return text[:at], text[at:]


def paths(typed: str, suffixes: Sequence[str] = SUFFIXES) -> list[str]:
    """Folders and files that begin with what is typed, folders with a slash at their end; nothing where none can be
    read. Files that can be a source come first."""
    typed = typed.replace("\\ ", " ")
    folder, _, start = typed.rpartition("/")
    place = Path(os.path.expanduser(folder or ("/" if typed.startswith("/") else ".")))
    found: list[tuple[int, str]] = []
    try:
        with os.scandir(place) as entries:
            for _, entry in zip(range(LOOKED_AT), entries, strict=False):
                if entry.name.startswith(start) and (start or not entry.name.startswith(".")):
                    is_folder = entry.is_dir()
                    known = entry.name.lower().endswith(tuple(suffixes))
                    rank = 0 if known else 1 if is_folder else 2
                    found.append((rank, entry.name + ("/" if is_folder else "")))
    except OSError:
        return []
    lead = f"{folder}/" if "/" in typed else ""
    return [lead + name for _, name in sorted(found)]


def completed(text: str, *, many: bool) -> list[str]:
    """Whole texts that `text` could become."""
    before, typed = last(text, many=many)
    quoted = before.endswith(("'", '"'))
    return [before + (path if quoted or not many else _escaped(path)) for path in paths(typed)]


def _escaped(path: str) -> str:
    return path if shlex.quote(path) == path else path.replace(" ", "\\ ")
