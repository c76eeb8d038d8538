"""Paths of fields, and the FieldsV1 form in which sets of them are stored.

A path is a tuple of FieldsV1 elements: `f:<name>`, `k:<json of an item's keys>`, `v:<json of a set's value>`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

Path = tuple[str, ...]
FieldSet = frozenset[Path]
EMPTY: FieldSet = frozenset()


def name_element(name: str) -> str:
    return f"f:{name}"


def key_element(keys: dict[str, Any]) -> str:
    return "k:" + json.dumps(keys, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def value_element(value: Any) -> str:
    return "v:" + json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def prefixes(paths: Iterable[Path]) -> set[Path]:
    """The paths and all their ancestors."""
    found: set[Path] = set()
    for path in paths:
        for end in range(len(path), 0, -1):
            if path[:end] in found:
                break
            found.add(path[:end])
    return found


def encode_set(paths: FieldSet) -> dict[str, Any]:
    """As FieldsV1: a tree, in which `.` marks an inner node that is a member itself."""
    root: dict[str, Any] = {}
    for path in paths:
        node = root
        for element in path:
            node = node.setdefault(element, {})
        node["."] = {}
    return _tidy(root)


def _tidy(node: dict[str, Any]) -> dict[str, Any]:
    if list(node) == ["."]:
        return {}
    return {name: {} if name == "." else _tidy(node[name]) for name in sorted(node)}


def decode_set(tree: Any) -> FieldSet:
    """The paths of a FieldsV1 tree. Raises ValueError for anything else."""
    found: set[Path] = set()
    _read(tree, (), found)
    return frozenset(found)


def _read(node: Any, path: Path, found: set[Path]) -> None:
    if not isinstance(node, dict):
        raise ValueError(f"{path}: no FieldsV1 object")
    if path and (not node or "." in node):
        found.add(path)
    for element, below in node.items():
        if element == ".":
            continue
        if element[:2] not in ("f:", "k:", "v:", "i:"):
            raise ValueError(f"{element!r} is no FieldsV1 element")
        _read(below, (*path, element), found)


def show_path(path: Path) -> str:
    """As a conflict names it: `.spec.ports[name="http"].port`."""
    parts = []
    for element in path:
        sort, text = element[:2], element[2:]
        if sort == "f:":
            parts.append(f".{text}")
        elif sort == "k:":
            keys = json.loads(text)
            shown = (f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in sorted(keys.items()))
            parts.append(f"[{','.join(shown)}]")
        else:
            parts.append(f"[={text}]" if sort == "v:" else f"[{text}]")
    return "".join(parts)
