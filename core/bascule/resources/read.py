"""Read plain JSON-ish values of unknown shape: what is not of the wanted type reads as empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def mapping(value: Any) -> Mapping[str, Any]:
    """The value when it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> tuple[Any, ...]:
    """The elements when the value is a list, else none."""
    return tuple(value) if isinstance(value, (list, tuple)) else ()


def text(value: Any) -> str:
    """The value when it is a string, else ""."""
    return value if isinstance(value, str) else ""


def integer(value: Any) -> int | None:
    """The value when it is an integer (True is none), else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def texts(value: Any) -> Mapping[str, str]:
    """The entries of a mapping whose keys and values are both strings."""
    return {k: v for k, v in mapping(value).items() if isinstance(k, str) and isinstance(v, str)}


def strings(value: Any) -> tuple[str, ...]:
    """The strings of a list."""
    return tuple(element for element in items(value) if isinstance(element, str))


def dig(value: Any, *path: str | int) -> Any:
    """Follow keys and list positions; None where the path ends early."""
    for step in path:
        if isinstance(step, int):
            elements = items(value)
            value = elements[step] if -len(elements) <= step < len(elements) else None
        else:
            value = mapping(value).get(step)
    return value
