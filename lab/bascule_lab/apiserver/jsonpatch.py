"""JSON patch (RFC 6902) on plain documents: add, remove, replace, move, copy, test."""

from __future__ import annotations

import copy
from typing import Any

from bascule_lab.apiserver.apply.typed import same
from bascule_lab.apiserver.status import ApiError, bad_request

MOST_OPERATIONS = 10_000
_NEEDS = {"add": "value", "replace": "value", "test": "value", "move": "from", "copy": "from", "remove": "path"}


class PatchFailed(ValueError):
    """An operation that the document does not allow."""


def apply_patch(document: dict[str, Any], patch: Any) -> dict[str, Any]:
    """The patched copy. ApiError 400 for no patch, 413 for too long a one, 422 for an operation that fails."""
    if not isinstance(patch, list):
        raise bad_request("the body must be a JSON patch: a list of operations")
    if len(patch) > MOST_OPERATIONS:
        text = f"The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {len(patch)}"
        raise ApiError(413, "RequestEntityTooLarge", text)
    holder = {"": copy.deepcopy(document)}
    for position, operation in enumerate(patch):
        word = operation.get("op") if isinstance(operation, dict) else None
        if word not in _NEEDS or _NEEDS[word] not in operation or not isinstance(operation.get("path"), str):
            raise bad_request(f"operation {position} of the JSON patch is malformed: {operation!r:.200}")
        try:
            _run(holder, word, operation)
        except PatchFailed as error:
            text = f"the server rejected our request due to an error in our request: operation {position}: {error}"
            raise ApiError(422, "Invalid", text) from None
    result = holder[""]
    if not isinstance(result, dict):
        raise bad_request("the JSON patch leaves no object")
    return result


def _run(holder: dict[str, Any], word: str, operation: dict[str, Any]) -> None:
    path = _parts(operation["path"])
    if word == "test":
        if not same(_read(holder, path), operation["value"]):
            raise PatchFailed(f"testing value {operation['path']} failed")
    elif word == "remove":
        _take(holder, path)
    elif word == "replace":
        _read(holder, path)
        _put(holder, path, copy.deepcopy(operation["value"]), replace=True)
    elif word == "add":
        _put(holder, path, copy.deepcopy(operation["value"]))
    else:
        source = _parts(operation["from"])
        if word == "move" and path[: len(source)] == source and path != source:
            raise PatchFailed(f"{operation['path']} is inside of {operation['from']}")
        value = _take(holder, source) if word == "move" else copy.deepcopy(_read(holder, source))
        _put(holder, path, value)


def _parts(pointer: Any) -> list[str]:
    """RFC 6901; the first part is "", the document itself, so that it can be replaced too."""
    if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
        raise PatchFailed(f"{pointer!r} is no JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")]


def _read(node: Any, path: list[str]) -> Any:
    for part in path:
        if isinstance(node, dict) and part in node:
            node = node[part]
        elif isinstance(node, list):
            node = node[_place(part, len(node) - 1)]
        else:
            raise PatchFailed(f"missing path: {'/'.join(path)}")
    return node


def _put(holder: Any, path: list[str], value: Any, replace: bool = False) -> None:
    parent, last = _read(holder, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list) and replace:
        parent[_place(last, len(parent) - 1)] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _place(last, len(parent)), value)
    else:
        raise PatchFailed(f"missing path: {'/'.join(path)}")


def _take(holder: Any, path: list[str]) -> Any:
    value, parent, last = _read(holder, path), _read(holder, path[:-1]), path[-1]
    if len(path) == 1:
        raise PatchFailed("the document itself cannot be removed")
    if isinstance(parent, list):
        del parent[_place(last, len(parent) - 1)]
    else:
        del parent[last]
    return value


def _place(text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit()) or (len(text) > 1 and text[0] == "0") or len(text) > 9:
        raise PatchFailed(f"{text!r} is no index of a list")
    if int(text) > most:
        raise PatchFailed(f"index {text} is out of bounds")
    return int(text)
