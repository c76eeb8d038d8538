"""Columns: of custom resources by their additionalPrinterColumns, of built-ins by hand, as kubectl shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bascule_lab.apiserver.kinds import Kind
from bascule_lab.apiserver.table.ages import age
from bascule_lab.apiserver.table.builtin import BUILTIN_COLUMNS
from bascule_lab.apiserver.table.jsonpath import find

_NAME = "Name must be unique within a namespace. Is required when creating resources."
_AGE = "CreationTimestamp is a timestamp representing the server time when this object was created."


@dataclass(frozen=True)
class Column:
    """One column and how its cell is made; priority above 0 is for `-o wide`."""

    name: str
    cell: Callable[[dict[str, Any]], Any]
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0

    def definition(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": self.description,
            "priority": self.priority,
        }


def columns(kind: Kind) -> list[Column]:
    """The columns of a kind; the first is always the name."""
    found = [Column("Name", lambda obj: obj["metadata"]["name"], format="name", description=_NAME)]
    by_hand = BUILTIN_COLUMNS.get(kind.resource)
    if by_hand is not None:
        return found + [Column(name, cell, priority=priority) for name, cell, priority in by_hand]
    for spec in kind.columns:
        found.append(_custom(spec))
    if not kind.columns:
        found.append(Column("Age", lambda obj: age(obj["metadata"].get("creationTimestamp")), description=_AGE))
    return found


def _custom(spec: dict[str, Any]) -> Column:
    kind, path = spec.get("type", "string"), spec["jsonPath"]

    def cell(document: dict[str, Any]) -> Any:
        values = find(path, document)
        if not values or values[0] is None:
            return None
        if kind == "date":
            return age(values[0])
        if kind in ("integer", "number", "boolean") and len(values) == 1:
            return values[0]
        return ",".join(_text(value) for value in values)

    return Column(
        spec["name"], cell, kind, spec.get("format", ""), spec.get("description", ""), spec.get("priority", 0)
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
