"""A thread that does blocking work for one connection, in order.

Not asyncio's pool: a call that hangs in a library would keep the program from ending, and libvirt's calls may hang as
long as a network does.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Worker:
    """One daemon thread. Work that was begun ends, whether somebody still waits for it or not."""

    def __init__(self, name: str) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=name, daemon=True).start()

    async def do(self, call: Callable[..., T], *args: Any) -> T:
        """`call(*args)` in the thread; what it raises is raised here."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def tell(setter: Callable[[Any], None], value: Any) -> None:
            if not future.done():
                setter(value)

        def work() -> None:
            if future.cancelled():
                return
            try:
                setter, value = future.set_result, call(*args)
            except BaseException as error:
                setter, value = future.set_exception, error  # type: ignore[assignment]
            with contextlib.suppress(RuntimeError):  # the loop is gone, and so is who waited
                loop.call_soon_threadsafe(tell, setter, value)

        self._work.put(work)
        return await future

    def end(self) -> None:
        """Nothing comes after what was given."""
        self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
