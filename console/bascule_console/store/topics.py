"""Versions and dirty flags by topic: how a screen learns that something it shows has changed.

Services call `touch`; a viewer holds a Subscription and asks `take` once per tick, so that a thousand
changes between two ticks cost one repaint. Nothing is delivered by callback: a burst can never run UI code. Where
nothing has changed for long a viewer sleeps until something does.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable

INVENTORY = "inventory"
FLOWS = "flows"
AGENTS = "agents"
MOVES = "moves"
RIGHTS = "rights"
FINDINGS = "findings"
JOURNAL = "journal"
REPORTS = "reports"
ADDRESSES = "addresses"
POLICIES = "policies"
TRUNKS = "trunks"


class Subscription:
    """The topics one viewer watches and the versions it has seen."""

    def __init__(self, topics: Topics, names: tuple[str, ...]) -> None:
        self._topics = topics
        self._seen: dict[str, int] = dict.fromkeys(names, -1)

    def waiting(self) -> bool:
        """Whether `take` would return anything."""
        return any(self._topics.version(name) != seen for name, seen in self._seen.items())

    def take(self) -> frozenset[str]:
        """The topics that changed since the last call; the first call returns all of them."""
        changed = frozenset(name for name, seen in self._seen.items() if self._topics.version(name) != seen)
        for name in changed:
            self._seen[name] = self._topics.version(name)
        return changed

    async def sleep(self, seconds: float) -> float:
        """Return as soon as `take` would return something, after `seconds` at the latest; the seconds that took."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        if not self.waiting():
            woken: asyncio.Future[None] = loop.create_future()
            alarm = loop.call_later(seconds, _wake, woken)
            self._topics.wake_on(woken, self._seen)
            try:
                await woken
            finally:
                alarm.cancel()
                self._topics.let_sleep(woken, self._seen)
        return loop.time() - began


class Topics:
    """A version per topic; it only grows. One event loop owns it."""

    def __init__(self) -> None:
        self._versions: Counter[str] = Counter()
        self._sleepers: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)

    def touch(self, name: str) -> None:
        """Say that `name` changed."""
        self._versions[name] += 1
        for woken in self._sleepers[name]:
            _wake(woken)

    def wake_on(self, woken: asyncio.Future[None], names: Iterable[str]) -> None:
        """Have `woken` done at the next change of one of `names`."""
        for name in names:
            self._sleepers[name].add(woken)

    def let_sleep(self, woken: asyncio.Future[None], names: Iterable[str]) -> None:
        """Nobody waits for `woken` any more."""
        for name in names:
            self._sleepers[name].discard(woken)

    def version(self, name: str) -> int:
        """How often `name` was touched."""
        return self._versions[name]

    def subscribe(self, *names: str) -> Subscription:
        """A viewer's own dirty flags over `names`."""
        return Subscription(self, names)


def _wake(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
