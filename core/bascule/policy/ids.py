"""Numbers that stand for rules and address sets in maps, counters and flow records; given once and never reused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule.policy import intervals
from bascule.policy.intervals import Ranges
from bascule.policy.layout import ANY_SET, PREFIX, RuleName


class RuleIds:
    """Rule names by id; 0 is no rule."""

    def __init__(self, names: Iterable[RuleName | None] = (), last: int = 0) -> None:
        """`names` are those given before, from id 1 on, None for one that is not known; new ids begin behind `last`."""
        self._names: list[RuleName | None] = list(names)
        self._names += [None] * (last - len(self._names))
        self._ids = {name: at for at, name in enumerate(self._names, 1) if name is not None}

    @property
    def names(self) -> tuple[RuleName | None, ...]:
        """Every name, from id 1 on."""
        return tuple(self._names)

    def of(self, name: RuleName) -> int:
        """The id of a rule, a new one at first sight."""
        if name not in self._ids:
            self._names.append(name)
            self._ids[name] = len(self._names)
        return self._ids[name]

    def name(self, identity: int) -> RuleName | None:
        """What an id stands for; None for 0 and for what this table never gave."""
        return self._names[identity - 1] if 1 <= identity <= len(self._names) else None


class SetIds:
    """Address sets by contents; 0 is every address."""

    def __init__(self, first: int = 1) -> None:
        """`first` is the first id to give."""
        self._ids: dict[Ranges, int] = {intervals.ALL: ANY_SET}
        self._contents: dict[int, Ranges] = {ANY_SET: intervals.ALL}
        self._prefixes: dict[int, NDArray[Any]] = {}
        self._next = first

    def __len__(self) -> int:
        return len(self._contents)

    def of(self, ranges: Ranges) -> int:
        """The id of a set with these contents, a new one at first sight."""
        found = self._ids.get(ranges)
        if found is None:
            found = self._ids[ranges] = self._next
            self._contents[found] = ranges
            self._next += 1
        return found

    def contents(self, identity: int) -> Ranges:
        """What is in a set."""
        return self._contents[identity]

    def prefixes(self, identity: int) -> NDArray[Any]:
        """The set as PREFIX keys."""
        if identity not in self._prefixes:
            self._prefixes[identity] = _keys(identity, self._contents[identity])
        return self._prefixes[identity]

    def retain(self, identities: set[int]) -> None:
        """Forget all other sets; should their contents come back, they get another id."""
        keep = identities | {ANY_SET}
        self._contents = {identity: ranges for identity, ranges in self._contents.items() if identity in keep}
        self._ids = {ranges: identity for identity, ranges in self._contents.items()}
        self._prefixes = {identity: keys for identity, keys in self._prefixes.items() if identity in keep}


def _keys(identity: int, ranges: Ranges) -> NDArray[Any]:
    """Single addresses are most of what there is, so they do not go through the splitting of ranges."""
    single = [first for first, last in ranges if first == last]
    wider = list(intervals.prefixes(tuple(each for each in ranges if each[0] != each[1])))
    keys = np.zeros(len(single) + len(wider), PREFIX)
    keys["set"] = identity
    keys["length"] = [64] * len(single) + [32 + length for _, length in wider]
    keys["address"] = np.array([*single, *(first for first, _ in wider)], ">u4").view("u1").reshape(-1, 4)
    return keys
