"""Controllers of deletion: dependents of deleted owners, and contents of terminating Namespaces and CRDs.

Level-triggered: a commit that may matter sets a flag and the next sweep looks at the whole store, so nothing is lost
over a restart and a storm of deletions costs one sweep.
"""

from __future__ import annotations

import asyncio

from bascule_lab.apiserver.body import Document
from bascule_lab.apiserver.builtin import CRDS
from bascule_lab.apiserver.crds import FINALIZER
from bascule_lab.apiserver.kinds import Registry
from bascule_lab.apiserver.meta import FOREGROUND, ORPHAN
from bascule_lab.apiserver.pipeline import Pipeline
from bascule_lab.apiserver.roles import seeds
from bascule_lab.apiserver.seeding import plant
from bascule_lab.apiserver.store import Event, Record, Store

_CONTAINERS = ("namespaces", CRDS)


class Collector:
    """Sweeps when `run` is a task; `sweep` does one pass over the store."""

    def __init__(self, store: Store, registry: Registry, pipeline: Pipeline) -> None:
        self._store = store
        self._registry = registry
        self._pipeline = pipeline
        self._wake = asyncio.Event()
        self._wake.set()
        self._reseed = True
        store.listeners.append(self._notice)

    def _notice(self, event: Event) -> None:
        if event.key[0] == CRDS:
            self._reseed = True
        if event.type == "DELETED" or event.index.owners or event.index.deleting or event.key[0] in _CONTAINERS:
            self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self.sweep()
            await asyncio.sleep(0)

    def sweep(self) -> None:
        """Roles for new groups, then everything that is to go."""
        if self._reseed:
            self._reseed = False
            plant(self._store, self._registry, self._pipeline, seeds(self._registry))
        records = [r for resource in self._store.resources() for r in self._store.items(resource).values()]
        for record in records:
            owners = record.index.owners
            if self._store.get(record.key) is not record:
                continue  # this sweep itself has changed it, and the change has set the flag again
            if owners and not any(self._store.alive(uid) for uid in owners):
                self._delete(record)
            elif record.index.deleting:
                self._finish(record)
        for resource in _CONTAINERS:
            for record in list(self._store.items(resource).values()):
                if record.index.deleting:
                    self._empty(resource, record, record.document())

    def _finish(self, owner: Record) -> None:
        """What a Foreground or Orphan deletion waits for."""
        current, kind = self._store.get(owner.key), self._registry.by_resource(owner.key[0])
        finalizers = owner.document()["metadata"].get("finalizers", ())
        if current is None or kind is None or not {FOREGROUND, ORPHAN} & set(finalizers):
            return
        dependents = self._dependents(owner.uid)
        if ORPHAN in finalizers:
            for record in dependents:
                of = self._registry.by_resource(record.key[0])
                if of is not None:
                    self._pipeline.disown(of, record, owner.uid)
            self._pipeline.release(kind, current, ORPHAN)
            return
        for record in dependents:
            if not record.index.deleting:
                self._delete(record, "Foreground" if self._dependents(record.uid) else "")
        if not any(_blocks(record.document(), owner.uid) for record in self._dependents(owner.uid)):
            latest = self._store.get(owner.key)
            if latest is not None:
                self._pipeline.release(kind, latest, FOREGROUND)

    def _dependents(self, uid: str) -> list[Record]:
        return [
            record
            for resource in self._store.resources()
            for record in self._store.items(resource).values()
            if uid in record.index.owners
        ]

    def _empty(self, resource: str, container: Record, document: Document) -> None:
        namespace = container.key[2] if resource == "namespaces" else ""
        for record in self._contents(namespace, document):
            if not record.index.deleting:
                self._delete(record)
        if not self._contents(namespace, document):
            current, kind = self._store.get(container.key), self._registry.by_resource(resource)
            if current is not None and kind is not None:
                self._pipeline.release(kind, current, "kubernetes" if namespace else FINALIZER)

    def _contents(self, namespace: str, document: Document) -> list[Record]:
        if not namespace:
            return list(self._store.items(document["metadata"]["name"]).values())
        return [
            record
            for resource in self._store.resources()
            for key, record in self._store.items(resource).items()
            if key[0] == namespace
        ]

    def _delete(self, record: Record, policy: str = "") -> None:
        kind, current = self._registry.by_resource(record.key[0]), self._store.get(record.key)
        if kind is not None and current is not None:
            self._pipeline.delete(kind, current, policy=policy)


def _blocks(document: Document, owner: str) -> bool:
    """blockOwnerDeletion: the owner stays until this dependent is gone."""
    references = document["metadata"].get("ownerReferences", ())
    return any(ref["uid"] == owner and ref.get("blockOwnerDeletion") for ref in references)
