"""The schemas of the built-in kinds: as OpenAPI (with references), and as structural schemas for admission.

builtin.json is made by scripts/openapi_builtin.py from the models of the `kubernetes` package; loading it takes some
milliseconds where importing the models takes half a second.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from bascule_lab.apiserver.body import Document
from bascule_lab.apiserver.kinds import Schema

REFERENCE = "#/components/schemas/"
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
LIST_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"
_FILE = Path(__file__).with_name("builtin.json")
_NOT_FOR_ADMISSION = ("description", "required", "format")


@cache
def definitions() -> dict[str, Schema]:
    """Every definition by its full name; not to be changed."""
    loaded: dict[str, Schema] = json.loads(_FILE.read_text())
    return loaded


_BUILT: dict[str, Schema] = {}


def structural(name: str) -> Schema:
    """One definition with its references resolved to shared schemas; only what admission and merging look at.

    What is required is left out, because Kubernetes checks that in code that the models do not hold (a Pod without
    containers is refused by validation, not by its type). JSONSchemaProps refers to itself, so a schema is known by
    its name before it is filled.
    """
    if name not in _BUILT:
        _BUILT[name] = {}
        _BUILT[name].update(_convert(definitions()[name]))
    return _BUILT[name]


def _convert(node: Schema) -> Schema:
    if "allOf" in node:
        return structural(node["allOf"][0]["$ref"].removeprefix(REFERENCE))
    result = {key: value for key, value in node.items() if key not in _NOT_FOR_ADMISSION}
    if "properties" in node:
        result["properties"] = {name: _convert(below) for name, below in node["properties"].items()}
    for word in ("items", "additionalProperties"):
        if isinstance(node.get(word), dict):
            result[word] = _convert(node[word])
    return result


def reachable(names: list[str]) -> Document:
    """The definitions with these names and all that they refer to, in the order of their names."""
    found: dict[str, Any] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = definitions()[name]
            waiting += _references(found[name])
    return dict(sorted(found.items()))


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        here = [node["$ref"].removeprefix(REFERENCE)] if isinstance(node.get("$ref"), str) else []
        return here + [name for below in node.values() for name in _references(below)]
    if isinstance(node, list):
        return [name for below in node for name in _references(below)]
    return []
