"""CustomResourceDefinitions: check one, fill in what the real server fills in, turn it into a Kind.

One version per CRD, strategy None; a schema must be well-formed, because everything later trusts it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bascule_lab.apiserver import rules
from bascule_lab.apiserver.body import Document
from bascule_lab.apiserver.kinds import PRESERVE, Kind, Schema
from bascule_lab.apiserver.meta import now
from bascule_lab.apiserver.schema import join, validate
from bascule_lab.apiserver.status import FieldError, forbidden_field, invalid_value, required
from bascule_lab.apiserver.table.jsonpath import parse

FINALIZER = "customresourcecleanup.apiextensions.k8s.io"
_TEXT: Schema = {"type": "string"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_DNS = {"type": "string", "pattern": r"\A[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z"}
_LABEL = {"type": "string", "pattern": r"\A[a-z]([-a-z0-9]*[a-z0-9])?\Z", "maxLength": 63}
_KIND_NAME = {"type": "string", "pattern": r"\A[A-Za-z]([-A-Za-z0-9]*[A-Za-z0-9])?\Z", "maxLength": 63}
_NAMES: Schema = {
    "type": "object",
    "required": ["plural", "kind"],
    "properties": {
        **dict.fromkeys(("plural", "singular"), _LABEL),
        **dict.fromkeys(("kind", "listKind"), _KIND_NAME),
        **dict.fromkeys(("shortNames", "categories"), _TEXTS),
    },
}
_SIMPLE_PATH: Schema = {"type": "string", "pattern": r"\A(\.[A-Za-z_][-A-Za-z0-9_]*)+\Z"}
_JSON_PATH: Schema = {"type": "object", "required": ["jsonPath"], "properties": {"jsonPath": _SIMPLE_PATH}}
_SCALE: Schema = {
    "type": "object",
    "required": ["specReplicasPath", "statusReplicasPath"],
    "properties": dict.fromkeys(("specReplicasPath", "statusReplicasPath", "labelSelectorPath"), _SIMPLE_PATH),
}
_BY_NAME: Schema = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
_COLUMN: Schema = {
    "type": "object",
    "required": ["name", "type", "jsonPath"],
    "properties": {
        **dict.fromkeys(("name", "format", "description", "jsonPath"), _TEXT),
        "type": {"type": "string", "enum": ["boolean", "date", "integer", "number", "string"]},
        "priority": {"type": "integer"},
    },
}
_VERSION: Schema = {
    "type": "object",
    "required": ["name", "served", "storage", "schema"],
    "properties": {
        "name": _LABEL,
        "served": {"type": "boolean", "enum": [True]},
        "storage": {"type": "boolean", "enum": [True]},
        "schema": {
            "type": "object",
            "required": ["openAPIV3Schema"],
            "properties": {"openAPIV3Schema": {"type": "object"}},
        },
        "subresources": {"type": "object", "properties": {"status": {"type": "object"}, "scale": _SCALE}},
        "additionalPrinterColumns": {"type": "array", "items": _COLUMN, **_BY_NAME},
        "selectableFields": {"type": "array", "maxItems": 8, "items": _JSON_PATH},
    },
}
_SPEC: Schema = {
    "type": "object",
    "required": ["group", "names", "scope", "versions"],
    "properties": {
        "group": _DNS,
        "scope": {"type": "string", "enum": ["Cluster", "Namespaced"]},
        "names": _NAMES,
        "versions": {"type": "array", "minItems": 1, "items": _VERSION},
    },
}
_SIZE: Schema = {"type": "integer", "minimum": 0}
_FLAG: Schema = {"type": "boolean"}
_RULE: Schema = {
    "type": "object",
    "required": ["rule"],
    "properties": dict.fromkeys(("rule", "message", "messageExpression", "reason", "fieldPath"), _TEXT),
}
_TYPES = ["object", "array", "string", "integer", "number", "boolean"]
_LIST_TYPES = ["atomic", "map", "set"]
_NODE: Schema = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": _TYPES},
        **dict.fromkeys(("properties",), {"type": "object", "additionalProperties": {"type": "object"}}),
        **dict.fromkeys(("items", "not"), {"type": "object"}),
        **dict.fromkeys(("allOf", "anyOf", "oneOf"), {"type": "array", "minItems": 1, "items": {"type": "object"}}),
        **dict.fromkeys(("required", "x-kubernetes-list-map-keys"), _TEXTS),
        **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), _SIZE),
        **dict.fromkeys(("minimum", "maximum"), {"type": "number"}),
        **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum", "nullable", PRESERVE), _FLAG),
        "x-kubernetes-int-or-string": _FLAG,
        "enum": {"type": "array", "minItems": 1},
        "pattern": _TEXT,
        "x-kubernetes-list-type": {"type": "string", "enum": _LIST_TYPES},
        "x-kubernetes-validations": {"type": "array", "items": _RULE},
    },
}


def check(document: Document) -> list[FieldError]:
    """Every complaint about a CRD's name, spec and schema."""
    spec = document["spec"]
    errors = validate(_SPEC, spec, "spec")
    if errors:
        return errors
    if len(spec["versions"]) > 1:
        return [forbidden_field("spec.versions", "the lab's API serves one version per resource")]
    if spec.get("conversion", {"strategy": "None"}) != {"strategy": "None"}:
        return [forbidden_field("spec.conversion", "only strategy None is served here")]
    name = f"{spec['names']['plural']}.{spec['group']}"
    if document["metadata"]["name"] != name:
        errors.append(invalid_value("metadata.name", document["metadata"]["name"], f"must be {name!r}"))
    schema = spec["versions"][0]["schema"]["openAPIV3Schema"]
    path = "spec.versions[0].schema.openAPIV3Schema"
    if schema.get("type") != "object":
        errors.append(invalid_value(f"{path}.type", schema.get("type"), 'must be "object"'))
    return errors + list(_check_columns(spec["versions"][0])) + list(_check_node(schema, path))


