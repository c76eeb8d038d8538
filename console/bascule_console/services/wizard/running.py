"""The run in the background: started, paused and taken back from a page, and what it told so far.

One thing runs at a time. What went wrong stays until the next start, so that a page that is asked later can say it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bascule.errors import BasculeError
from bascule_console.services.collect.hypervisor import Ask
from bascule_console.services.credentials import Access

if TYPE_CHECKING:
    from bascule_console.services.run import Loaded, Runner, Told

MOST_LINES = 200


class Running:
    """What runs, and its news: `lines` for people, `last` the newest of each VM."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=MOST_LINES)
        self.last: dict[str, Told] = {}
        self.error: BasculeError | None = None
        self.what = ""
        self.pausing = False
        self._runner: Runner | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def active(self) -> bool:
        """Does something run?"""
        return self._task is not None and not self._task.done()

    def tell(self, told: Told) -> None:
        """News of the runner."""
        from bascule_console.services.run.events import END, NOTE

        self.last[told.vm] = told
        if told.kind in (END, NOTE):
            self.say(f"{told.vm}: {told.text}" if told.ok else f"{told.vm}: failed: {told.text}")

    def say(self, text: str) -> None:
        """One line of news."""
        self.lines.append(f"{datetime.now(UTC):%H:%M:%S} {text}")

    def start(
        self,
        what: str,
        loaded: Loaded,
        access: Access,
        source: str,
        ask: Ask | None,
        body: Callable[[Runner], Coroutine[Any, Any, Any]],
    ) -> None:
        """Begin in the background; `body` is what to do with an open runner. Only while nothing runs."""
        assert not self.active
        self.error, self.what, self.pausing = None, what, False
        self._task = asyncio.create_task(self._work(loaded, access, source, ask, body))

    async def _work(
        self,
        loaded: Loaded,
        access: Access,
        source: str,
        ask: Ask | None,
        body: Callable[[Runner], Coroutine[Any, Any, Any]],
    ) -> None:
        from bascule_console.services.run import opened  # the agents' client and the disks': not before a run

        try:
            async with opened(loaded, access, source, self.tell, ask) as runner:
                self._runner = runner
                if self.pausing:
                    runner.stop()
                await body(runner)
        except BasculeError as error:
            self.error = error
            self.say(f"{self.what} ended: {error.message}")
        else:
            self.say(f"{self.what} has ended")
        finally:
            self._runner = None

    def pause(self) -> None:
        """Begin nothing more; what is under way ends first."""
        self.pausing = True
        if self._runner is not None:
            self._runner.stop()

    def check(self) -> None:
        """Raise what ended the task and was no fault of the outside: it must not be lost in the background."""
        if self._task is not None and self._task.done():
            task, self._task = self._task, None
            task.result()

    async def ended(self) -> None:
        """Wait until nothing runs. Raises what was no fault of the outside."""
        if self._task is not None:
            await asyncio.wait([self._task])
            self.check()
