"""Many reasons to look again, one look at a time: changes that come while a pass runs make exactly one more pass."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from bascule.watch.backoff import Backoff
from bascule_agent.errors import describe

log = logging.getLogger("bascule_agent")

SETTLE_SECONDS = 0.01


class Loop:
    """Runs `work` after `poke()`, and again by itself after a backoff when it says that something is left to do.

    `work` returns True when everything is as it should be. An error it raises is logged and counts as not done: one bad
    pass must never end the agent.
    """

    def __init__(self, work: Callable[[], Awaitable[bool]]) -> None:
        self._work = work
        self._poked = asyncio.Event()
        self._backoff = Backoff(random.random, base=0.2, cap=15.0)

    def poke(self) -> None:
        """Something changed. Call it in the event loop."""
        self._poked.set()

    async def run(self) -> None:
        """For ever."""
        timeout: float | None = None
        while True:
            try:
                await asyncio.wait_for(self._poked.wait(), timeout)
            except TimeoutError:
                pass
            else:
                # Documents of one act (VMI, Pod, VMIM) arrive within milliseconds of each other: one pass for all.
                await asyncio.sleep(SETTLE_SECONDS)
            self._poked.clear()
            timeout = None if await self._once() else self._backoff.next()
            if timeout is None:
                self._backoff.reset()

    async def _once(self) -> bool:
        try:
            return await self._work()
        except Exception as error:
            message, cause, fix = describe(error)
            log.error("pass failed: %s (cause: %s; fix: %s)", message, cause or "-", fix or "-", exc_info=not cause)
            return False
