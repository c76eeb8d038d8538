"""One agent per node: a lock that dies with its holder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from bascule_agent.errors import LockError


@contextlib.contextmanager
def node_lock(socket: Path) -> Iterator[None]:
    """Hold `<socket>.lock` for as long as the block runs. LockError names the holder."""
    path = socket.absolute().with_name(socket.name + ".lock")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode(errors="replace").strip()
            raise LockError(
                "another bascule-agent runs on this node",
                cause=f"pid {holder or 'unknown'} holds {path}",
                fix="end it first, or name another --socket for another node",
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)
