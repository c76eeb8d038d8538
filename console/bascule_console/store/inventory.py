"""API objects as the cluster's watches last reported them, by kind and `namespace/name`.

Objects are the plain dicts of the API; views of them (VM rows, node facts) are computed where they are shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bascule_console.store.topics import INVENTORY, Topics

Object = Mapping[str, Any]


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
        self._synced: set[str] = set()
        self._problems: dict[str, str] = {}

    def put(self, kind: str, obj: Object) -> None:
        """Add or replace one object."""
        self._kinds.setdefault(kind, {})[object_key(obj)] = obj
        self._topics.touch(INVENTORY)

    def remove(self, kind: str, key: str) -> None:
        """Forget one object; unknown keys are fine (a watch may repeat a deletion)."""
        if self._kinds.get(kind, {}).pop(key, None) is not None:
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
        return [obj for _, obj in sorted(self._kinds.get(kind, {}).items())]

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

    def problems(self) -> dict[str, str]:
        """Kinds that cannot be read now, with the reason."""
        return dict(self._problems)
