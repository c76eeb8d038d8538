"""Patches: JSON merge patch (RFC 7386), and apply as create-or-merge.

Apply here merges like a merge patch, but lists that the schema calls maps are merged by their keys. Nobody's ownership
of fields is kept, so a field left out of an apply stays; APPLY_WARNING tells every caller.
"""

from __future__ import annotations

from typing import Any

from bascule_lab.apiserver.body import encode
from bascule_lab.apiserver.kinds import Schema

MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
APPLY_WARNING = "field ownership is not kept yet: fields left out of an apply stay as they are, conflicts are not found"


def merge(target: Any, patch: Any, schema: Schema | None = None) -> Any:
    """`patch` merged into `target`, which is changed; with `schema`, keyed lists merge by key (apply)."""
    if isinstance(patch, dict):
        result = target if isinstance(target, dict) else {}
        for name, value in patch.items():
            if value is None:
                result.pop(name, None)
            else:
                result[name] = merge(result.get(name), value, _below(schema, name))
        return result
    if isinstance(patch, list) and isinstance(target, list) and schema:
        keys = schema.get("x-kubernetes-list-map-keys")
        if keys and all(isinstance(item, dict) for item in target + patch):
            return _merge_keyed(target, patch, keys, schema.get("items"))
    return patch


def _below(schema: Schema | None, name: str) -> Schema | None:
    if not schema:
        return None
    below = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
    return below if isinstance(below, dict) else None


def _merge_keyed(target: list[Any], patch: list[Any], keys: list[str], items: Schema | None) -> list[Any]:
    """An item without a key has the key's default, as a Network's hostConfig without nodeSelector has ""."""
    defaults = {key: (_below(items, key) or {}).get("default") for key in keys}
    places = {_mark(item, defaults): position for position, item in enumerate(target)}
    for item in patch:
        position = places.get(_mark(item, defaults))
        if position is None:
            target.append(merge({}, item, items))
        else:
            target[position] = merge(target[position], item, items)
    return target


def _mark(item: dict[str, Any], defaults: dict[str, Any]) -> bytes:
    return encode([item.get(key, default) for key, default in defaults.items()])
