"""The objects as last seen, and the deltas that a new view of them makes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

Obj = dict[str, Any]
Key = tuple[str, str]
DeltaType = Literal["ADDED", "MODIFIED", "DELETED"]


@dataclass(frozen=True, slots=True)
class Delta:
    """One change of the cache: `object` is the new state (the last known one for DELETED), `old` what it replaced."""

    type: DeltaType
    key: Key
    object: Obj
    old: Obj | None = None


class MalformedObject(ValueError):
    """An object without metadata.name."""


def key_of(obj: Obj) -> Key:
    """(namespace or "", name). Raises MalformedObject."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise MalformedObject(f"an object without metadata.name: {str(obj)[:120]}")
    return str(metadata.get("namespace") or ""), metadata["name"]


@dataclass(slots=True)
class Cache:
    """Objects by key. An object of another uid under a known key is a deletion and a birth, never a change."""

    objects: dict[Key, Obj] = field(default_factory=dict)

    def put(self, obj: Obj) -> list[Delta]:
        """Store one object; nothing for the same uid and resourceVersion again."""
        key = key_of(obj)
        old = self.objects.get(key)
        self.objects[key] = obj
        if old is None:
            return [Delta("ADDED", key, obj)]
        if _meta(old, "uid") != _meta(obj, "uid"):
            return [Delta("DELETED", key, old), Delta("ADDED", key, obj)]
        if _meta(old, "resourceVersion") == _meta(obj, "resourceVersion") and old == obj:
            return []
        return [Delta("MODIFIED", key, obj, old)]

    def remove(self, obj: Obj) -> list[Delta]:
        """Forget one object; nothing if it is not known."""
        key = key_of(obj)
        old = self.objects.pop(key, None)
        return [] if old is None else [Delta("DELETED", key, obj, old)]

    def replace(self, objects: Iterable[Obj]) -> list[Delta]:
        """Make the cache equal to a fresh list; what is missing from it was deleted while nobody watched."""
        fresh = {key_of(obj): obj for obj in objects}
        deltas = [Delta("DELETED", key, old, old) for key, old in self.objects.items() if key not in fresh]
        for delta in deltas:
            del self.objects[delta.key]
        for obj in fresh.values():
            deltas += self.put(obj)
        return deltas


def _meta(obj: Obj, field_name: str) -> Any:
    return obj["metadata"].get(field_name)
