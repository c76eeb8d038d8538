"""Where a run keeps what it did: deeds in the journal, records beside it, and one lock, so that two runs never meet."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bascule.errors import RefusedError
from bascule.migration.run import Deed, by_vm
from bascule_console.services.estate import write_whole
from bascule_console.services.journal import Journal


def read_deeds(journal: Journal) -> dict[str, list[Deed]]:
    """The deeds of each VM's last attempt by `namespace/target`, on the journal's server ("" for any)."""
    found = []
    for record in journal.records():
        after = record.content.get("after")
        if journal.server and record.content["who"].get("server") != journal.server:
            continue
        deed = Deed.of(after) if after else None
        if deed is not None:
            found.append(deed)
    return by_vm(found)


def write_deed(journal: Journal, deed: Deed) -> None:
    """Record a deed; it counts once this returns. Raises JournalError."""
    journal.append("plan run", None, deed.document())


def now() -> str:
    """ISO 8601 UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def record_path(journal: Journal, key: str) -> Path:
    """The file of a VM's record, by `namespace/target`."""
    return journal.path.parent / "runs" / f"{key.replace('/', '.')}.json"


def keep_record(journal: Journal, key: str, record: dict[str, Any]) -> Path:
    """Write a record, whole or not at all. Raises UsageError."""
    return write_whole(record_path(journal, key), json.dumps(record, separators=(",", ":")) + "\n")


def read_record(journal: Journal, key: str) -> dict[str, Any] | None:
    """The record of a VM's last run; None when there is none that can be read."""
    try:
        found = json.loads(record_path(journal, key).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


@contextmanager
def locked(journal: Journal) -> Iterator[None]:
    """Only one run at a time may change where addresses are. Raises RefusedError."""
    path = journal.path.with_name("run.lock")
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise RefusedError(
                "another run of a plan is under way", f"process {holder} holds {path}", "wait, or bascule plan status"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
