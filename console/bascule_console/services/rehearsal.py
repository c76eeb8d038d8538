"""The server-side dry run of documents, and the diff that shows what each would change.

A document in a namespace that only another document makes cannot be tried there: the server answers 404. It is tried
under the same name in a namespace that exists, so that its schema and the server's rules are checked all the same.
"""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from bascule_console.services.cluster import list_if_served
from bascule_console.services.manifests import Document
from bascule_console.store.documents import diff
from bascule_kube import Cluster, Kind
from bascule_kube.cluster import Applied, Obj
from bascule_kube.errors import Conflict, Forbidden, NotFound, NotServed
from bascule_kube.kinds import NAMESPACE


@dataclass(frozen=True, slots=True)
class Change:
    """One document and what applying it does. `after` is the dry run's answer, None when the server cannot try it yet,
    because another of the documents makes its kind. `diff` is unified, by lines of YAML, "" without a difference."""

    document: Document
    before: Obj | None
    after: Obj | None
    warnings: list[str]
    diff: str

    @property
    def action(self) -> str:
        """create, update or unchanged."""
        if self.before is None:
            return "create"
        return "update" if self.diff else "unchanged"


class Rehearsal:
    """Dry runs of documents that belong together."""

    def __init__(self, cluster: Cluster, documents: list[Document]) -> None:
        self._cluster = cluster
        self._documents = [document.object for document in documents]
        self._namespaces: list[str] | None = None

    async def of(self, document: Document) -> Change:
        """What applying this document does. Raises ApiError when the server refuses it."""
        obj = document.object
        try:
            kind = await self._cluster.kind_of(obj)
        except NotServed:
            if not self._kind_to_come(obj):
                raise
            return Change(document, None, None, [], diff(None, obj, document.label))
        if kind.namespaced and await self._namespace_to_come(obj):
            after, warnings = await self._elsewhere(kind, obj) or (None, [])
            return Change(document, None, after, warnings, diff(None, after or obj, document.label))
        namespace = obj["metadata"].get("namespace") or self._cluster.namespace
        before = await _or_none(self._cluster.get(kind, obj["metadata"]["name"], namespace))
        after, warnings = await self._tried(document)
        return Change(document, before, after, warnings, diff(before, after, document.label))

    async def _tried(self, document: Document) -> Applied:
        """The dry run; what it takes over from others is said as a warning."""
        try:
            return await self._cluster.apply(document.object, dry_run=True)
        except Conflict as error:
            if not document.take_over:
                raise
            after, warnings = await self._cluster.apply(document.object, dry_run=True, force=True)
            return after, [*warnings, *(f"{cause.field} is taken over: {cause.message}" for cause in error.causes)]

    async def _elsewhere(self, kind: Kind, obj: Obj) -> Applied | None:
        """Try it in the first namespace without an object of its name; None when there is none, or no right there."""
        name, namespace = obj["metadata"]["name"], obj["metadata"]["namespace"]
        for other in await self._existing_namespaces():
            try:
                if await _or_none(self._cluster.get(kind, name, other)) is None:
                    twin = obj | {"metadata": obj["metadata"] | {"namespace": other}}
                    after, warnings = await self._cluster.apply(twin, dry_run=True)
                    return after | {"metadata": after["metadata"] | {"namespace": namespace}}, warnings
            except Forbidden:
                continue
        return None

    async def _existing_namespaces(self) -> list[str]:
        if self._namespaces is None:
            found = [item["metadata"]["name"] for item in await list_if_served(self._cluster, NAMESPACE)]
            self._namespaces = sorted(found, key=lambda name: (name != "default", name))
        return self._namespaces

    async def _namespace_to_come(self, obj: Obj) -> bool:
        namespace = obj["metadata"].get("namespace")
        made = any(o["kind"] == "Namespace" and o["metadata"]["name"] == namespace for o in self._documents)
        return made and await _or_none(self._cluster.get(NAMESPACE, namespace)) is None

    def _kind_to_come(self, obj: Obj) -> bool:
        names = [
            other["spec"].get("names")
            for other in self._documents
            if other["kind"] == "CustomResourceDefinition" and isinstance(other.get("spec"), dict)
        ]
        return any(isinstance(entry, dict) and entry.get("kind") == obj["kind"] for entry in names)


async def _or_none(request: Coroutine[Any, Any, Obj]) -> Obj | None:
    try:
        return await request
    except NotFound:
        return None
