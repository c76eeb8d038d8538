"""Hands drains to the history without ever holding up the drains: a thread writes, a bounded queue lies between.

A disk that is full or slow costs history, never counting: what could not be written is counted as `not-recorded` and
put into the next share that can be written, so the history's own ledger still adds up.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from bascule.flows.extent import Extent
from bascule.flows.filter import Filter
from bascule.flows.ledger import NOT_RECORDED
from bascule_agent.flows.history import History
from bascule_agent.flows.hub import Drain

log = logging.getLogger("bascule_agent")

QUEUED = 20  # drains: ten seconds
TIDY_EVERY_S = 60.0
SAY_EVERY_S = 60.0


class Recorder:
    """The history's one writer. Owned by the event loop; `record` never blocks."""

    def __init__(self, path: Path, node: str) -> None:
        self._make: Callable[[], History] = lambda: History(path, node)
        self._history: History | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="history")
        self._waiting = 0
        self._lost = 0
        self._tidied = time.monotonic()
        self._said = -SAY_EVERY_S

    def record(self, drain: Drain) -> None:
        """Take a drain in; when the writer is too far behind it is counted and left out."""
        if self._waiting >= QUEUED:
            self._leave_out(drain, "the disk is too slow")
            return
        self._waiting += 1
        work = asyncio.get_running_loop().run_in_executor(self._thread, self._write, drain)
        work.add_done_callback(lambda done: self._written(drain, done))

    async def read(self, since_ns: int, wanted: Filter) -> AsyncGenerator[tuple[Drain, Extent], None]:
        """History.read in a thread of its own, once what waits now is written."""
        loop = asyncio.get_running_loop()
        history = await loop.run_in_executor(self._thread, self._opened)
        pieces, reader = history.read(since_ns, wanted), ThreadPoolExecutor(1, thread_name_prefix="history-reader")
        try:
            while (piece := await loop.run_in_executor(reader, next, pieces, None)) is not None:
                yield piece
        finally:
            reader.submit(pieces.close)
            reader.shutdown(wait=False)

    def close(self) -> None:
        """Write what waits, then close. Blocks."""
        self._thread.shutdown(wait=True)
        if self._history is not None:
            self._history.close()

    def _opened(self) -> History:
        if self._history is None:
            self._history = self._make()
        return self._history

    def _write(self, drain: Drain) -> None:
        history = self._opened()
        history.add(replace(drain, ledger=drain.ledger.moved(NOT_RECORDED, self._lost)))
        if time.monotonic() - self._tidied > TIDY_EVERY_S:
            self._tidied = time.monotonic()
            history.tidy(drain.time_ns)

    def _written(self, drain: Drain, done: asyncio.Future[None]) -> None:
        self._waiting -= 1
        error = done.exception()
        if isinstance(error, sqlite3.Error | OSError):
            self._leave_out(drain, str(error))
        elif error is not None:
            raise error

    def _leave_out(self, drain: Drain, why: str) -> None:
        self._lost += drain.frames
        if time.monotonic() - self._said > SAY_EVERY_S:
            self._said = time.monotonic()
            log.error("flow history: %d frames not recorded since the start: %s", self._lost, why)
