"""What every object has: identity, labels, annotations, conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bascule.resources.read import dig, items, mapping, text, texts


@dataclass(frozen=True, slots=True)
class Meta:
    """`deleting` is true once a deletionTimestamp is set; `created` is ISO 8601 text or ""."""

    name: str
    namespace: str
    uid: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    created: str
    deleting: bool

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Meta:
        meta = mapping(dig(document, "metadata"))
        return cls(
            name=text(meta.get("name")),
            namespace=text(meta.get("namespace")),
            uid=text(meta.get("uid")),
            labels=texts(meta.get("labels")),
            annotations=texts(meta.get("annotations")),
            created=text(meta.get("creationTimestamp")),
            deleting=bool(meta.get("deletionTimestamp")),
        )


@dataclass(frozen=True, slots=True)
class Condition:
    """One entry of status.conditions; `status` is "True", "False" or "Unknown"."""

    type: str
    status: str
    reason: str
    message: str
    changed: str

    @classmethod
    def of(cls, value: Any) -> Condition:
        entry = mapping(value)
        return cls(
            type=text(entry.get("type")),
            status=text(entry.get("status")),
            reason=text(entry.get("reason")),
            message=text(entry.get("message")),
            changed=text(entry.get("lastTransitionTime")),
        )


def conditions_of(document: Mapping[str, Any]) -> tuple[Condition, ...]:
    """status.conditions of any object."""
    return tuple(Condition.of(entry) for entry in items(dig(document, "status", "conditions")))


def condition(conditions: tuple[Condition, ...], kind: str) -> Condition | None:
    """The condition of that type, or None."""
    return next((entry for entry in conditions if entry.type == kind), None)
