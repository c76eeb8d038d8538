"""Rules on the shape of every document: fields that do not exist, have the wrong type, or are missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from bascule.lint.fields import SCHEMAS, VM_PARTS
from bascule.lint.finding import Problem, show
from bascule.lint.registry import rule
from bascule.lint.schema import List, Object, Scalar
from bascule.lint.world import VM, Document, World
from bascule.resources.read import dig, items, text


@rule("document-shape", "")
def document_shape(document: Document, world: World) -> Iterator[Problem]:
    """A document without kind, apiVersion or metadata.name."""
    if not isinstance(document.raw, Mapping):
        yield Problem("", "not an object", show(document.raw), "Write one object with apiVersion, kind and metadata.")
        return
    for path in (("apiVersion",), ("kind",), ("metadata", "name")):
        if not text(dig(document.raw, *path)):
            field = ".".join(path)
            yield Problem(field, f"{field} is missing", show(dig(document.raw, *path)), f"Set {field}.")


@rule("unknown-field", "")
def unknown_field(document: Document, world: World) -> Iterator[Problem]:
    """A field that the API does not have; it would be dropped without a word."""
    for path, value, schema in _walk(document):
        if not isinstance(schema, Object) or not isinstance(value, Mapping):
            continue
        for key in value:
            if key in schema.fields:
                continue
            near = get_close_matches(str(key), schema.fields, n=1, cutoff=0.5)
            fix = f"Write {near[0]}." if near else f"Remove it; known here: {', '.join(sorted(schema.fields))}."
            yield Problem(_join(path, str(key)), f"unknown field {key!s}", show(value[key]), fix)


@rule("field-type", "")
def field_type(document: Document, world: World) -> Iterator[Problem]:
    """A field whose value has the wrong type."""
    for path, value, schema in _walk(document):
        wanted = _wanted(value, schema)
        if wanted:
            yield Problem(path, f"{path} must be {wanted}", show(value), f"Write {wanted}.")


@rule("field-missing", "")
def field_missing(document: Document, world: World) -> Iterator[Problem]:
    """A required field that is missing, an empty list that needs an item, or not exactly one of several fields."""
    for path, value, schema in _walk(document):
        if isinstance(schema, List) and isinstance(value, list) and len(value) < schema.least:
            yield Problem(path, f"{path} is empty", "[]", "Add at least one item.")
        if not isinstance(schema, Object) or not isinstance(value, Mapping):
            continue
        for name in schema.required:
            if value.get(name) is None:
                yield Problem(_join(path, name), f"{_join(path, name)} is missing", show(value), f"Set {name}.")
        given = [name for name in schema.one_of if value.get(name) is not None]
        if schema.one_of and len(given) != 1:
            names = " or ".join(schema.one_of)
            yield Problem(path, f"exactly one of {names} is needed", ", ".join(given) or "none", f"Set {names}.")


def _walk(document: Document) -> Iterator[tuple[str, Any, Any]]:
    """(path, value, schema) of every value that a schema describes."""
    if document.kind in SCHEMAS and isinstance(document.raw, Mapping):
        yield from _descend("", document.raw, SCHEMAS[document.kind])
    if document.kind == VM:
        for path, schema in VM_PARTS:
            value = dig(document.raw, *path)
            if value is not None:
                yield from _descend(".".join(path), value, schema)


def _descend(path: str, value: Any, schema: Any) -> Iterator[tuple[str, Any, Any]]:
    yield path, value, schema
    if isinstance(schema, Object) and isinstance(value, Mapping):
        for name, inner in schema.fields.items():
            if value.get(name) is not None:
                yield from _descend(_join(path, name), value[name], inner)
    elif isinstance(schema, List):
        for position, element in enumerate(items(value)):
            yield from _descend(f"{path}[{position}]", element, schema.items)


def _wanted(value: Any, schema: Any) -> str:
    """What the value should have been, "" when it is that."""
    if isinstance(schema, Object):
        return "" if isinstance(value, Mapping) else "an object"
    if isinstance(schema, List):
        return "" if isinstance(value, list) else "a list"
    if isinstance(schema, Scalar) and type(value) is not schema.type:
        return schema.name
    return ""


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
