"""Objects that the server itself puts into its store: created when missing, brought up to date when they differ."""

from __future__ import annotations

from collections.abc import Iterable

from bascule_lab.apiserver.body import Document
from bascule_lab.apiserver.kinds import Registry
from bascule_lab.apiserver.options import WriteOptions
from bascule_lab.apiserver.pipeline import Pipeline
from bascule_lab.apiserver.store import Store


def plant(store: Store, registry: Registry, pipeline: Pipeline, documents: Iterable[Document]) -> list[str]:
    """Write cluster-scoped documents; returns their names. A document that is there already keeps its finalizers.

    Raises ApiError (with the Status's message) for a document that the API would refuse.
    """
    names = []
    kinds = {(kind.api_version, kind.kind): kind for kind in registry}
    for document in documents:
        kind, name = kinds[document["apiVersion"], document["kind"]], document["metadata"]["name"]
        record = store.get((kind.resource, "", name))
        if record is None:
            pipeline.create(kind, "", document, WriteOptions())
        else:
            own = record.document()["metadata"]
            if own.get("finalizers"):
                document["metadata"]["finalizers"] = own["finalizers"]
            document["metadata"]["resourceVersion"] = str(record.rv)
            pipeline.update(kind, record, document, WriteOptions())
        names.append(name)
    return names
