"""Bytes to documents and back: JSON strictly, YAML as the JSON it stands for.

YAML's aliases are refused (a few hundred bytes could stand for gigabytes), its dates stay text, and numbers that JSON
cannot carry (NaN, infinities) are refused in both.
"""

from __future__ import annotations

import json
import math
from typing import Any

import yaml

from bascule_lab.apiserver.status import bad_request

Document = dict[str, Any]
MAX_BODY = 3 * 1024 * 1024
_MAX_YAML_DEPTH = 100


def encode(document: Any) -> bytes:
    """Compact JSON in ASCII; key order is kept. Raises ValueError for NaN and infinities."""
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()


def decode(body: bytes, yaml_too: bool = False) -> Document:
    """An object out of a request body; ApiError 400 when it is none."""
    try:
        value = json.loads(body, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        if not yaml_too:
            raise bad_request(f"the body is no JSON: {error}") from None
        value = _from_yaml(body)
    if not isinstance(value, dict):
        raise bad_request(f"the body must be an object, not {type(value).__name__}")
    return value


class _Loader(yaml.CSafeLoader):
    """YAML's JSON subset: no dates, sets, binaries or merge keys."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if not tag.endswith((":timestamp", ":merge"))]
    for first, rules in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.yaml_constructors = {
    tag: build
    for tag, build in yaml.CSafeLoader.yaml_constructors.items()
    if tag is None or not str(tag).endswith((":timestamp", ":set", ":binary", ":omap", ":pairs"))
}


def _from_yaml(body: bytes) -> Any:
    try:
        text = body.decode()
        _survey(text)
        return _jsonable(yaml.load(text, _Loader))
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise bad_request(f"the body is neither JSON nor YAML: {error}") from None


def _survey(text: str) -> None:
    """Refuse aliases and deep nesting from the event stream, before libyaml's time for it grows as the square."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.AliasEvent):
            raise bad_request("the body is YAML with aliases, which are not accepted")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_YAML_DEPTH:
            raise bad_request(f"the body is YAML nested more than {_MAX_YAML_DEPTH} levels deep")


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {_key(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_jsonable(item) for item in value]
    if isinstance(value, float):
        return _finite(value)
    return value


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, (bool, int, float)) or key is None:
        return json.dumps(key)
    raise ValueError(f"a {type(key).__name__} is no key")


def _finite(text: str | float) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is out of range")
    return number


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")
