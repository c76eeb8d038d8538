"""Writes: from a body to a stored object, the same steps for every kind, with the last one left out on a dry run.

identify → own metadata → kind's hook → prune, default, validate, rules, admission policies → ownership of fields →
generation → commit. Nothing here awaits, so no other write can come between the read of the old object and the commit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bascule_lab.apiserver import fields, meta
from bascule_lab.apiserver.admission import Admission
from bascule_lab.apiserver.apply.managers import Entry
from bascule_lab.apiserver.apply.typed import same
from bascule_lab.apiserver.body import Document, encode
from bascule_lab.apiserver.kinds import Kind
from bascule_lab.apiserver.options import WriteOptions
from bascule_lab.apiserver.status import already_exists, forbidden, not_found
from bascule_lab.apiserver.store import Record, Store


class Pipeline:
    """All writes of one store; every method returns the answer's body as JSON bytes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._admission = Admission(store)

    def read(self, kind: Kind, namespace: str, name: str) -> Record:
        """The stored object, or 404."""
        record = self._store.get((kind.resource, namespace, name))
        if record is None:
            raise not_found(kind.group, kind.plural, name)
        return record

    def create(self, kind: Kind, namespace: str, document: Document, options: WriteOptions) -> bytes:
        """POST."""
        own = meta.identify(kind, document, namespace)
        return self._create(kind, namespace, document, own, options, lambda: fields.created(kind, document, options))

    def apply_new(self, kind: Kind, namespace: str, config: Document, options: WriteOptions, name: str) -> bytes:
        """An apply of an object that does not exist; `name` is the URL's."""
        own = fields.check_config(kind, config, namespace, name)
        self._admission.prune(kind, config, options, patching=True)
        entries = fields.applied_new(kind, config, options)
        return self._create(kind, namespace, config, own, options, lambda: entries)

    def _create(
        self,
        kind: Kind,
        namespace: str,
        document: Document,
        own: dict[str, Any],
        options: WriteOptions,
        ownership: Callable[[], list[Entry]],
    ) -> bytes:
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
        self._admission.admit(kind, document, None, options, patching=False)
        fields.store(own, ownership())
        if options.dry_run:
            return encode(document)
        return self._store.put(key, own["uid"], document, meta.index(kind, document)).body

    def update(self, kind: Kind, record: Record, document: Document, options: WriteOptions, part: str = "") -> bytes:
        """Replace (PUT); `part` is "status" for the subresource."""
        meta.identify(kind, document, record.key[1], record.key[2])
        return self._change(kind, record, record.document(), document, options, part, patching=False)

    def patch(
        self,
        kind: Kind,
        record: Record,
        change: Callable[[Document], Document],
        options: WriteOptions,
        part: str = "",
    ) -> bytes:
        """Any patch but apply; a resourceVersion in it is a precondition."""
        document = change(record.document())
        meta.identify(kind, document, record.key[1], record.key[2])
        return self._change(kind, record, record.document(), document, options, part, patching=True)

    def apply(self, kind: Kind, record: Record, config: Document, options: WriteOptions, part: str = "") -> bytes:
        """Server-side apply on an object that exists; 409 when another manager owns a field that would change."""
        fields.check_config(kind, config, record.key[1], record.key[2])
        self._admission.prune(kind, config, options, patching=True)
        old = record.document()
        merged, entries = fields.applied(kind, old, config, options, part)
        return self._change(kind, record, old, merged, options, part, patching=True, entries=entries)

    def _change(
        self,
        kind: Kind,
        record: Record,
        old: Document,
        document: Document,
        options: WriteOptions,
        part: str,
        patching: bool,
        entries: list[Entry] | None = None,
    ) -> bytes:
        before = fields.take(kind, document, old)
        meta.carry_over(kind, document["metadata"], record, old["metadata"])
        if part == "status":
            wanted, document = document, {**old, "metadata": dict(old["metadata"])}
            _copy_status(wanted, document)
        elif kind.has_status:
            _copy_status(old, document)
        self._admission.admit(kind, document, old, options, patching)
        if entries is None:
            entries = fields.updated(kind, old, document, before, options, part)
        fields.store(document["metadata"], entries)
        old = record.document()
        if same(document, old):
            return record.body
        return self._commit(kind, record, old, document, options.dry_run)

    def delete(self, kind: Kind, record: Record, dry_run: bool = False, policy: str = "") -> bytes | None:
        """Remove, or mark for deletion while finalizers hold it: then the marked object, else None."""
        document = record.document()
        own = document["metadata"]
        changed = meta.set_policy(own, policy)
        if not meta.finalizers(document):
            if not dry_run:
                self._store.remove(record, document)
            return None
        if own.get("deletionTimestamp") and not changed:
            return record.body
        if not own.get("deletionTimestamp"):
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

    def finalize(self, kind: Kind, record: Record, document: Document, options: WriteOptions) -> bytes:
        """PUT …/finalize of a Namespace: its spec's finalizers alone."""
        meta.identify(kind, document, record.key[1], record.key[2])
        old, new = record.document(), record.document()
        new["spec"] = {**(old.get("spec") or {}), "finalizers": (document.get("spec") or {}).get("finalizers") or []}
        return self._commit(kind, record, old, new, options.dry_run)

    def disown(self, kind: Kind, record: Record, owner: str) -> None:
        """Take one owner (a uid) off a dependent that outlives it."""
        old, document = record.document(), record.document()
        left = [ref for ref in document["metadata"].get("ownerReferences", ()) if ref["uid"] != owner]
        document["metadata"]["ownerReferences"] = left
        if not left:
            del document["metadata"]["ownerReferences"]
        self._commit(kind, record, old, document, dry_run=False)

    def _commit(self, kind: Kind, record: Record, old: Document, document: Document, dry_run: bool) -> bytes:
        own = document["metadata"]
        if kind.has_generation and not same(_intent(kind, document), _intent(kind, old)):
            own["generation"] += 1
        if dry_run:
            return encode(document)
        if own.get("deletionTimestamp") and not meta.finalizers(document):
            self._store.remove(record, document)
            return encode(document)
        return self._store.put(record.key, record.uid, document, meta.index(kind, document)).body

    def _open_namespace(self, kind: Kind, namespace: str) -> None:
        if not kind.namespaced:
            return
        home = self._store.get(("namespaces", "", namespace))
        if home is None:
            raise not_found("", "namespaces", namespace)
        if home.index.deleting:
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise forbidden(kind.group, kind.plural, "", why)


def _copy_status(source: Document, target: Document) -> None:
    if "status" in source:
        target["status"] = source["status"]
    else:
        target.pop("status", None)


def _intent(kind: Kind, document: Document) -> Document:
    ignored = ("metadata", "status") if kind.has_status else ("metadata",)
    return {key: value for key, value in document.items() if key not in ignored}
