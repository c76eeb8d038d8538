"""Strategic merge patches, for the built-in kinds: lists merge by their patch merge key, directives are obeyed.

After apimachinery's pkg/util/strategicpatch: `$patch` (delete, replace, merge), `$retainKeys`,
`$deleteFromPrimitiveList/x` and `$setElementOrder/x`.
"""

from __future__ import annotations

from typing import Any

from bascule_lab.apiserver.apply.typed import below
from bascule_lab.apiserver.kinds import Schema
from bascule_lab.apiserver.status import bad_request

_PATCH, _RETAIN = "$patch", "$retainKeys"
_DELETE, _ORDER = "$deleteFromPrimitiveList/", "$setElementOrder/"


def strategic_merge(live: Any, patch: dict[str, Any], schema: Schema) -> dict[str, Any]:
    """The patched document; `live` is not changed. ApiError 400 for a directive that makes no sense."""
    live = live if isinstance(live, dict) else {}
    directive = patch.get(_PATCH)
    if directive == "replace":
        return {name: value for name, value in patch.items() if name != _PATCH}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise bad_request(f"Unknown patch type found: {directive}")
    retained = patch.get(_RETAIN)
    result = {name: value for name, value in live.items() if retained is None or name in _names(retained, _RETAIN)}
    for name, value in patch.items():
        if name.startswith(_DELETE):
            doomed = _names(value, name)
            field = name.removeprefix(_DELETE)
            result[field] = [item for item in result.get(field) or [] if item not in doomed]
        elif value is None:
            result.pop(name, None)
        elif not name.startswith("$"):
            result[name] = _merge(result.get(name), value, below(schema, name)[0])
    for name, value in patch.items():
        if name.startswith(_ORDER):
            field, order = name.removeprefix(_ORDER), _names(value, name)
            if isinstance(result.get(field), list):
                result[field] = _ordered(result[field], order, below(schema, field)[0])
    return result


def _merge(live: Any, patch: Any, schema: Schema) -> Any:
    if isinstance(patch, dict):
        return strategic_merge(live, patch, schema)
    if not isinstance(patch, list):
        return patch
    if "merge" not in schema.get("x-kubernetes-patch-strategy", ""):
        return _plain(patch)
    have = live if isinstance(live, list) else []
    key = schema.get("x-kubernetes-patch-merge-key")
    if key is None:
        return [*have, *(item for item in patch if item not in have)]
    return _merge_keyed(have, patch, key, schema.get("items") or {})


def _merge_keyed(have: list[Any], patch: list[Any], key: str, inner: Schema) -> list[Any]:
    if any(isinstance(item, dict) and item.get(_PATCH) == "replace" for item in patch):
        return _plain([item for item in patch if item != {_PATCH: "replace"}])
    result = list(have)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"map: {item!r:.200} does not contain declared merge key: {key}")
        same = [place for place, old in enumerate(result) if isinstance(old, dict) and old.get(key) == item[key]]
        if item.get(_PATCH) == "delete":
            result = [old for place, old in enumerate(result) if place not in same]
        elif same:
            result[same[0]] = strategic_merge(result[same[0]], item, inner)
        else:
            result.append(strategic_merge({}, item, inner))
    return result


def _plain(patch: list[Any]) -> list[Any]:
    """A list that replaces: its items as they stand after their own directives."""
    return [strategic_merge({}, item, {}) if isinstance(item, dict) else item for item in patch]


def _ordered(items: list[Any], order: list[Any], schema: Schema) -> list[Any]:
    """Items named by `order` in that order; the others keep their places between them."""
    key = schema.get("x-kubernetes-patch-merge-key")
    marks = [item.get(key) if isinstance(item, dict) else item for item in items]
    wanted = [item.get(key) if isinstance(item, dict) else item for item in order]
    listed = sorted((item for item, mark in zip(items, marks, strict=True) if mark in wanted),
                    key=lambda item: wanted.index(item.get(key) if isinstance(item, dict) else item))  # fmt: skip
    queue = iter(listed)
    return [next(queue) if mark in wanted else item for item, mark in zip(items, marks, strict=True)]


def _names(value: Any, directive: str) -> list[Any]:
    if not isinstance(value, list):
        raise bad_request(f"{directive} must be a list")
    return value
