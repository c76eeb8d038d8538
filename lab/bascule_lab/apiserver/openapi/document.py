"""OpenAPI v3: the index and one document per group and version, for kubectl's explain, apply and diff.

Schemas of built-ins come from builtin.json, those of custom resources out of their CRD. Paths carry what clients look
at: the kind, the parameters (fieldValidation, fieldManager, dryRun) and the accepted patches.
"""

from __future__ import annotations

import hashlib
from typing import Any

from bascule_lab.apiserver.body import Document, encode
from bascule_lab.apiserver.kinds import Kind, Registry, Schema
from bascule_lab.apiserver.openapi.definitions import LIST_META, OBJECT_META, REFERENCE, reachable
from bascule_lab.apiserver.patch import APPLY, JSON_PATCH, MERGE, STRATEGIC

_DROPPED = ("x-kubernetes-validations",)
_ACTIONS = {"create": "post", "update": "put", "patch": "patch", "delete": "delete", "get": "get", "list": "list"}
_WRITING = ("dryRun", "fieldManager", "fieldValidation")


def index(registry: Registry) -> Document:
    """GET /openapi/v3."""
    paths = {}
    for group, version in dict.fromkeys((kind.group, kind.version) for kind in registry):
        where = _where(group, version)
        body = encode(document(registry, group, version))
        mark = hashlib.sha256(body).hexdigest()[:32].upper()
        paths[where] = {"serverRelativeURL": f"/openapi/v3/{where}?hash={mark}"}
    return {"paths": paths}


def document(registry: Registry, group: str, version: str) -> Document | None:
    """GET /openapi/v3/apis/{group}/{version} and /openapi/v3/api/v1; None when it is not served."""
    kinds = [kind for kind in registry if (kind.group, kind.version) == (group, version)]
    if not kinds:
        return None
    built_in = [kind.definition for kind in kinds if kind.definition]
    schemas = {name: dict(schema) for name, schema in reachable([*built_in, OBJECT_META, LIST_META]).items()}
    paths: Document = {}
    for kind in kinds:
        name = schema_name(kind)
        if not kind.definition:
            schemas[name] = _custom(kind)
        schemas[name]["x-kubernetes-group-version-kind"] = [_gvk(kind, kind.kind)]
        if not kind.virtual:
            schemas[f"{name}List"] = _list(kind, name)
        paths.update(_paths(kind, name))
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes (the lab's API of Bascule)", "version": "v1.36.0"},
        "paths": paths,
        "components": {"schemas": dict(sorted(schemas.items()))},
    }


def schema_name(kind: Kind) -> str:
    """`dev.example.v1.Widget`, the group turned round as Go packages are."""
    return kind.definition or ".".join([*reversed(kind.group.split(".")), kind.version, kind.kind])


def _where(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _gvk(kind: Kind, name: str) -> Document:
    return {"group": kind.group, "version": kind.version, "kind": name}


def _refer(name: str, description: str = "") -> Schema:
    reference: Schema = {"allOf": [{"$ref": f"{REFERENCE}{name}"}]}
    return {**reference, "description": description} if description else reference


def _custom(kind: Kind) -> Schema:
    schema: Schema = _published(kind.schema)
    about = {
        "apiVersion": {"type": "string", "description": "The version of the schema of this object."},
        "kind": {"type": "string", "description": "The REST resource that this object represents."},
        "metadata": _refer(OBJECT_META, "Standard object's metadata."),
    }
    return {**schema, "type": "object", "properties": {**about, **_without(schema.get("properties", {}), about)}}


def _without(properties: Schema, names: Schema) -> Schema:
    return {name: below for name, below in properties.items() if name not in names}


def _published(node: Any) -> Any:
    """A CRD's schema without rules, which OpenAPI documents do not carry."""
    if isinstance(node, dict):
        return {key: _published(value) for key, value in node.items() if key not in _DROPPED}
    if isinstance(node, list):
        return [_published(item) for item in node]
    return node


def _list(kind: Kind, name: str) -> Schema:
    properties = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": _refer(LIST_META),
        "items": {"type": "array", "items": _refer(name)},
    }
    gvk = [_gvk(kind, kind.list_name)]
    return {"type": "object", "required": ["items"], "properties": properties, "x-kubernetes-group-version-kind": gvk}


def _paths(kind: Kind, name: str) -> Document:
    base = f"/{_where(kind.group, kind.version)}"
    inner = f"{base}/namespaces/{{namespace}}/{kind.plural}" if kind.namespaced else f"{base}/{kind.plural}"
    place = [_parameter(part, "path", True) for part in (["namespace"] if kind.namespaced else [])]
    one = [_parameter("name", "path", True), *place]
    found = {inner: _operations(kind, name, ("list", "create"), place)}
    if kind.namespaced and not kind.virtual:
        found[f"{base}/{kind.plural}"] = _operations(kind, name, ("list",), [])
    if not kind.virtual:
        found[f"{inner}/{{name}}"] = _operations(kind, name, ("get", "update", "patch", "delete"), one)
        if kind.has_status:
            found[f"{inner}/{{name}}/status"] = _operations(kind, name, ("get", "update", "patch"), one)
    return {path: item for path, item in found.items() if len(item) > 1}


def _operations(kind: Kind, name: str, verbs: tuple[str, ...], place: list[Schema]) -> Document:
    item: Document = {"parameters": place}
    for verb in verbs:
        if verb not in kind.verbs:
            continue
        action = "get" if verb == "list" else _ACTIONS[verb]
        operation: Document = {
            "operationId": f"{verb}{kind.kind}",
            "x-kubernetes-action": _ACTIONS[verb],
            "x-kubernetes-group-version-kind": _gvk(kind, kind.kind),
            "responses": {"200": {"description": "OK", "content": _content(["application/json"], name)}},
        }
        if verb in ("create", "update", "patch"):
            words = (*_WRITING, "force") if verb == "patch" else _WRITING
            operation["parameters"] = [_parameter(word, "query", False) for word in words]
            media = ["application/json", "application/yaml"]
            if verb == "patch":
                media = [APPLY, JSON_PATCH, MERGE, *(() if kind.custom else (STRATEGIC,))]
            operation["requestBody"] = {"required": True, "content": _content(media, name)}
        item[action] = operation
    return item


def _content(media: list[str], name: str) -> Document:
    return {one: {"schema": {"$ref": f"{REFERENCE}{name}"}} for one in media}


def _parameter(name: str, where: str, needed: bool) -> Schema:
    kind = "boolean" if name == "force" else "string"
    parameter: Schema = {"name": name, "in": where, "schema": {"type": kind, "uniqueItems": True}}
    return {**parameter, "required": True} if needed else parameter
