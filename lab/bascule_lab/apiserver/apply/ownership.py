"""What a write does to the ownership of fields: an apply, or any other write.

Pure: documents and entries in, documents and entries out. After structured-merge-diff's merge/update.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bascule_lab.apiserver.apply.managers import Entry, cap
from bascule_lab.apiserver.apply.merging import merge, remove
from bascule_lab.apiserver.apply.paths import FieldSet, Path, prefixes, show_path
from bascule_lab.apiserver.apply.typed import Changes, compare, field_set
from bascule_lab.apiserver.kinds import Schema
from bascule_lab.apiserver.status import ApiError

Document = dict[str, Any]
_META = ("name", "namespace", "creationTimestamp", "selfLink", "uid", "generation", "managedFields", "resourceVersion")
_NEVER: frozenset[Path] = frozenset(
    [("f:apiVersion",), ("f:kind",), ("f:metadata",)]
    + [("f:metadata", f"f:{name}") for name in (*_META, "deletionTimestamp", "deletionGracePeriodSeconds")]
)


def ownable(paths: Sequence[Path] | set[Path] | FieldSet, part: str, has_status: bool) -> FieldSet:
    """Without what belongs to the server, and to the half of the object that this write cannot change."""
    if part == "status":
        return frozenset(path for path in paths if path[0] == "f:status")
    kept = (path for path in paths if path not in _NEVER)
    return frozenset(path for path in kept if not has_status or path[0] != "f:status")


def after_update(schema: Schema, old: Any, new: Document, entries: list[Entry], me: Entry, status: bool) -> list[Entry]:
    """The entries once `me` has written `new` over `old` (MISSING for a new object) by anything but an apply."""
    changes = compare(schema, old, new)
    touched = ownable(changes.added | changes.modified, me.subresource, status)
    left = _take_from_others(entries, me, touched, changes)
    mine = _mine(entries, me)
    fields = (mine.fields - changes.removed) | touched
    return cap([*left, _renewed(mine, me, fields, bool(touched))])


def after_apply(
    schema: Schema, live: Document, config: Document, entries: list[Entry], me: Entry, status: bool, force: bool
) -> tuple[Document, list[Entry]]:
    """The merged document and the entries; ApiError 409 with a cause per field that another manager owns."""
    wanted = ownable(field_set(schema, config), me.subresource, status)
    mine = _mine(entries, me)
    others = [entry for entry in entries if entry.identity != me.identity]
    merged = merge(schema, live, config)
    kept = prefixes(path for entry in (*others, replace(me, fields=wanted)) for path in entry.fields)
    doomed = mine.fields - kept
    if doomed:
        merged = remove(schema, merged, doomed, prefixes(doomed), kept)
    changes = compare(schema, live, merged)
    touched = ownable(changes.added | changes.modified, me.subresource, status)
    conflicts = [(entry, path) for entry in others for path in sorted(entry.fields & touched)]
    if conflicts and not force:
        raise conflict(conflicts)
    left = _take_from_others(entries, me, touched, changes)
    return merged, [*left, _renewed(mine, me, wanted, bool(touched))]


def _mine(entries: list[Entry], me: Entry) -> Entry:
    return next((entry for entry in entries if entry.identity == me.identity), replace(me, fields=frozenset()))


def _renewed(mine: Entry, me: Entry, fields: FieldSet, wrote: bool) -> Entry:
    """The new entry; a write that changed nothing keeps the old time, so that it is no write at all."""
    same = not wrote and mine.fields == fields and mine.api_version == me.api_version and mine.time
    return mine if same else replace(me, fields=fields)


def _take_from_others(entries: list[Entry], me: Entry, touched: FieldSet, changes: Changes) -> list[Entry]:
    return [
        replace(entry, fields=entry.fields - touched - changes.removed)
        for entry in entries
        if entry.identity != me.identity
    ]


def conflict(found: list[tuple[Entry, Path]]) -> ApiError:
    """409 Conflict in kube-apiserver's words, one cause per field."""
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {entry}", "field": show_path(path)}
        for entry, path in found
    ]
    if len(found) == 1:
        text = f"Apply failed with 1 conflict: conflict with {found[0][0]}: {show_path(found[0][1])}"
    else:
        groups: dict[str, list[str]] = {}
        for entry, path in found:
            groups.setdefault(str(entry), []).append(f"- {show_path(path)}")
        parts = ["\n".join((f"conflicts with {name}:", *groups[name])) for name in sorted(groups)]
        text = f"Apply failed with {len(found)} conflicts: " + "\n".join(parts)
    return ApiError(409, "Conflict", text, {"causes": causes})
