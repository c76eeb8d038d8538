"""Rows made from the store for a table: any function from the store to rows becomes a table's source.

The function runs when a topic it depends on has changed, not per event; a row equal to the one before stays the same
object, so that it is not painted again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from bascule_console.store.topics import Topics

R = TypeVar("R")
T = TypeVar("T")


class Derived(Generic[R]):
    """A `widgets.rowview.RowSource` over `make`, which gives rows by identity, in the order they are shown in."""

    lost = 0

    def __init__(
        self,
        topics: Topics,
        names: tuple[str, ...],
        make: Callable[[], Mapping[Any, R]],
        searchable: Callable[[R], str],
        labels: Callable[[R], Mapping[str, str]] | None = None,
    ) -> None:
        self._topics = topics
        self._names = names
        self._make = make
        self._searchable = searchable
        self._labels = labels
        self._rows: dict[Hashable, R] = {}
        self._made = -1
        self._changes = 0

    @property
    def version(self) -> int:
        """Grows with every change of a topic that the rows are made from."""
        return sum(self._topics.version(name) for name in self._names)

    @property
    def intake(self) -> int:
        """Rows that came or changed."""
        self.rows()
        return self._changes

    def rows(self) -> Mapping[Hashable, R]:
        """Rows by identity, made anew only when a topic changed."""
        if self._made != self.version:
            self._made = self.version
            old, self._rows = self._rows, {}
            for key, row in self._make().items():
                same = key in old and old[key] == row
                self._rows[key] = old[key] if same else row
                self._changes += not same
        return self._rows

    def searchable(self, row: R) -> str:
        """What a filter looks at."""
        return self._searchable(row)

    def labels(self, row: R) -> Mapping[str, str]:
        """What `-l` looks at."""
        return self._labels(row) if self._labels is not None else {}


class PerObject(Generic[T, R]):
    """What is made from each object, made once: a watch replaces an object that changed, so identity tells."""

    def __init__(self, make: Callable[[T], R]) -> None:
        self._make = make
        self._known: dict[int, tuple[T, R]] = {}  # holds the objects, so that an id is never used twice

    def of(self, objects: Iterable[T]) -> list[R]:
        """One value per object, in order; what belongs to objects not given any more is forgotten."""
        old, self._known = self._known, {}
        for one in objects:
            self._known[id(one)] = old.get(id(one)) or (one, self._make(one))
        return [made for _, made in self._known.values()]
