"""Watches: the log since a version, then what is committed, as JSON lines.

The hub is called inside each commit and only appends to queues; every event is encoded once for all watchers. A client
that does not keep up is cut off (it lists or resumes), so it costs a bounded queue and never slows a writer.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from bascule_lab.apiserver.body import encode
from bascule_lab.apiserver.kinds import Kind
from bascule_lab.apiserver.listing import Lists
from bascule_lab.apiserver.options import ListOptions
from bascule_lab.apiserver.selectors import Selector
from bascule_lab.apiserver.status import ApiError, expired
from bascule_lab.apiserver.store import Event, Store
from bascule_lab.apiserver.table.render import Renderer

QUEUE_BOUND = 2048
BOOKMARK_SECONDS = 60.0
_SHORTEST_DEFAULT, _LONGEST_DEFAULT = 1800, 3600
_BATCH = 128


@dataclass(eq=False)
class Watcher:
    """One client's queue; `closed` ends its stream, also when the queue overflowed."""

    resource: str
    namespace: str
    selector: Selector
    queue: deque[tuple[str, Event]]
    wake: asyncio.Event
    bound: int
    closed: bool = False

    def offer(self, event: Event) -> None:
        if self.closed or (self.namespace and self.namespace != event.key[1]):
            return
        as_type = seen_as(event, self.selector)
        if as_type is None:
            return
        if len(self.queue) >= self.bound:
            self.close()
            return
        self.queue.append((as_type, event))
        self.wake.set()

    def close(self) -> None:
        self.closed = True
        self.wake.set()


def seen_as(event: Event, selector: Selector) -> str | None:
    """The event's type for a watcher with this selector: an object that enters is ADDED, one that leaves DELETED."""
    if selector.everything:
        return event.type
    before = event.previous is not None and selector.matches(event.previous.labels, event.previous.fields)
    if event.type == "DELETED":
        return "DELETED" if before else None
    after = selector.matches(event.index.labels, event.index.fields)
    if after:
        return "MODIFIED" if before else "ADDED"
    return "DELETED" if before else None


class Hub:
    """Hands each committed event to the watchers of its resource."""

    def __init__(self, store: Store, bound: int = QUEUE_BOUND, bookmark_seconds: float = BOOKMARK_SECONDS) -> None:
        self._store = store
        self._bound = bound
        self._bookmark_seconds = bookmark_seconds
        self._watchers: dict[str, set[Watcher]] = {}
        store.listeners.append(self._publish)

    def _publish(self, event: Event) -> None:
        for watcher in self._watchers.get(event.key[0], ()):
            watcher.offer(event)

    def close(self, resource: str = "") -> None:
        """End the streams of one resource (its CRD is gone), or all."""
        for name, watchers in self._watchers.items():
            if resource in ("", name):
                for watcher in watchers:
                    watcher.close()

    async def stream(
        self, kind: Kind, namespace: str, options: ListOptions, lists: Lists, form: Renderer | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Chunks of whole lines until timeout, close or overflow. Expired versions give one ERROR line."""
        selector = options.selector
        watcher = Watcher(kind.resource, namespace, selector, deque(), asyncio.Event(), self._bound)
        try:
            first = self._first(kind, namespace, options, lists, form)
        except ApiError as error:
            yield b'{"type":"ERROR","object":%s}\n' % encode(error.status())
            return
        group = self._watchers.setdefault(kind.resource, set())
        group.add(watcher)
        try:
            yield first
            async for chunk in self._follow(kind, watcher, options, form):
                yield chunk
        finally:
            group.discard(watcher)

    def _first(self, kind: Kind, namespace: str, options: ListOptions, lists: Lists, form: Renderer | None) -> bytes:
        """What came before the watch: every object as ADDED, or the log after the version asked for."""
        if options.version and options.version > self._store.rv:
            raise expired(f"Too large resource version: {options.version}, current: {self._store.rv}")
        if options.initial or not options.version:
            records = lists.select(kind, namespace, options)
            lines = [_line("ADDED", record.body, form) for record in records]
            if options.initial and options.bookmarks:
                lines.append(self._bookmark(kind, form, initial_end=True))
            return b"".join(lines)
        if options.version < self._store.floor:
            raise expired(f"too old resource version: {options.version} ({self._store.floor})")
        lines = []
        for event in self._store.since(kind.resource, options.version):
            as_type = seen_as(event, options.selector)
            if as_type and (not namespace or namespace == event.key[1]):
                lines.append(_shown(as_type, event, form))
        return b"".join(lines)

    async def _follow(
        self, kind: Kind, watcher: Watcher, options: ListOptions, form: Renderer | None
    ) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        seconds = options.timeout or random.randint(_SHORTEST_DEFAULT, _LONGEST_DEFAULT)
        end = loop.time() + seconds
        bookmark_at = loop.time() + self._bookmark_seconds
        while True:
            while watcher.queue and not (watcher.closed and len(watcher.queue) >= watcher.bound):
                take = min(_BATCH, len(watcher.queue))
                yield b"".join(_shown(*watcher.queue.popleft(), form) for _ in range(take))
            if watcher.closed:
                return
            now = loop.time()
            if now >= end or now >= bookmark_at:
                bookmark_at = now + self._bookmark_seconds
                if options.bookmarks:
                    yield self._bookmark(kind, form)
                if now >= end:
                    return
            watcher.wake.clear()
            try:
                async with asyncio.timeout_at(min(end, bookmark_at)):
                    await watcher.wake.wait()
            except TimeoutError:
                continue

    def _bookmark(self, kind: Kind, form: Renderer | None, initial_end: bool = False) -> bytes:
        """The queue is empty, so everything up to the store's version has been sent."""
        meta: dict[str, Any] = {"resourceVersion": str(self._store.rv), "creationTimestamp": None}
        if initial_end:
            meta["annotations"] = {"k8s.io/initial-events-end": "true"}
        document = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": meta}
        if form is not None:
            return b'{"type":"BOOKMARK","object":%s}\n' % form.bookmark(document)
        return b'{"type":"BOOKMARK","object":%s}\n' % encode(document)


def _shown(as_type: str, event: Event, form: Renderer | None) -> bytes:
    """An event's line; the plain one is encoded once for all watchers."""
    return event.line(as_type) if form is None else _line(as_type, event.body, form)


def _line(as_type: str, body: bytes, form: Renderer | None) -> bytes:
    shown = body if form is None else form.one(body)
    return b'{"type":"%s","object":%s}\n' % (as_type.encode(), shown)
