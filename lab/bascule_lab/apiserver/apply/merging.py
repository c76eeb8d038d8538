"""Merging an applied document into a live one, and taking out what nobody states any more.

The order of keyed lists follows structured-merge-diff's typed/merge.go: the applied order, with items that only the
live list has kept where they stand. A Network's hostConfig is tried in order, so an apply must be able to change it.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from bascule_lab.apiserver.apply.paths import Path, name_element
from bascule_lab.apiserver.apply.typed import below, element_of, is_list, is_map, items
from bascule_lab.apiserver.kinds import Schema


def merge(schema: Schema, live: Any, config: Any) -> Any:
    """A new document; neither argument is changed, parts may be shared. Raises DuplicateItem."""
    if is_map(schema, config):
        merged = dict(live) if is_map(schema, live) else {}
        for name, value in config.items():
            merged[name] = merge(below(schema, name)[0], merged.get(name), value)
        return merged
    if is_list(schema, config):
        return _merge_list(schema, live if is_list(schema, live) else [], config)
    return config


def _merge_list(schema: Schema, live: list[Any], config: list[Any]) -> list[Any]:
    wanted = dict(items(schema, config))
    have = {element_of(schema, item): item for item in live}
    left, right = [element_of(schema, item) for item in live], list(wanted)
    shared = [element for element in right if element in have]
    merged: list[Any] = []
    done: set[str] = set()
    at_left = at_right = 0

    def take(element: str) -> None:
        done.add(element)
        inner = schema.get("items") or {}
        merged.append(merge(inner, have.get(element), wanted[element]))
        if shared and shared[0] == element:
            shared.pop(0)

    while at_left < len(left) or at_right < len(right):
        if at_left < len(left):
            element = left[at_left]
            if element not in wanted:
                merged.append(live[at_left])
                at_left += 1
                continue
            moved = at_right < len(right) and element != right[at_right] and shared and shared[0] != element
            if element in done or moved:
                at_left += 1
                continue
        if at_right < len(right):
            take(right[at_right])
            at_right += 1
        else:
            at_left += 1
    return merged


def remove(schema: Schema, value: Any, doomed: Set[Path], ways: Set[Path], kept: Set[Path], path: Path = ()) -> Any:
    """`value` without the `doomed` paths; `ways` are their ancestors, `kept` whatever somebody still owns.

    A part that is emptied by it goes too, unless it is kept.
    """
    if is_map(schema, value):
        left = {}
        for name, item in value.items():
            place = (*path, name_element(name))
            outcome = _without(below(schema, name)[0], item, doomed, ways, kept, place)
            if outcome is not _GONE:
                left[name] = outcome
        return left
    if is_list(schema, value):
        keyed = ((item, (*path, element_of(schema, item))) for item in value)
        inner = schema.get("items") or {}
        results = [_without(inner, item, doomed, ways, kept, place) for item, place in keyed]
        return [item for item in results if item is not _GONE]
    return value


_GONE: Any = object()


def _without(schema: Schema, item: Any, doomed: Set[Path], ways: Set[Path], kept: Set[Path], place: Path) -> Any:
    if place in kept:
        return remove(schema, item, doomed, ways, kept, place) if place in ways else item
    if place in doomed:
        return _GONE
    if place not in ways:
        return item
    left = remove(schema, item, doomed, ways, kept, place)
    return left if left or not item else _GONE
