"""Which endpoints match a selector, and which selectors match an endpoint, kept up to date as labels change.

A changed label makes the index evaluate only those selectors that look at that label and whose anchor (anchors.py) is
among the endpoint's labels; all others answer as before. Ten thousand selectors cost a label change a few dozen
evaluations, where a scan costs ten thousand.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from bascule.selectors.anchors import Anchor, Literal, anchor, mentioned
from bascule.selectors.ast import Node

S = TypeVar("S", bound=Hashable)
E = TypeVar("E", bound=Hashable)
_ANY_VALUE = 64.0  # has(x) counts as this many literals: nearly every endpoint has the labels that selectors ask about


@dataclass(frozen=True, slots=True)
class Change(Generic[S]):
    """Selectors (or endpoints) that match since an update, and those that no longer do."""

    gained: frozenset[S]
    lost: frozenset[S]

    def __bool__(self) -> bool:
        return bool(self.gained or self.lost)


@dataclass(frozen=True, slots=True)
class _Entry:
    node: Node
    anchor: Anchor
    labels: frozenset[str]


class SelectorIndex(Generic[S, E]):
    """Endpoints of type E with labels, selectors of type S with a parsed Node; both are any hashable names.

    Not thread-safe. Selectors may be equal: each name is kept and answered on its own.
    """

    def __init__(self) -> None:
        self._labels: dict[E, dict[str, str]] = {}
        self._entries: dict[S, _Entry] = {}
        self._usual: set[S] = set()  # selectors whose usual answer is true
        self._unusual_of: dict[E, set[S]] = {}  # selectors that answer unlike their usual answer, by endpoint
        self._unusual_for: dict[S, set[E]] = {}
        self._anchored: dict[Literal, dict[str, set[S]]] = {}  # literal -> mentioned label -> selectors
        self._weight: dict[Literal, int] = {}
        self._carriers: dict[Literal, set[E]] = {}

    def selectors(self, endpoint: E) -> frozenset[S]:
        """The selectors that match an endpoint; none for one that is not known."""
        if endpoint not in self._labels:
            return frozenset()
        unusual = self._unusual_of[endpoint]
        return frozenset(self._usual ^ unusual)

    def endpoints(self, selector: S) -> frozenset[E]:
        """The endpoints that a selector matches; none for one that is not known."""
        if selector not in self._entries:
            return frozenset()
        unusual = self._unusual_for[selector]
        return frozenset(self._labels.keys() - unusual if selector in self._usual else unusual)

    def put_endpoint(self, endpoint: E, labels: Mapping[str, str]) -> Change[S]:
        """Add an endpoint or give it new labels. Returns the selectors that match it now and no longer."""
        old, new = self._labels.get(endpoint), dict(labels)
        self._labels[endpoint] = new
        if old is None:
            unusual = self._unusual_of[endpoint] = set()
            self._judge(endpoint, self._candidates(new, None), unusual)
            self._carry(endpoint, {}, new)
            return Change(self.selectors(endpoint), frozenset())
        changed = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
        if not changed:
            return Change(frozenset(), frozenset())
        self._carry(endpoint, old, new)
        candidates = self._candidates(old, changed) | self._candidates(new, changed)
        flipped = self._judge(endpoint, candidates, self._unusual_of[endpoint])
        gained = frozenset(s for s in flipped if (s in self._usual) != (s in self._unusual_of[endpoint]))
        return Change(gained, frozenset(flipped - gained))

    def drop_endpoint(self, endpoint: E) -> Change[S]:
        """Forget an endpoint. Returns the selectors that had matched it."""
        lost = self.selectors(endpoint)
        self._carry(endpoint, self._labels.pop(endpoint, {}), {})
        for selector in self._unusual_of.pop(endpoint, ()):
            self._unusual_for[selector].discard(endpoint)
        return Change(frozenset(), lost)

    def put_selector(self, selector: S, node: Node) -> frozenset[E]:
        """Add a selector, or replace the one of this name. Returns the endpoints that it matches."""
        self.drop_selector(selector)
        entry = self._entries[selector] = _Entry(node, anchor(node, self._cost), mentioned(node))
        if entry.anchor.default:
            self._usual.add(selector)
        for literal in entry.anchor.literals:
            self._weight[literal] = self._weight.get(literal, 0) + 1
            by_label = self._anchored.setdefault(literal, {})
            for label in entry.labels:
                by_label.setdefault(label, set()).add(selector)
        unusual = self._unusual_for[selector] = set()
        for endpoint in self._carrying(entry.anchor.literals):
            if node.matches(self._labels[endpoint]) != entry.anchor.default:
                unusual.add(endpoint)
                self._unusual_of[endpoint].add(selector)
        return self.endpoints(selector)

    def drop_selector(self, selector: S) -> frozenset[E]:
        """Forget a selector. Returns the endpoints that it had matched."""
        lost = self.endpoints(selector)
        entry = self._entries.pop(selector, None)
        if entry is None:
            return lost
        self._usual.discard(selector)
        for literal in entry.anchor.literals:
            self._weight[literal] -= 1
            for label in entry.labels:
                self._anchored[literal][label].discard(selector)
            if not self._weight[literal]:
                del self._weight[literal], self._anchored[literal]
        for endpoint in self._unusual_for.pop(selector):
            self._unusual_of[endpoint].discard(selector)
        return lost

    def _cost(self, literals: frozenset[Literal]) -> float:
        """How often a label change would run into these literals: prefer what few endpoints have, then what few other
        selectors hang on."""
        return sum(
            (_ANY_VALUE if literal[1] is None else 1.0)
            + len(self._carriers.get(literal, ()))
            + self._weight.get(literal, 0) / 8
            for literal in literals
        )

    def _candidates(self, labels: Mapping[str, str], changed: Iterable[str] | None) -> set[S]:
        """Selectors anchored in these labels that look at a changed label (any when None)."""
        found: set[S] = set()
        for literal in _literals(labels):
            by_label = self._anchored.get(literal)
            if by_label:
                for label in by_label if changed is None else changed:
                    found |= by_label.get(label, frozenset())
        return found

    def _judge(self, endpoint: E, candidates: set[S], unusual: set[S]) -> set[S]:
        """Evaluate and record; the selectors whose answer is another one now."""
        labels, flipped = self._labels[endpoint], set()
        for selector in candidates:
            entry = self._entries[selector]
            is_unusual = entry.node.matches(labels) != entry.anchor.default
            if is_unusual == (selector in unusual):
                continue
            flipped.add(selector)
            if is_unusual:
                unusual.add(selector)
                self._unusual_for[selector].add(endpoint)
            else:
                unusual.discard(selector)
                self._unusual_for[selector].discard(endpoint)
        return flipped

    def _carry(self, endpoint: E, old: Mapping[str, str], new: Mapping[str, str]) -> None:
        before, after = set(_literals(old)), set(_literals(new))
        for literal in before - after:
            carriers = self._carriers[literal]
            carriers.discard(endpoint)
            if not carriers:
                del self._carriers[literal]
        for literal in after - before:
            self._carriers.setdefault(literal, set()).add(endpoint)

    def _carrying(self, literals: frozenset[Literal]) -> set[E]:
        found: set[E] = set()
        for literal in literals:
            found |= self._carriers.get(literal, frozenset())
        return found


def _literals(labels: Mapping[str, str]) -> Iterator[Literal]:
    for label, value in labels.items():
        yield label, value
        yield label, None
