"""One task for each object: a change while its reconcile runs makes it run once more, never twice at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from bascule.errors import BasculeError

log = logging.getLogger(__name__)
Key = tuple[str, str]
RETRY_S = 1.0


class KeyedTasks:
    """Runs `reconcile(key)` for every key that was poked; failures are logged and retried after RETRY_S."""

    def __init__(self, name: str, reconcile: Callable[[Key], Awaitable[None]]) -> None:
        self._name = name
        self._reconcile = reconcile
        self._dirty: set[Key] = set()
        self._tasks: dict[Key, asyncio.Task[None]] = {}

    def poke(self, key: Key) -> None:
        """Say that `key` changed."""
        self._dirty.add(key)
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(self._run(key))

    async def _run(self, key: Key) -> None:
        try:
            while key in self._dirty:
                self._dirty.discard(key)
                try:
                    await self._reconcile(key)
                except Exception as error:
                    traced = not isinstance(error, BasculeError)
                    log.warning("%s %s/%s: %s", self._name, *key, error, exc_info=traced)
                    await asyncio.sleep(RETRY_S)
                    self._dirty.add(key)
        finally:
            del self._tasks[key]

    async def stop(self) -> None:
        """Cancel what runs."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
