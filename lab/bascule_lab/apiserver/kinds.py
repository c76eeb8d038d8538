"""What the API serves: one Kind per resource, found by group and plural; CRDs come and go at run time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bascule_lab.apiserver.body import Document

Schema = dict[str, Any]
PRESERVE = "x-kubernetes-preserve-unknown-fields"
ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")

_TEXT = {"type": "string", "nullable": True}
_TEXT_MAP = {"type": "object", "nullable": True, "additionalProperties": {"type": "string"}}
_NUMBER = {"type": "integer", "nullable": True}
_SET = {"x-kubernetes-list-type": "set", "x-kubernetes-patch-strategy": "merge"}
_BY_UID = {
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["uid"],
    "x-kubernetes-patch-strategy": "merge",
    "x-kubernetes-patch-merge-key": "uid",
}
_OWNER = {
    "type": "object",
    "x-kubernetes-map-type": "atomic",
    "required": ["apiVersion", "kind", "name", "uid"],
    "properties": {
        **{name: {"type": "string"} for name in ("apiVersion", "kind", "name", "uid")},
        **{name: {"type": "boolean", "nullable": True} for name in ("controller", "blockOwnerDeletion")},
    },
}
METADATA: Schema = {
    "type": "object",
    "properties": {
        **{
            name: _TEXT
            for name in ("name", "generateName", "namespace", "uid", "resourceVersion", "selfLink")
            + ("creationTimestamp", "deletionTimestamp")
        },
        "generation": _NUMBER,
        "deletionGracePeriodSeconds": _NUMBER,
        "labels": _TEXT_MAP,
        "annotations": _TEXT_MAP,
        "finalizers": {"type": "array", "nullable": True, "items": {"type": "string"}, **_SET},
        "ownerReferences": {"type": "array", "nullable": True, "items": _OWNER, **_BY_UID},
        "managedFields": {"type": "array", "nullable": True, "items": {"type": "object", PRESERVE: True}},
    },
}
"""metav1.ObjectMeta in the dialect of CRD schemas; null stands for absent, as in Go."""


@dataclass(frozen=True, eq=False)
class Kind:
    """One resource type.

    `schema` describes the whole object without apiVersion, kind and metadata; `fields` are the selectable fields beside
    metadata.name and metadata.namespace; `unchecked` names validation rules of the CRD that are not evaluated here.
    `definition` is a built-in's OpenAPI name; `columns` are a CRD's additionalPrinterColumns and `scale` its scale
    subresource; `parts` are further subresources (a ServiceAccount's token); `free_names` are RBAC's, which only must
    be one part of a path.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    schema: Schema
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    singular: str = ""
    list_kind: str = ""
    has_status: bool = False
    fields: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    custom: bool = False
    has_generation: bool = False
    needs_version: bool = False
    unchecked: tuple[str, ...] = ()
    definition: str = ""
    columns: tuple[Schema, ...] = ()
    scale: Schema | None = None
    parts: tuple[str, ...] = ()
    free_names: bool = False
    root: Schema = field(init=False)

    def __post_init__(self) -> None:
        known = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": METADATA}
        properties = {**self.schema.get("properties", {}), **known}
        object.__setattr__(self, "root", {"type": "object", **self.schema, "properties": properties})

    @property
    def resource(self) -> str:
        """`plural.group`, or the plural alone for the core group."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def list_name(self) -> str:
        return self.list_kind or f"{self.kind}List"

    @property
    def subresources(self) -> tuple[str, ...]:
        own = (("status",) if self.has_status else ()) + (("scale",) if self.scale else ())
        return own + self.parts

    @property
    def virtual(self) -> bool:
        """A question that is answered at once and never stored (TokenReview and its like)."""
        return self.verbs == ("create",)

    @property
    def selectable(self) -> tuple[str, ...]:
        return ("metadata.name", "metadata.namespace", *self.fields)


class Registry:
    """The kinds served now."""

    def __init__(self, kinds: Iterator[Kind] | tuple[Kind, ...]) -> None:
        self._kinds = {kind.resource: kind for kind in kinds}

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._kinds.values())

    def add(self, kind: Kind) -> None:
        self._kinds[kind.resource] = kind

    def discard(self, resource: str) -> None:
        self._kinds.pop(resource, None)

    def by_resource(self, resource: str) -> Kind | None:
        return self._kinds.get(resource)

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        kind = self._kinds.get(f"{plural}.{group}" if group else plural)
        return kind if kind and kind.version == version and kind.group == group else None


def field_values(kind: Kind, document: Document) -> dict[str, str]:
    """The values of the kind's selectable fields; absent ones are "" as in kube-apiserver."""
    meta = document["metadata"]
    values = {"metadata.name": meta["name"], "metadata.namespace": meta.get("namespace", "")}
    for path in kind.fields:
        node: Any = document
        for part in path.split("."):
            node = node.get(part) if isinstance(node, dict) else None
        values[path] = node if isinstance(node, str) else "" if node is None else json.dumps(node)
    return values
