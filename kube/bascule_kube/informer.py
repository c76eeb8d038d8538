"""List-watch into a dict, with everything that happens to it as events: the driver of `bascule.watch`."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from bascule.errors import BasculeError
from bascule.watch import (
    Action,
    Delta,
    Eof,
    Failed,
    Input,
    Key,
    Line,
    ListRequest,
    ListWatch,
    Obj,
    Page,
    Sleep,
    Start,
    Synced,
    Timer,
    WatchRequest,
)
from bascule_kube.cluster import Cluster
from bascule_kube.errors import ApiError, Unreachable
from bascule_kube.kinds import Kind

__all__ = ["Informer", "Key", "Obj", "OnChange"]

OnChange = Callable[[str, Obj], Any]
WATCH_SECONDS = 240


class Informer:
    """Keeps `cache` equal to the server's objects from `start()` to `await stop()`, through every kind of break.

    `error` is the present trouble, None while the watch stands; the cache then is the last state known. `synced` is set
    by the first complete list.
    """

    def __init__(
        self,
        cluster: Cluster,
        kind: Kind,
        namespace: str | None = None,
        field_selector: str | None = None,
        label_selector: str | None = None,
        on_change: OnChange | None = None,
    ) -> None:
        """`on_change(type, object)` is called in the event loop; type is ADDED, MODIFIED or DELETED.

        What it raises goes to the loop's exception handler, and the watch goes on.
        """
        self._cluster = cluster
        self._kind = kind
        self._namespace = namespace
        self._selectors = (label_selector or "", field_selector or "")
        self._on_change = on_change
        self._machine = ListWatch(random.random, time.monotonic)
        self._queues: set[asyncio.Queue[Delta | None]] = set()
        self._task: asyncio.Task[None] | None = None
        self.synced = asyncio.Event()
        self.error: BasculeError | None = None

    @property
    def cache(self) -> dict[Key, Obj]:
        """The objects, keyed by (namespace or "", name); read only."""
        return self._machine.cache

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._task = asyncio.create_task(self._run(), name=f"informer {self._kind.plural}")

    async def stop(self) -> None:
        """End the watch and every `events()`."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        for queue in self._queues:
            queue.put_nowait(None)

    async def events(self) -> AsyncIterator[Delta]:
        """Every change from now on, beginning with an ADDED for each object in the cache; ends at `stop()`."""
        queue: asyncio.Queue[Delta | None] = asyncio.Queue()
        for key, obj in self.cache.items():
            queue.put_nowait(Delta("ADDED", key, obj))
        self._queues.add(queue)
        try:
            while (delta := await queue.get()) is not None:
                yield delta
        finally:
            self._queues.discard(queue)

    async def _run(self) -> None:
        request = self._next(Start())
        while True:
            request = await self._carry_out(request)

    async def _carry_out(self, request: Action) -> Action:
        match request:
            case ListRequest(token):
                return self._next(await self._list(token))
            case WatchRequest(version):
                return await self._watch(version)
            case Sleep(seconds):
                await asyncio.sleep(seconds)
                return self._next(Timer())
        raise AssertionError(f"no request: {request}")

    def _next(self, happened: Input) -> Action:
        request = self._act(self._machine.step(happened))
        assert request is not None, happened
        return request

    def _act(self, actions: list[Action]) -> Action | None:
        """Publish deltas; return the request that follows, None if the watch goes on."""
        request: Action | None = None
        for action in actions:
            match action:
                case Delta():
                    self._publish(action)
                case Synced():
                    self.synced.set()
                case _:
                    request = action
        return request

    def _publish(self, delta: Delta) -> None:
        for queue in self._queues:
            queue.put_nowait(delta)
        if self._on_change is None:
            return
        try:
            self._on_change(delta.type, delta.object)
        except Exception as error:  # one object that a caller cannot digest must not end the watch of all the others
            message = f"on_change of {self._kind.plural} failed for {delta.type} {'/'.join(delta.key)}"
            asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})

    async def _list(self, token: str) -> Input:
        try:
            page = await self._cluster.list_page(self._kind, self._namespace, *self._selectors, continue_token=token)
        except BasculeError as error:
            return self._failed(error)
        self.error = None
        metadata = page["metadata"]
        return Page(page["items"], str(metadata.get("resourceVersion") or ""), metadata.get("continue") or "")

    async def _watch(self, version: str) -> Action:
        lines = self._cluster.watch_lines(
            self._kind, version, self._namespace, *self._selectors, timeout_seconds=WATCH_SECONDS
        )
        try:
            async for event in lines:
                self.error = None
                request = self._act(self._machine.step(Line(event)))
                if request is not None:
                    return request
        except BasculeError as error:
            return self._next(self._failed(error))
        finally:
            await lines.aclose()
        return self._next(Eof())

    def _failed(self, error: BasculeError) -> Failed:
        self.error = error
        status = error.status if isinstance(error, ApiError | Unreachable) else 0
        return Failed(status, error.retry_after if isinstance(error, Unreachable) else None)
