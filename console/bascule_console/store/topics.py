"""Versions and dirty flags by topic: how a screen learns that something it shows has changed.

Services call `touch`; a viewer holds a Subscription and asks `take` once per tick, so that a thousand
changes between two ticks cost one repaint. Nothing is delivered by callback: a burst can never run UI code.
"""

from __future__ import annotations

from collections import Counter

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


class Topics:
    """A version per topic; it only grows."""

    def __init__(self) -> None:
        self._versions: Counter[str] = Counter()

    def touch(self, name: str) -> None:
        """Say that `name` changed."""
        self._versions[name] += 1

    def version(self, name: str) -> int:
        """How often `name` was touched."""
        return self._versions[name]

    def subscribe(self, *names: str) -> Subscription:
        """A viewer's own dirty flags over `names`."""
        return Subscription(self, names)
