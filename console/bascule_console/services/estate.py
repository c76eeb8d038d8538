"""The old side from files: read, kept under XDG state for the verbs that follow, and shown."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from bascule.errors import UsageError
from bascule.estate.document import dump
from bascule.estate.load import MAX_BYTES, File, load
from bascule.estate.model import Estate
from bascule.estate.ovf import ovf_member

SUFFIXES = (".xlsx", ".xlsm", ".csv", ".ovf", ".ova", ".xml")


def estate_path(environ: Mapping[str, str] | None = None) -> Path:
    """`$XDG_STATE_HOME/bascule/estate.json`, by default under ~/.local/state."""
    state = (os.environ if environ is None else environ).get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "bascule" / "estate.json"


def read(paths: Iterable[str]) -> Estate:
    """The estate of files and folders. Raises UsageError for what cannot be read."""
    return load([file for path in paths for file in _files(path)])


def current(paths: list[str]) -> Estate:
    """The estate of `paths`, or without any the imported one. Raises UsageError."""
    if paths:
        return read(paths)
    kept = estate_path()
    if not kept.exists():
        raise UsageError("no estate was imported", f"there is no {kept}", "bascule estate import FILE…, or name files")
    return load([_file(kept)])


def save(estate: Estate, path: Path) -> Path:
    """Write an estate in place of the one before, whole or not at all. Raises UsageError."""
    return write_whole(path, dump(estate))


def write_whole(path: Path, text: str) -> Path:
    """Write a file so that it is never half there. Raises UsageError."""
    scratch = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        number, scratch = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
        os.replace(scratch, path)
    except OSError as error:
        if scratch:
            Path(scratch).unlink(missing_ok=True)
        cause = error.strerror or str(error)
        raise UsageError(f"{path}: cannot be written", cause, "name another file") from error
    return path


def _files(path: str) -> Iterator[File]:
    place = Path(path)
    if not place.is_dir():
        yield _file(place)
        return
    found = sorted(each for each in place.iterdir() if each.suffix.lower() in SUFFIXES and each.is_file())
    if not found:
        raise UsageError(f"{path}: no file to import", f"none ends in {', '.join(SUFFIXES)}", "name the files")
    for each in found:
        yield _file(each)


def _file(path: Path) -> File:
    try:
        if path.suffix.lower() == ".ova":
            with path.open("rb") as stream:
                return path.name, ovf_member(path.name, stream)
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"{path.name}: larger than {MAX_BYTES >> 20} MiB", "", "export it in parts")
        return path.name, path.read_bytes()
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{path}: cannot be read", cause, "check the name") from error
