"""Taking a change back: the inverse steps, last first, and the record of a change that is not decided yet.

Used by the dead-man process and, when both processes of a change are gone, by the next agent. One lock file per node,
held for as long as a change is open: who holds it decides, and whoever finds it free with a record in it takes over.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bascule.errors import BasculeError
from bascule.hostplan.steps import Step
from bascule.trunks.change import decode
from bascule_agent.errors import AgentError

POLL_SECONDS = 0.02


def roll_back(steps: Iterable[Step], execute: Callable[[Step], None]) -> list[str]:
    """Execute the inverse of every step, last first; one that fails is named and the others go on. A step that was
    never done has an inverse that already holds."""
    problems = []
    for step in reversed(tuple(steps)):
        try:
            execute(step.inverse())
        except BasculeError as error:
            problems.append(str(error))
    return problems


class Record:
    """The lock file: `steps` of an open change as JSON, empty when none is open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def lock(self, seconds: float) -> None:
        """Take the lock; AgentError when another process holds it that long."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise AgentError(
                        "a change of this node is still open", cause=f"another process holds {self._path}", fix="wait"
                    ) from None
                time.sleep(POLL_SECONDS)

    def unlock(self) -> None:
        """Let go."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def write(self, steps: list[dict[str, Any]]) -> None:
        """Put the steps on disk before the first of them is done; [] when the change is decided."""
        data = json.dumps(steps).encode() if steps else b""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, data, 0)
        os.fsync(self._fd)

    def read(self) -> list[Step]:
        """The steps on record; [] for none, and for a record that was cut while it was written: then no step was done.
        Raises ChangeError."""
        data = os.pread(self._fd, os.fstat(self._fd).st_size, 0)
        try:
            values = json.loads(data or b"[]")
        except ValueError:
            return []
        return [decode(value) for value in values]

    def close(self) -> None:
        """Close; the lock goes with it."""
        os.close(self._fd)
