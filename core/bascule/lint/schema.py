"""The little language in which fields.py says which fields exist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Object:
    """Known fields; `required` ones must be there, and exactly one of `one_of` when it is given."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()


@dataclass(frozen=True)
class List:
    items: Any
    least: int = 0


@dataclass(frozen=True)
class Scalar:
    """One JSON type: str, int or bool."""

    type: type
    name: str


ANY = object()
"""Not looked into: another rule does, or it is not ours to judge."""

TEXT, WHOLE, FLAG = Scalar(str, "a string"), Scalar(int, "an integer"), Scalar(bool, "true or false")
TOP = {"apiVersion": TEXT, "kind": TEXT, "metadata": ANY, "status": ANY}
