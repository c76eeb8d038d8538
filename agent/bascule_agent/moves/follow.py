"""Who follows which moves: a filter, and the set of moves that changed since the follower last looked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol


class Named(Protocol):
    """A record, or its entry in the index."""

    @property
    def vm(self) -> str: ...
    @property
    def namespace(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Filter:
    """Empty fields match all."""

    vm: str = ""
    namespace: str = ""
    migration_uid: str = ""

    def __call__(self, migration_uid: str, what: Named) -> bool:
        """Is this record wanted?"""
        return (
            self.migration_uid in ("", migration_uid)
            and self.vm in ("", what.vm)
            and self.namespace in ("", what.namespace)
        )


class Follower:
    """Changes are collected by move, so that a slow reader misses no move and piles up nothing."""

    def __init__(self, wanted: Filter) -> None:
        self._wanted = wanted
        self._dirty: dict[str, None] = {}
        self._event = asyncio.Event()

    def note(self, migration_uid: str, what: Named) -> None:
        """This move changed."""
        if self._wanted(migration_uid, what):
            self._dirty[migration_uid] = None
            self._event.set()

    async def changed(self) -> list[str]:
        """The uids of the moves that changed since the last call; waits until there is one."""
        await self._event.wait()
        self._event.clear()
        dirty, self._dirty = list(self._dirty), {}
        return dirty
