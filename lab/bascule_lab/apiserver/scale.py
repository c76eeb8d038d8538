"""The scale subresource of custom resources: an autoscaling/v1 Scale that reads and writes the object's replicas."""

from __future__ import annotations

import json
from typing import Any

from bascule_lab.apiserver.body import Document
from bascule_lab.apiserver.builtin import SCALE
from bascule_lab.apiserver.kinds import Kind
from bascule_lab.apiserver.schema import validate
from bascule_lab.apiserver.status import bad_request, invalid
from bascule_lab.apiserver.store import Record

_COUNT = {"type": "object", "properties": {"replicas": {"type": "integer", "minimum": 0}}}


def read(kind: Kind, record: Record) -> Document:
    """The Scale of a stored object."""
    document = record.document()
    where, own = kind.scale or {}, document["metadata"]
    status: Document = {"replicas": _at(document, where["statusReplicasPath"]) or 0}
    if where.get("labelSelectorPath"):
        status["selector"] = _at(document, where["labelSelectorPath"]) or ""
    names = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    return {
        "kind": SCALE.kind,
        "apiVersion": SCALE.api_version,
        "metadata": {name: own[name] for name in names if name in own},
        "spec": {"replicas": _at(document, where["specReplicasPath"]) or 0},
        "status": status,
    }


def written(kind: Kind, record: Record, scale: Document) -> Document:
    """The object with the replicas (and the precondition) of a written Scale. ApiError 400 or 422."""
    if scale.get("kind", SCALE.kind) != SCALE.kind or scale.get("apiVersion", SCALE.api_version) != SCALE.api_version:
        raise bad_request(f"the body is no {SCALE.api_version} Scale")
    spec, own = scale.get("spec") or {}, scale.get("metadata") or {}
    errors = validate(_COUNT, spec, "spec")
    if errors:
        raise invalid(SCALE.group, SCALE.kind, record.key[2], errors)
    document = record.document()
    *way, last = _parts((kind.scale or {})["specReplicasPath"])
    node = document
    for part in way:
        node = node.setdefault(part, {})
    node[last] = spec.get("replicas", 0)
    if isinstance(own, dict) and own.get("resourceVersion"):
        document["metadata"]["resourceVersion"] = own["resourceVersion"]
    return document


def encoded(kind: Kind, record: Record, body: bytes) -> Document:
    """The Scale of an object just written, from its encoded form."""
    document = json.loads(body)
    version = int(document["metadata"].get("resourceVersion") or record.rv)
    return read(kind, Record(record.key, record.uid, version, body, record.index))


def _parts(path: str) -> list[str]:
    return [part for part in path.split(".") if part]


def _at(document: Document, path: str) -> Any:
    node: Any = document
    for part in _parts(path):
        node = node.get(part) if isinstance(node, dict) else None
    return node
