"""Background deletion: contents of terminating Namespaces and CRDs, and objects whose owners are all gone.

Level-triggered: a commit that may matter sets a flag and the next sweep looks at the whole store, so nothing is lost
over a restart and a storm of deletions costs one sweep.
"""

from __future__ import annotations

import asyncio

from bascule_lab.apiserver.body import Document
from bascule_lab.apiserver.builtin import CRDS
from bascule_lab.apiserver.crds import FINALIZER
from bascule_lab.apiserver.kinds import Registry
from bascule_lab.apiserver.pipeline import Pipeline
from bascule_lab.apiserver.store import Event, Record, Store

_CONTAINERS = ("namespaces", CRDS)


class Collector:
    """Sweeps when `run` is a task; `sweep` does one pass and says whether it changed anything."""

    def __init__(self, store: Store, registry: Registry, pipeline: Pipeline) -> None:
        self._store = store
        self._registry = registry
        self._pipeline = pipeline
        self._wake = asyncio.Event()
        self._wake.set()
        store.listeners.append(self._notice)

    def _notice(self, event: Event) -> None:
        if event.type == "DELETED" or event.index.owners or event.key[0] in _CONTAINERS:
            self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self.sweep()
            await asyncio.sleep(0)

    def sweep(self) -> None:
        """One pass over the store."""
        for resource in self._store.resources():
            for record in list(self._store.items(resource).values()):
                owners = record.index.owners
                if owners and not any(self._store.alive(uid) for uid in owners):
                    self._delete(record)
        for resource in _CONTAINERS:
            for record in list(self._store.items(resource).values()):
                document = record.document()
                if document["metadata"].get("deletionTimestamp"):
                    self._empty(resource, record, document)

    def _empty(self, resource: str, container: Record, document: Document) -> None:
        namespace = container.key[2] if resource == "namespaces" else ""
        contents = self._contents(namespace, document)
        for record in contents:
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

    def _delete(self, record: Record) -> None:
        kind, current = self._registry.by_resource(record.key[0]), self._store.get(record.key)
        if kind is not None and current is not None:
            self._pipeline.delete(kind, current)
