"""Writes: from a body to a stored object, the same steps for every kind, with the last one left out on a dry run.

identify → own metadata → kind's hook → prune, default, validate, rules → generation → commit. Nothing here awaits, so
no other write can come between the read of the old object and the commit.
"""

from __future__ import annotations

import json

from bascule_lab.apiserver import crds, meta, rules, schema
from bascule_lab.apiserver.body import Document, encode
from bascule_lab.apiserver.builtin import CRDS
from bascule_lab.apiserver.hooks import HOOKS
from bascule_lab.apiserver.kinds import Kind
from bascule_lab.apiserver.options import WriteOptions
from bascule_lab.apiserver.patch import merge
from bascule_lab.apiserver.status import (
    FieldError,
    already_exists,
    bad_request,
    forbidden,
    invalid,
    not_found,
)
from bascule_lab.apiserver.store import Record, Store


class Pipeline:
    """All writes of one store; every method returns the answer's body as JSON bytes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, kind: Kind, namespace: str, name: str) -> Record:
        """The stored object, or 404."""
        record = self._store.get((kind.resource, namespace, name))
        if record is None:
            raise not_found(kind.group, kind.plural, name)
        return record

    def create(self, kind: Kind, namespace: str, document: Document, options: WriteOptions, name: str = "") -> bytes:
        """`name` is the URL's, for an apply that creates."""
        own = meta.identify(kind, document, namespace, name)
        self._open_namespace(kind, namespace)
        given = own.get("name")
        meta.begin(kind, own)
        while not given and self._store.get((kind.resource, namespace, own["name"])):
            own["name"] = ""
            meta.begin(kind, own)
        key = (kind.resource, namespace, own["name"])
        if self._store.get(key) is not None:
            raise already_exists(kind.group, kind.plural, own["name"])
        if kind.custom and kind.has_status:
            document.pop("status", None)
        self._admit(kind, document, None, options, patching=False)
        if options.dry_run:
            return encode(document)
        return self._store.put(key, own["uid"], document, meta.index(kind, document)).body

    def update(self, kind: Kind, record: Record, document: Document, options: WriteOptions, part: str = "") -> bytes:
        """Replace (PUT); `part` is "status" for the subresource."""
        meta.identify(kind, document, record.key[1], record.key[2])
        return self._change(kind, record, record.document(), document, options, part, patching=False)

    def patch(
        self, kind: Kind, record: Record, patch: Document, options: WriteOptions, part: str = "", apply: bool = False
    ) -> bytes:
        """Merge patch or apply; a resourceVersion in the patch is a precondition."""
        old = record.document()
        document = merge(record.document(), patch, kind.root if apply else None)
        meta.identify(kind, document, record.key[1], record.key[2])
        return self._change(kind, record, old, document, options, part, patching=True)

    def _change(
        self,
        kind: Kind,
        record: Record,
        old: Document,
        document: Document,
        options: WriteOptions,
        part: str,
        patching: bool,
    ) -> bytes:
        meta.carry_over(kind, document["metadata"], record, old["metadata"])
        if part:
            wanted, document = document, {**old, "metadata": dict(old["metadata"])}
            _copy_status(wanted, document)
        elif kind.has_status:
            _copy_status(old, document)
        self._admit(kind, document, old, options, patching)
        if document == old and _canonical(document) == _canonical(old):
            return record.body
        return self._commit(kind, record, old, document, options.dry_run)

    def delete(self, kind: Kind, record: Record, dry_run: bool = False) -> bytes | None:
        """Remove, or mark for deletion while finalizers hold it: then the marked object, else None."""
        document = record.document()
        if not meta.finalizers(document):
            if not dry_run:
                self._store.remove(record, document)
            return None
        own = document["metadata"]
        if own.get("deletionTimestamp"):
            return record.body
        own["deletionTimestamp"] = meta.now()
        own["deletionGracePeriodSeconds"] = 0
        if kind.has_generation:
            own["generation"] += 1
        if kind.resource == "namespaces":
            document["status"] = {**document.get("status", {}), "phase": "Terminating"}
        if dry_run:
            return encode(document)
        return self._store.put(record.key, record.uid, document, meta.index(kind, document)).body

    def release(self, kind: Kind, record: Record, finalizer: str) -> None:
        """Take one of the server's own finalizers off a terminating object, which may remove it."""
        old, document = record.document(), record.document()
        for holder in (document["metadata"], document.get("spec") or {}):
            if finalizer in holder.get("finalizers", ()):
                holder["finalizers"] = [name for name in holder["finalizers"] if name != finalizer]
        if document != old:
            self._commit(kind, record, old, document, dry_run=False)

    def _commit(self, kind: Kind, record: Record, old: Document, document: Document, dry_run: bool) -> bytes:
        own = document["metadata"]
        if kind.has_generation and _intent(kind, document) != _intent(kind, old):
            own["generation"] += 1
        if dry_run:
            return encode(document)
        if own.get("deletionTimestamp") and not meta.finalizers(document):
            self._store.remove(record, document)
            return encode(document)
        return self._store.put(record.key, record.uid, document, meta.index(kind, document)).body

    def _admit(self, kind: Kind, new: Document, old: Document | None, options: WriteOptions, patching: bool) -> None:
        name = new["metadata"]["name"]
        unknown = schema.prune(kind.root, new)
        if unknown and options.validation != "Ignore":
            _unknown(kind, unknown, options, patching)
        schema.set_defaults(kind.root, new)
        errors = meta.check(new["metadata"], old["metadata"] if old else None) + schema.validate(kind.root, new)
        hook = HOOKS.get(kind.resource)
        if hook and not errors:
            errors = hook(new, old)
        if not errors:
            errors = list(rules.check(kind.schema, new, old if old is not None else rules.MISSING))
        if errors:
            raise invalid(kind.group, kind.kind, name, errors)
        if kind.resource == CRDS:
            options.warnings += crds.warnings(new)
        if kind.unchecked:
            text = "; ".join(kind.unchecked)
            options.warnings.append(f"validation rules of {kind.resource} not evaluated by the lab: {text}")

    def _open_namespace(self, kind: Kind, namespace: str) -> None:
        if not kind.namespaced:
            return
        home = self._store.get(("namespaces", "", namespace))
        if home is None:
            raise not_found("", "namespaces", namespace)
        if home.document()["metadata"].get("deletionTimestamp"):
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise forbidden(kind.group, kind.plural, "", why)


def _canonical(document: Document) -> str:
    """Compares unlike `==`, for which 1, 1.0 and True are the same."""
    return json.dumps(document, sort_keys=True)


def _copy_status(source: Document, target: Document) -> None:
    if "status" in source:
        target["status"] = source["status"]
    else:
        target.pop("status", None)


def _intent(kind: Kind, document: Document) -> Document:
    ignored = ("metadata", "status") if kind.has_status else ("metadata",)
    return {key: value for key, value in document.items() if key not in ignored}


def _unknown(kind: Kind, unknown: list[str], options: WriteOptions, patching: bool) -> None:
    texts = [f'unknown field "{path}"' for path in unknown]
    if options.validation == "Warn":
        options.warnings += texts
        return
    text = f"strict decoding error: {', '.join(texts)}"
    if patching:
        raise invalid("", "", "", [FieldError("FieldValueInvalid", "patch", f"Invalid value: {text}")])
    raise bad_request(f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {text}')
