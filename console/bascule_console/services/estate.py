"""The old side from files and live sources: read, kept under XDG state for the verbs that follow, and shown."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bascule.errors import UsageError
from bascule.estate.document import dump
from bascule.estate.load import MAX_BYTES, File, load
from bascule.estate.model import Estate
from bascule.estate.ovf import ovf_member

if TYPE_CHECKING:
    from bascule_console.services.collect.hypervisor import Ask

LIVE = "://"
SUFFIXES = (".xlsx", ".xlsm", ".csv", ".ovf", ".ova", ".xml")


def estate_path(environ: Mapping[str, str] | None = None) -> Path:
    """`$XDG_STATE_HOME/bascule/estate.json`, by default under ~/.local/state."""
    state = (os.environ if environ is None else environ).get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "bascule" / "estate.json"


def read(paths: Iterable[str], ask: Ask | None = None) -> Estate:
    """The estate of files, folders and live sources (`qemu+ssh://host/system`), in their order.

    `ask` is asked for credentials (bascule_console.services.collect). Not to be called where an event loop runs when a
    source is live. Raises UsageError for what cannot be read, UnreachableError and RefusedError of live sources.
    """
    return load(
        [file for path in paths for file in (asyncio.run(collect(path, ask)) if LIVE in path else _files(path))]
    )


async def collect(uri: str, ask: Ask | None = None) -> list[File]:
    """What a live source tells, asked read-only. Raises UnreachableError, RefusedError, UsageError."""
    from bascule_console.services.collect.hypervisor import connect

    source = await connect(uri, ask=ask)
    try:
        return await source.files()
    finally:
        await source.close()


def current(paths: list[str], ask: Ask | None = None) -> Estate:
    """The estate of `paths` as `read` has it, or without any the imported one. Raises BasculeError."""
    if paths:
        return read(paths, ask)
    kept = estate_path()
    if not kept.exists():
        raise UsageError(
            "no estate was imported", f"there is no {kept}", "bascule estate import FILE|URI…, or name them"
        )
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
