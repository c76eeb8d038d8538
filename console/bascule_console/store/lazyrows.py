"""Rows that are made when somebody looks: of 100,000 flows forty are on screen.

A table that has to look at all of them (a filter, an order) asks which changed, and makes only those, for a moment.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

R = TypeVar("R")


class LazyRows(Mapping[Hashable, R]):
    """Rows by identity. A row got twice is the same object while it does not change and somebody keeps asking."""

    @abstractmethod
    def stamps(self) -> Iterable[tuple[Hashable, object]]:
        """Each identity with an object that is another one as soon as the row changes."""

    @abstractmethod
    def some(self, keys: Sequence[Hashable]) -> Sequence[R]:
        """The rows of these identities, kept nowhere."""

    @abstractmethod
    def held(self) -> Mapping[Hashable, R]:
        """The rows as they are now, whatever comes."""


def stamps_of(rows: Mapping[Hashable, R]) -> Iterable[tuple[Hashable, object]]:
    """As `LazyRows.stamps`; a row that is there is its own stamp."""
    return rows.stamps() if isinstance(rows, LazyRows) else rows.items()


def some_of(rows: Mapping[Hashable, R], keys: Sequence[Hashable]) -> Sequence[R]:
    """As `LazyRows.some`."""
    return rows.some(keys) if isinstance(rows, LazyRows) else [rows[key] for key in keys]


def held(rows: Mapping[Hashable, R]) -> Mapping[Hashable, R]:
    """As `LazyRows.held`; rows that are there are kept by reference."""
    return rows.held() if isinstance(rows, LazyRows) else dict(rows)
