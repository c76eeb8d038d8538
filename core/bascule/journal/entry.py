"""What one record of the journal says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Obj = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reference:
    """Which object was changed; `namespace` is empty for a cluster-wide one."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, obj: Obj) -> Reference:
        """The reference to an API object."""
        metadata = obj.get("metadata") or {}
        return cls(
            str(obj.get("apiVersion") or ""),
            str(obj.get("kind") or ""),
            str(metadata.get("namespace") or ""),
            str(metadata.get("name") or ""),
        )

    def document(self) -> dict[str, str]:
        """As it stands in the journal."""
        return {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
        }


@dataclass(frozen=True, slots=True)
class Undo:
    """The inverse: `verb` is create, apply or delete; `object` is what to create or apply, None for delete."""

    verb: str
    object: Obj | None = None

    def document(self) -> Obj:
        """As it stands in the journal."""
        return {"verb": self.verb, "object": self.object}


@dataclass(frozen=True, slots=True)
class Entry:
    """One deed, not yet in the chain. `time` is ISO 8601 UTC; `who` e.g. user, host, context, server; `what` a verb."""

    time: str
    who: dict[str, str]
    what: str
    target: Reference
    before: Obj | None
    after: Obj | None
    undo: Undo | None

    def document(self) -> Obj:
        """The record's content without its place in the chain."""
        return {
            "time": self.time,
            "who": self.who,
            "what": self.what,
            "target": self.target.document(),
            "before": self.before,
            "after": self.after,
            "undo": self.undo.document() if self.undo else None,
        }


@dataclass(frozen=True, slots=True)
class Record:
    """A record as read: its number from 1, its own hash and its content (the keys of Entry.document)."""

    seq: int
    hash: str
    content: Obj
