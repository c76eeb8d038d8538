"""The journal on disk: `bascule/journal.jsonl` under XDG state, readable by its owner only, synced before it counts."""

from __future__ import annotations

import fcntl
import getpass
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bascule.errors import RefusedError
from bascule.journal import Entry, Record, Reference, Undo, Verdict, encode, verify
from bascule.journal.chain import read
from bascule_console.store.documents import portable

Obj = dict[str, Any]
SECRET_KEYS = ("data", "stringData")
MIGRATION_STEP = "MigrationStep"
"""No object of a cluster: what `plan run` did to a VM (contracts.md section 9); `plan rollback` takes it back."""


class JournalError(RefusedError):
    """The journal cannot be written, or is broken: what should be recorded is not done."""


def journal_path(environ: Mapping[str, str] = os.environ) -> Path:
    """`$XDG_STATE_HOME/bascule/journal.jsonl`, by default under ~/.local/state."""
    state = environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "bascule" / "journal.jsonl"


@dataclass(frozen=True, slots=True)
class Journal:
    """One journal file; several processes may append to it. `context` and `server` say which cluster is changed."""

    path: Path
    context: str = ""
    server: str = ""

    def ready(self) -> None:
        """Raise JournalError unless a record could be appended now: to be asked before anything is changed."""
        with self._locked() as descriptor:
            self._intact(_content(descriptor))

    def append(self, what: str, before: Obj | None, after: Obj | None) -> None:
        """Record one change of one object and wait until it is on disk. One of `before` and `after` is not None.

        Raises JournalError.
        """
        target = Reference.of(after or before or {})
        before, after = _without_secrets(before), _without_secrets(after)
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = Entry(now, self._who(), what, target, before, after, _undo(target, before, after))
        with self._locked() as descriptor:
            data = _content(descriptor)
            verdict = self._intact(data)
            end = len(data) - verdict.torn
            os.ftruncate(descriptor, end)
            line = encode(entry, verdict.intact + 1, verdict.head)
            if os.pwrite(descriptor, line, end) != len(line):
                raise OSError(f"{self.path}: the record was written in part only")
            os.fsync(descriptor)

    def records(self) -> Iterator[Record]:
        """Every record, oldest first; none without a file. Raises BrokenRecord at the first that is not intact."""
        return read(self._data())

    def verify(self) -> Verdict:
        """Check the whole chain."""
        return verify(self._data())

    def _data(self) -> bytes:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise JournalError(f"cannot read the journal {self.path}", str(error)) from error

    def _intact(self, data: bytes) -> Verdict:
        verdict = verify(data)
        if verdict.fault is not None:
            raise JournalError(
                f"the journal {self.path} is broken at record {verdict.fault.line}",
                verdict.fault.problem,
                "keep the file as evidence: move it aside, and the next change begins a new journal",
            )
        return verdict

    @contextmanager
    def _locked(self) -> Iterator[int]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.fchmod(descriptor, 0o600)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield descriptor
            finally:
                os.close(descriptor)
        except OSError as error:
            fix = "make the folder writable, or set XDG_STATE_HOME"
            raise JournalError(f"cannot write the journal {self.path}", str(error), fix) from error

    def _who(self) -> dict[str, str]:
        try:
            user = getpass.getuser()
        except (KeyError, OSError):  # a uid without a name
            user = str(os.getuid())
        return {"user": user, "host": socket.gethostname(), "context": self.context, "server": self.server}


def _content(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def _undo(target: Reference, before: Obj | None, after: Obj | None) -> Undo | None:
    """The inverse, if it is known: a Secret's is not, because its data is not kept, and a step's has its own verb."""
    if (target.kind == "Secret" and before is not None) or target.kind == MIGRATION_STEP:
        return None
    if before is None:
        return Undo("delete")
    return Undo("apply" if after is not None else "create", portable(before))


def _without_secrets(obj: Obj | None) -> Obj | None:
    if obj is None or obj.get("kind") != "Secret":
        return obj
    return {key: value for key, value in obj.items() if key not in SECRET_KEYS}
