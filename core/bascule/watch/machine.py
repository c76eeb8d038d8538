"""List, then watch, for ever: the state machine behind every informer. No sockets, no clock of its own.

The driver carries out one request at a time and feeds back what happened. Why own: every Python client studied ends,
raises or loses deletions in at least one of EOF, reset, HTTP 410 and in-stream 410 (reference/kubernetes.md).
Semantics: https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bascule.watch.backoff import Backoff
from bascule.watch.cache import Cache, Delta, Key, MalformedObject, Obj

HEALTHY_SECONDS = 1.0  # a watch that lived this long ended in the ordinary way: ask again at once
RELIST_AFTER = 3  # watches in a row that failed without progress


@dataclass(frozen=True, slots=True)
class Start:
    """Begin."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the list asked for; `continue_token` is empty on the last."""

    items: list[Obj]
    resource_version: str
    continue_token: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One event of the watch, decoded: {"type": …, "object": …}."""

    event: Any


@dataclass(frozen=True, slots=True)
class Eof:
    """The watch ended without an error."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A request failed: an HTTP status, or 0 for a reset, a timeout or no connection. `retry_after` in seconds."""

    status: int = 0
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Timer:
    """The Sleep asked for is over."""


Input = Start | Page | Line | Eof | Failed | Timer


@dataclass(frozen=True, slots=True)
class ListRequest:
    """Ask for a page; an empty token asks for the first, with the server's latest state."""

    continue_token: str = ""


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """Open a watch from this resourceVersion, with bookmarks; an open one is to be closed first."""

    resource_version: str


@dataclass(frozen=True, slots=True)
class Sleep:
    """Close what is open and come back with Timer after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Synced:
    """The cache now holds a complete list (said after every list, following its deltas)."""


Action = Delta | Synced | ListRequest | WatchRequest | Sleep


class ListWatch:
    """Feed it with `step`; carry out the actions in order. `cache` is keyed by (namespace or "", name)."""

    def __init__(self, random: Callable[[], float], clock: Callable[[], float]) -> None:
        """`random` in [0, 1); `clock` in seconds, monotonic."""
        self._cache = Cache()
        self._backoff = Backoff(random)
        self._clock = clock
        self._pages: list[Obj] = []
        self._version = ""
        self._opened_at = 0.0
        self._watching = False
        self._after_sleep: ListRequest | WatchRequest = ListRequest()

    @property
    def cache(self) -> dict[Key, Obj]:
        """The objects as last seen; the same dict for the machine's life."""
        return self._cache.objects

    def step(self, happened: Input) -> list[Action]:
        """What follows from one thing that happened; the last action is the request to make, if there is a new one."""
        match happened:
            case Start():
                return [self._list()]
            case Timer():
                return [self._go(self._after_sleep)]
            case Page():
                return self._page(happened)
            case Line(event):
                return self._line(event)
            case Eof():
                return [self._failed(0, None)]
            case Failed(status, retry_after):
                return [self._failed(status, retry_after)]

    def _list(self) -> ListRequest:
        self._pages = []
        self._watching = False
        return ListRequest()

    def _watch(self) -> WatchRequest:
        self._watching = True
        self._opened_at = self._clock()
        return WatchRequest(self._version)

    def _go(self, request: ListRequest | WatchRequest) -> Action:
        if isinstance(request, WatchRequest):
            return self._watch()
        return request if request.continue_token else self._list()

    def _sleep(self, then: ListRequest | WatchRequest, at_least: float | None = None) -> Sleep:
        self._watching = False
        self._after_sleep = then
        return Sleep(max(self._backoff.next(), at_least or 0.0))

    def _page(self, page: Page) -> list[Action]:
        self._pages += page.items
        if page.continue_token:
            self._after_sleep = ListRequest(page.continue_token)
            return [ListRequest(page.continue_token)]
        try:
            deltas = self._cache.replace(self._pages)
        except MalformedObject:
            return [self._sleep(ListRequest())]
        self._pages = []
        self._version = page.resource_version
        return [*deltas, Synced(), self._watch()]

    def _line(self, event: Any) -> list[Action]:
        kind, obj = (event.get("type"), event.get("object")) if isinstance(event, dict) else (None, None)
        if not isinstance(obj, dict):
            return [self._sleep(ListRequest())]
        if kind == "ERROR":
            code = obj.get("code")
            gone = code == 410 or obj.get("reason") in ("Expired", "Gone")
            return [self._failed(410 if gone else code if isinstance(code, int) else 500, None)]
        try:
            deltas = self._change(str(kind), obj)
        except MalformedObject:
            return [self._sleep(ListRequest())]
        metadata = obj.get("metadata")
        if isinstance(metadata, dict):
            self._version = str(metadata.get("resourceVersion") or self._version)
        self._backoff.reset()
        return [*deltas]

    def _change(self, kind: str, obj: Obj) -> list[Delta]:
        if kind in ("ADDED", "MODIFIED"):
            return self._cache.put(obj)
        return self._cache.remove(obj) if kind == "DELETED" else []

    def _failed(self, status: int, retry_after: float | None) -> Action:
        transient = status == 0 or status == 429 or status >= 500
        if not self._watching:  # a continue token outlives a broken connection, but not a 410 or a refusal
            return self._sleep(self._after_sleep if transient and self._pages else ListRequest(), retry_after)
        healthy = retry_after is None and self._clock() - self._opened_at >= HEALTHY_SECONDS
        if healthy:
            self._backoff.reset()
        if transient and self._backoff.failures < RELIST_AFTER:
            return self._watch() if healthy else self._sleep(WatchRequest(self._version), retry_after)
        if status == 410 and healthy:
            return self._list()
        return self._sleep(ListRequest(), retry_after)
