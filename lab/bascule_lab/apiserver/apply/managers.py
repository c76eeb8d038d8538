"""metadata.managedFields: who owns which fields, read and written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bascule_lab.apiserver.apply.paths import FieldSet, decode_set, encode_set

APPLY, UPDATE = "Apply", "Update"
MOST_UPDATERS = 10
ANCIENT = "ancient-changes"
_WORDS = {name: name for name in ("manager", "operation", "subresource", "time")} | {"api_version": "apiVersion"}


@dataclass(frozen=True)
class Entry:
    """One manager's fields; `time` is when it last wrote (RFC 3339)."""

    manager: str
    operation: str
    api_version: str
    subresource: str = ""
    time: str = ""
    fields: FieldSet = frozenset()

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """An applier stays the same when it changes its version; an updater does not."""
        version = "" if self.operation == APPLY else self.api_version
        return self.manager, self.operation, version, self.subresource

    def __str__(self) -> str:
        """As in a conflict's message (apimachinery managedfields/internal/conflict.go)."""
        text = f'"{self.manager}"'
        if self.subresource:
            text += f' with subresource "{self.subresource}"'
        if self.operation == UPDATE:
            text += f" using {self.api_version}" + (f" at {self.time}" if self.time else "")
        return text


def read(entries: Any) -> list[Entry]:
    """The entries of a stored or given list. Raises ValueError when it is not one."""
    found = []
    for entry in entries or ():
        if not isinstance(entry, dict) or entry.get("operation") not in (APPLY, UPDATE):
            raise ValueError("a managedFields entry is no object with an operation")
        texts = {word: entry.get(name) or "" for word, name in _WORDS.items()}
        if not all(isinstance(text, str) for text in texts.values()):
            raise ValueError("a managedFields entry has values that are no strings")
        found.append(Entry(**texts, fields=decode_set(entry.get("fieldsV1") or {})))
    return found


def write(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Appliers first, then by age, as kube-apiserver orders them; empty updaters are left out."""
    order = sorted(entries, key=lambda entry: (entry.operation, entry.time, entry.manager, entry.subresource))
    return [
        {
            "manager": entry.manager,
            "operation": entry.operation,
            "apiVersion": entry.api_version,
            **({"time": entry.time} if entry.time else {}),
            "fieldsType": "FieldsV1",
            "fieldsV1": encode_set(entry.fields),
            **({"subresource": entry.subresource} if entry.subresource else {}),
        }
        for entry in order
        if entry.fields or entry.operation == APPLY
    ]


def cap(entries: list[Entry]) -> list[Entry]:
    """At most ten updaters; the oldest beyond are counted as one, so that the list cannot grow for ever."""
    updaters = sorted((e for e in entries if e.operation == UPDATE and e.fields), key=lambda entry: entry.time)
    surplus = updaters[: max(0, len(updaters) - MOST_UPDATERS + 1)] if len(updaters) > MOST_UPDATERS else []
    if not surplus:
        return entries
    fields: FieldSet = frozenset().union(*(entry.fields for entry in surplus))
    bucket = replace(surplus[-1], manager=ANCIENT, subresource="", fields=fields)
    return [entry for entry in entries if entry not in surplus] + [bucket]
