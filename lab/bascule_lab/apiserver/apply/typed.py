"""Documents seen through their schema: which parts are single values, maps, keyed lists or sets.

`x-kubernetes-list-type` and `x-kubernetes-map-type` decide; without a schema a map is merged by key and a list is one
value, as structured-merge-diff deduces it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bascule_lab.apiserver.apply.paths import FieldSet, Path, key_element, name_element, value_element
from bascule_lab.apiserver.kinds import Schema

MISSING: Any = object()


class DuplicateItem(ValueError):
    """A keyed list or a set holds an item twice."""


@dataclass
class Changes:
    """Paths that a new document adds, changes or lacks, compared with an old one."""

    added: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)


def is_map(schema: Schema, value: Any) -> bool:
    """Merged field by field."""
    return isinstance(value, dict) and schema.get("x-kubernetes-map-type") != "atomic"


def is_list(schema: Schema, value: Any) -> bool:
    """Merged item by item; everything that is neither a map nor such a list is one value."""
    kind = schema.get("x-kubernetes-list-type")
    if not isinstance(value, list) or kind not in ("map", "set"):
        return False
    return kind == "set" or all(isinstance(item, dict) for item in value)


def below(schema: Schema, name: str) -> tuple[Schema, bool]:
    """The schema of a map's field, and whether it is a declared one."""
    declared = schema.get("properties", {}).get(name)
    if declared is not None:
        return declared, True
    extra = schema.get("additionalProperties")
    return (extra if isinstance(extra, dict) else {}), False


def items(schema: Schema, value: list[Any]) -> list[tuple[str, Any]]:
    """The items of a keyed list or set with their path elements. Raises DuplicateItem."""
    found = [(element_of(schema, item), item) for item in value]
    seen: set[str] = set()
    for element, _ in found:
        if element in seen:
            raise DuplicateItem(element)
        seen.add(element)
    return found


def element_of(schema: Schema, item: Any) -> str:
    """An item without a key has the key's default, as a Network's hostConfig without nodeSelector has ""."""
    if schema.get("x-kubernetes-list-type") == "set":
        return value_element(item)
    inner = schema.get("items") or {}
    keys = {}
    for name in schema.get("x-kubernetes-list-map-keys", ()):
        value = item.get(name, below(inner, name)[0].get("default"))
        if value is not None:
            keys[name] = value
    return key_element(keys)


def field_set(schema: Schema, value: Any) -> FieldSet:
    """Every field that a document states; what an applier then owns."""
    return frozenset(_members(schema, value, ()))


def _members(schema: Schema, value: Any, path: Path) -> Iterator[Path]:
    if is_map(schema, value):
        if path and not value:
            yield path
        for name, item in value.items():
            inner, declared = below(schema, name)
            place = (*path, name_element(name))
            if not declared:
                yield place
            yield from _members(inner, item, place)
    elif is_list(schema, value):
        for element, item in items(schema, value):
            yield (*path, element)
            if schema["x-kubernetes-list-type"] == "map":
                yield from _members(schema.get("items") or {}, item, (*path, element))
    else:
        yield path


def compare(schema: Schema, old: Any, new: Any) -> Changes:
    """What a write did, field by field; the order of a keyed list is no field."""
    changes = Changes()
    _compare(schema, old, new, (), changes)
    return changes


def _compare(schema: Schema, old: Any, new: Any, path: Path, changes: Changes) -> None:
    if path and old is MISSING:
        changes.added.add(path)
    elif path and new is MISSING:
        changes.removed.add(path)
    values = [value for value in (old, new) if value is not MISSING]
    if all(is_map(schema, value) for value in values):
        for name in dict.fromkeys(name for value in values for name in value):
            inner, _ = below(schema, name)
            sides = [value.get(name, MISSING) if value is not MISSING else MISSING for value in (old, new)]
            _compare(inner, sides[0], sides[1], (*path, name_element(name)), changes)
    elif all(is_list(schema, value) for value in values):
        before, after = (dict(_lenient(schema, value)) if value is not MISSING else {} for value in (old, new))
        for element in dict.fromkeys((*before, *after)):
            sides = [before.get(element, MISSING), after.get(element, MISSING)]
            _compare(schema.get("items") or {}, sides[0], sides[1], (*path, element), changes)
    elif len(values) == 2 and not same(old, new):
        changes.modified.add(path)


def _lenient(schema: Schema, value: list[Any]) -> list[tuple[str, Any]]:
    return [(element_of(schema, item), item) for item in value]


def same(left: Any, right: Any) -> bool:
    """Equal as JSON; unlike `==`, for which 1, 1.0 and True are the same."""
    return bool(left == right) and json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)