def _check_columns(version: Schema) -> Iterator[FieldError]:
    for position, column in enumerate(version.get("additionalPrinterColumns") or ()):
        try:
            parse(column["jsonPath"])
        except ValueError as error:
            where = f"spec.versions[0].additionalPrinterColumns[{position}].jsonPath"
            yield invalid_value(where, column["jsonPath"], str(error))


def _check_node(node: Any, path: str) -> Iterator[FieldError]:
    wrong = validate(_NODE, node, path)
    yield from wrong
    if wrong:
        return
    if "$ref" in node:
        yield forbidden_field(f"{path}.$ref", "must be empty")
    if node.get("x-kubernetes-list-type") == "map" and not node.get("x-kubernetes-list-map-keys"):
        yield required(f"{path}.x-kubernetes-list-map-keys", "a list of type map needs keys")
    if "pattern" in node:
        try:
            re.compile(node["pattern"])
        except (re.error, OverflowError) as error:
            yield invalid_value(f"{path}.pattern", node["pattern"], f"is no regular expression: {error}")
    for name, below in node.get("properties", {}).items():
        yield from _check_node(below, f"{path}.properties[{name}]")
    for word in ("items", "not", "additionalProperties"):
        if isinstance(node.get(word), dict):
            yield from _check_node(node[word], join(path, word))
    for word in ("allOf", "anyOf", "oneOf"):
        for position, below in enumerate(node.get(word, ())):
            yield from _check_node(below, f"{path}.{word}[{position}]")


def fill_in(document: Document, old: Document | None) -> None:
    """Names, conversion, the clean-up finalizer and an Established status, as the real server writes them."""
    spec = document["spec"]
    names = spec["names"]
    names.setdefault("singular", names["kind"].lower())
    names.setdefault("listKind", f"{names['kind']}List")
    spec.setdefault("conversion", {"strategy": "None"})
    if old is not None:
        document["status"] = {**old.get("status", {}), "acceptedNames": names}
        return
    finalizers = document["metadata"].setdefault("finalizers", [])
    if FINALIZER not in finalizers:
        finalizers.append(FINALIZER)
    reasons = {"NamesAccepted": ("NoConflicts", "no conflicts found"), "Established": ("InitialNamesAccepted", "")}
    conditions = [
        {"type": name, "status": "True", "reason": reason, "message": text, "lastTransitionTime": now()}
        for name, (reason, text) in reasons.items()
    ]
    version = spec["versions"][0]["name"]
    document["status"] = {"conditions": conditions, "acceptedNames": names, "storedVersions": [version]}


def warnings(document: Document) -> list[str]:
    """What is in the CRD and not evaluated here."""
    schema = document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return [f"x-kubernetes-validations not evaluated by the lab: {rule}" for rule in rules.unchecked(schema)]


def kind_of(document: Document) -> Kind:
    """The Kind that an admitted CRD stands for."""
    spec, names = document["spec"], document["spec"]["names"]
    version = spec["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    return Kind(
        group=spec["group"],
        version=version["name"],
        plural=names["plural"],
        kind=names["kind"],
        namespaced=spec["scope"] == "Namespaced",
        schema=schema,
        short_names=tuple(names.get("shortNames", ())),
        categories=tuple(names.get("categories", ())),
        singular=names["singular"],
        list_kind=names["listKind"],
        has_status="status" in (version.get("subresources") or {}),
        custom=True,
        has_generation=True,
        needs_version=True,
        unchecked=tuple(rules.unchecked(schema)),
        columns=tuple(version.get("additionalPrinterColumns") or ()),
        scale=(version.get("subresources") or {}).get("scale"),
        fields=tuple(field["jsonPath"].lstrip(".") for field in version.get("selectableFields") or ()),
    )
