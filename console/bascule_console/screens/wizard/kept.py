"""Rows of a page as a table's source: put as a whole, and known again where they are the same."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Generic, TypeVar

R = TypeVar("R")


class Kept(Generic[R]):
    """Rows by identity; one that did not change stays the same object, and a put without a change is none."""

    lost = 0

    def __init__(self) -> None:
        self.version = 0
        self.intake = 0
        self._rows: dict[Hashable, R] = {}

    def keep(self, rows: Iterable[tuple[Hashable, R]]) -> None:
        """Take these rows in place of the ones before."""
        fresh: dict[Hashable, R] = {}
        for key, row in rows:
            before = self._rows.get(key)
            fresh[key] = before if before is not None and before == row else row
        if [*fresh.items()] != [*self._rows.items()]:
            self._rows = fresh
            self.version += 1
            self.intake += 1

    def rows(self) -> Mapping[Hashable, R]:
        """All of them."""
        return self._rows

    def labels(self, _row: R) -> Mapping[str, str]:
        """Rows of a page have none."""
        return {}
