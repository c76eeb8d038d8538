"""Structural schemas of CRDs: prune, default, validate, in kube-apiserver's wording.

Covers types, required, enum, pattern, bounds, lengths, list-map and set uniqueness, int-or-string, nullable,
preserve-unknown-fields and the combinators allOf, anyOf, oneOf, not. `format` is not checked, as for most formats in
Kubernetes. Documents are changed in place by `prune` and `set_defaults`.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from bascule_lab.apiserver.body import encode
from bascule_lab.apiserver.kinds import PRESERVE, Schema
from bascule_lab.apiserver.status import FieldError, invalid_value, required, show, unsupported

_INT_OR_STRING = "x-kubernetes-int-or-string"


def join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def children(schema: Schema, value: Any, path: str) -> Iterator[tuple[str, Schema, Any]]:
    """The parts of `value` that the schema describes, with their paths."""
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        extra = schema.get("additionalProperties")
        for name, item in value.items():
            below = properties.get(name, extra)
            if isinstance(below, dict):
                yield join(path, name), below, item
    elif isinstance(value, list) and isinstance(schema.get("items"), dict):
        for position, item in enumerate(value):
            yield f"{path}[{position}]", schema["items"], item


def prune(schema: Schema, value: Any, path: str = "") -> list[str]:
    """Remove what the schema does not know; returns the paths removed."""
    unknown = []
    closed = not schema.get(PRESERVE) and not schema.get("additionalProperties") and not schema.get(_INT_OR_STRING)
    if isinstance(value, dict) and closed:
        for name in [name for name in value if name not in schema.get("properties", {})]:
            unknown.append(join(path, name))
            del value[name]
    for where, below, item in children(schema, value, path):
        unknown.extend(prune(below, item, where))
    return unknown


def set_defaults(schema: Schema, value: Any) -> None:
    """Fill in defaults; an explicit null takes the default too, unless the field is nullable."""
    if isinstance(value, dict):
        for name, below in schema.get("properties", {}).items():
            missing = name not in value or (value[name] is None and not below.get("nullable"))
            if missing and "default" in below:
                value[name] = copy.deepcopy(below["default"])
    for _, below, item in children(schema, value, ""):
        set_defaults(below, item)


def drop_nulls(schema: Schema, value: Any) -> None:
    """Take out nulls where the schema does not allow them, as Kubernetes does after defaulting."""
    if isinstance(value, dict):
        for where, below, item in list(children(schema, value, "")):
            if item is None and not below.get("nullable") and PRESERVE not in below:
                del value[where]
    for _, below, item in children(schema, value, ""):
        drop_nulls(below, item)


def validate(schema: Schema, value: Any, path: str = "") -> list[FieldError]:
    """Every complaint about `value`; an object of the wrong type is not looked into."""
    if value is None and schema.get("nullable"):
        return []
    if (wrong := _type_error(schema, value, path)) is not None:
        return [wrong]
    errors = list(_values(schema, value, path))
    if isinstance(value, str):
        errors += _string(schema, value, path)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        errors += _number(schema, value, path)
    elif isinstance(value, list):
        errors += _array(schema, value, path)
    elif isinstance(value, dict):
        errors += _object(schema, value, path)
    for where, below, item in children(schema, value, path):
        errors += validate(below, item, where)
    return errors


def type_name(value: Any) -> str:
    """The JSON type of a value."""
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _type_error(schema: Schema, value: Any, path: str) -> FieldError | None:
    if schema.get(_INT_OR_STRING):
        fits = isinstance(value, (int, str)) and not isinstance(value, bool)
        wanted = "integer,string"
    elif "type" not in schema:
        return None
    else:
        wanted, have = schema["type"], type_name(value)
        fits = wanted == have or (wanted == "number" and have == "integer")
        fits = fits or (wanted == "integer" and have == "number" and float(value).is_integer())
    if fits and isinstance(value, int) and not -(2**63) <= value < 2**63:
        fits, wanted = False, f"{wanted} of 64 bits"
    if fits:
        return None
    have = show(type_name(value))
    text = f"Invalid value: {have}: {path or '<root>'} in body must be of type {wanted}: {have}"
    return FieldError("FieldValueTypeInvalid", path, text)


def _values(schema: Schema, value: Any, path: str) -> Iterator[FieldError]:
    choices = schema.get("enum")
    if choices is not None and not any(type(value) is type(choice) and value == choice for choice in choices):
        yield unsupported(path, value, choices)
    for part in schema.get("allOf", ()):
        yield from validate(part, value, path)
    for word, most in (("anyOf", None), ("oneOf", 1)):
        parts = schema.get(word)
        if parts:
            fitting = sum(not validate(part, value, path) for part in parts)
            if not fitting or (most and fitting > most):
                yield invalid_value(path, value, f"{path} in body must validate {_combined(word)}")
    if "not" in schema and not validate(schema["not"], value, path):
        yield invalid_value(path, value, f"{path} in body must not validate the schema (not)")


def _combined(word: str) -> str:
    return "at least one schema (anyOf)" if word == "anyOf" else "one and only one schema (oneOf)"


def _string(schema: Schema, value: str, path: str) -> Iterator[FieldError]:
    if "maxLength" in schema and len(value) > schema["maxLength"]:
        yield FieldError("FieldValueTooLong", path, f"Too long: may not be more than {schema['maxLength']} bytes")
    if len(value) < schema.get("minLength", 0):
        yield invalid_value(path, value, f"{path} in body should be at least {schema['minLength']} chars long")
    if "pattern" in schema and not _pattern(schema["pattern"]).search(value):
        yield invalid_value(path, value, f"{path} in body should match '{schema['pattern']}'")


def _number(schema: Schema, value: float, path: str) -> Iterator[FieldError]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and (value < low or (schema.get("exclusiveMinimum") and value == low)):
        words = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
        yield invalid_value(path, value, f"{path} in body should be {words} {low}")
    if high is not None and (value > high or (schema.get("exclusiveMaximum") and value == high)):
        words = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
        yield invalid_value(path, value, f"{path} in body should be {words} {high}")


def _array(schema: Schema, value: list[Any], path: str) -> Iterator[FieldError]:
    yield from _size(len(value), schema.get("minItems", 0), schema.get("maxItems"), "items", path)
    kind = schema.get("x-kubernetes-list-type")
    if kind not in ("map", "set"):
        return
    seen = set()
    for position, item in enumerate(value):
        if kind == "map" and not isinstance(item, dict):
            continue
        same = {key: item.get(key) for key in schema["x-kubernetes-list-map-keys"]} if kind == "map" else item
        mark = encode(same)
        if mark in seen:
            yield FieldError("FieldValueDuplicate", f"{path}[{position}]", f"Duplicate value: {show(same)}")
        seen.add(mark)


def _object(schema: Schema, value: dict[str, Any], path: str) -> Iterator[FieldError]:
    for name in schema.get("required", ()):
        if name not in value:
            yield required(join(path, name))
    yield from _size(len(value), schema.get("minProperties", 0), schema.get("maxProperties"), "properties", path)


def _size(have: int, low: int, high: int | None, what: str, path: str) -> Iterator[FieldError]:
    if have < low:
        yield invalid_value(path, have, f"{path} in body should have at least {low} {what}")
    if high is not None and have > high:
        yield FieldError("FieldValueTooMany", path, f"Too many: {have}: must have at most {high} items")


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)
