"""API objects as the cluster's watches last reported them, by kind and `namespace/name`.

Objects are the plain dicts of the API; views of them (VM rows, node facts) are computed where they are shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import Any

from bascule_console.store.topics import INVENTORY, Topics

Object = Mapping[str, Any]
LOGGED = 32_768


def object_key(obj: Object) -> str:
    """`namespace/name`, or `name` for what has no namespace."""
    meta = obj.get("metadata") or {}
    namespace, name = meta.get("namespace", ""), str(meta.get("name", ""))
    return f"{namespace}/{name}" if namespace else name


class Inventory:
    """Objects by kind; every change touches the topic `inventory`."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._kinds: dict[str, dict[str, Object]] = {}
        self._order: dict[str, list[str]] = {}  # sorting 20,000 keys takes longer than a frame may
        self._synced: set[str] = set()
        self._problems: dict[str, str] = {}
        self._log: deque[tuple[str, str]] = deque(maxlen=LOGGED)
        self._logged = 0

    def put(self, kind: str, obj: Object) -> None:
        """Add or replace one object."""
        key, known = object_key(obj), self._kinds.setdefault(kind, {})
        if key not in known:
            self._order.pop(kind, None)
        known[key] = obj
        self._note(kind, key)

    def remove(self, kind: str, key: str) -> None:
        """Forget one object; unknown keys are fine (a watch may repeat a deletion)."""
        if self._kinds.get(kind, {}).pop(key, None) is not None:
            self._order.pop(kind, None)
            self._note(kind, key)

    def changes(self, since: int) -> tuple[int, list[tuple[str, str]] | None]:
        """(mark, what was put or removed after the mark `since`), as (kind, key); None when that is too long ago.

        The first mark is 0. So a table of 20,000 rows makes anew the one that changed, not all of them.
        """
        behind = self._logged - since
        return self._logged, None if behind > len(self._log) else list(islice(reversed(self._log), behind))

    def _note(self, kind: str, key: str) -> None:
        self._log.append((kind, key))
        self._logged += 1
        self._topics.touch(INVENTORY)

    def mark_synced(self, kind: str) -> None:
        """A complete list of `kind` has arrived: from here on, nothing means that there is nothing."""
        if kind not in self._synced:
            self._synced.add(kind)
            self._topics.touch(INVENTORY)

    def synced(self, kind: str) -> bool:
        """Whether a complete list of `kind` has arrived."""
        return kind in self._synced

    def all(self, kind: str) -> list[Object]:
        """Every object of `kind`, in the order of their keys."""
        known = self._kinds.get(kind, {})
        return [known[key] for key in self.keys(kind)]

    def keys(self, kind: str) -> list[str]:
        """The keys of every object of `kind`, in order."""
        found = self._order.get(kind)
        if found is None:
            found = self._order[kind] = sorted(self._kinds.get(kind, {}))
        return found

    def get(self, kind: str, key: str) -> Object | None:
        """One object, or None."""
        return self._kinds.get(kind, {}).get(key)

    def report_problem(self, kind: str, text: str) -> None:
        """Why `kind` cannot be read now; an empty text clears it."""
        if self._problems.get(kind, "") == text:
            return
        if text:
            self._problems[kind] = text
        else:
            self._problems.pop(kind, None)
        self._topics.touch(INVENTORY)

    def silent(self) -> bool:
        """Whether nothing that was read before can be read now: the API server is gone, not one kind."""
        return bool(self._synced) and self._synced <= self._problems.keys()

    def problems(self) -> dict[str, str]:
        """Kinds that cannot be read now, with the reason."""
        return dict(self._problems)
