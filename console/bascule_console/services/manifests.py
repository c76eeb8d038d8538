"""YAML (or JSON) documents into API objects, each knowing the file and line of every field.

Own construction from YAML's node graph, because the ready-made loader is unsafe for this work: it lets the last of two
equal keys win, reads an unquoted MAC such as 10:20:30:40:50:51 as a number, turns dates into objects that JSON lacks,
and shares anchors so that a kilobyte can stand for a gigabyte.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bascule.errors import UsageError

MAX_BYTES = 16 << 20
MAX_NODES = 500_000
_PREFIX = "tag:yaml.org,2002:"
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")


class ManifestError(UsageError):
    """A file that cannot be read, or a document that is no API object; the message begins with file:line."""


@dataclass(frozen=True, slots=True)
class Document:
    """One API object, and for each field path (spec.l2Bridge.vlans[0]) the line in the file where it stands.

    `take_over`: fields that another manager owns become Bascule's, instead of being a conflict.
    """

    object: dict[str, Any]
    file: str
    lines: dict[str, int] = field(repr=False)
    take_over: bool = False

    def at(self, path: str = "") -> str:
        """`file:line` of a field, or of the nearest enclosing one that is in the file."""
        while path and path not in self.lines:
            path = re.sub(r"(\.[^.\[\]]*|\[[^\]]*\]|^[^.\[\]]+)$", "", path)
        return f"{self.file}:{self.lines.get(path, 1)}"

    @property
    def label(self) -> str:
        """`Kind/name` or `Kind/namespace/name`, as in `bascule.lint.Finding.object`."""
        metadata = self.object["metadata"]
        return "/".join(part for part in (self.object["kind"], metadata.get("namespace"), metadata["name"]) if part)


def load(paths: Iterable[str]) -> list[Document]:
    """The documents of all files, in order; `-` is stdin. Raises ManifestError, also when there are none."""
    names = list(paths)
    documents = [document for name in names for document in parse(_read(name), "stdin" if name == "-" else name)]
    if not documents:
        raise ManifestError(f"no object in {', '.join(names)}", "every document is empty")
    return documents


def parse(data: bytes, file: str) -> list[Document]:
    """The documents of one file; empty ones are left out, a List is taken apart. Raises ManifestError."""
    try:
        text = data.decode("utf-8-sig")
        return [document for root in yaml.compose_all(text, yaml.SafeLoader) for document in _documents(root, file)]
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ManifestError(f"{file}:{line}: not UTF-8 text", f"byte {data[error.start]:#04x}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ManifestError(f"{file}:{line}: a character that YAML does not allow", error.reason) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ManifestError(f"{file}:{line}: no YAML: {error.problem or error.context}", error.context or "") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise ManifestError(f"{file}:1: no YAML", str(error)) from error
    except RecursionError as error:
        raise ManifestError(f"{file}:1: nested too deeply") from error


def _read(name: str) -> bytes:
    try:
        if name == "-":
            data = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(name).open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ManifestError(f"cannot read {name}", getattr(error, "strerror", None) or str(error)) from error
    if len(data) > MAX_BYTES:
        raise ManifestError(f"{name} is larger than {MAX_BYTES >> 20} MiB", fix="apply it in parts")
    return data


def _documents(root: yaml.Node | None, file: str) -> Iterator[Document]:
    builder = _Builder(file)
    value = builder.build(root, "") if root is not None else None
    if value is None:
        return
    assert root is not None
    line = root.start_mark.line + 1
    if not isinstance(value, dict):
        raise ManifestError(
            f"{file}:{line}: not an API object", "a mapping with apiVersion, kind, metadata is expected"
        )
    if str(value.get("kind", "")).endswith("List") and isinstance(value.get("items"), list):
        for index, item in enumerate(value["items"]):
            lines = {path: at for path, at in builder.lines.items() if path.startswith(f"items[{index}]")}
            start = f"items[{index}]"
            inner = {path[len(start) :].lstrip("."): at for path, at in lines.items()}
            yield _checked(Document(item, file, inner))
        return
    yield _checked(Document(value, file, builder.lines))


def _checked(document: Document) -> Document:
    obj: Any = document.object
    if not isinstance(obj, dict):
        raise ManifestError(f"{document.at()}: not an API object", "a mapping is expected")
    metadata = obj.get("metadata")
    wanted = {"apiVersion": obj.get("apiVersion"), "kind": obj.get("kind")}
    wanted["metadata.name"] = metadata.get("name") if isinstance(metadata, dict) else None
    for path, value in wanted.items():
        if not isinstance(value, str) or not value:
            problem = "is missing" if value is None else "is not a text"
            raise ManifestError(f"{document.at(path)}: {path} {problem}", fix=f"add {path} to this document")
    assert isinstance(metadata, dict)
    if not isinstance(metadata.get("namespace", ""), str):
        raise ManifestError(f"{document.at('metadata.namespace')}: metadata.namespace is not a text", fix="quote it")
    return document


class _Builder:
    """Plain values from a node graph. Counts what aliases expand to: a small file must not stand for a huge one."""

    def __init__(self, file: str) -> None:
        self.lines: dict[str, int] = {}
        self._file = file
        self._count = 0
        self._open: set[int] = set()
        self._scalars = yaml.constructor.SafeConstructor()

    def build(self, node: yaml.Node, path: str, line: int | None = None) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1 if line is None else line)
        self._count += 1
        if self._count > MAX_NODES:
            raise self._error(node, f"more than {MAX_NODES} values", "aliases that expand without end?")
        if id(node) in self._open:
            raise self._error(node, "an alias that contains itself")
        self._open.add(id(node))
        try:
            return self._value(node, path)
        finally:
            self._open.discard(id(node))

    def _value(self, node: yaml.Node, path: str) -> Any:
        if isinstance(node, yaml.MappingNode) and node.tag == _PREFIX + "map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _PREFIX + "seq":
            return [self.build(child, f"{path}[{index}]") for index, child in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        raise self._error(node, f"the YAML tag {node.tag} has no meaning here")

    def _mapping(self, node: yaml.MappingNode, path: str) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for key_node, child in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == _PREFIX + "merge":
                raise self._error(key_node, "a key that is no plain text", "merge keys (<<) are not supported")
            key = self._text(key_node)
            if key in value:
                raise self._error(key_node, f"the key '{key}' stands twice in one mapping", fix="remove one of them")
            value[key] = self.build(child, f"{path}.{key}" if path else key, key_node.start_mark.line + 1)
        return value

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        tag = node.tag.removeprefix(_PREFIX)
        if tag in ("str", "timestamp") or (tag in ("int", "float") and _SEXAGESIMAL.fullmatch(node.value)):
            return self._text(node)
        if tag == "null":
            return None
        if tag not in ("bool", "int", "float"):
            raise self._error(node, f"the YAML tag {node.tag} has no meaning here")
        try:
            value = getattr(self._scalars, f"construct_yaml_{tag}")(node)
        except (ValueError, KeyError, IndexError, OverflowError) as error:
            raise self._error(node, f"'{node.value[:40]}' is no {tag}") from error
        if isinstance(value, float) and not math.isfinite(value):
            raise self._error(node, f"{node.value} is no number that JSON has")
        return value

    def _text(self, node: yaml.ScalarNode) -> str:
        if not node.value.isascii() and any("\ud800" <= char <= "\udfff" for char in node.value):
            raise self._error(node, "a lone surrogate, which UTF-8 does not have")
        return str(node.value)

    def _error(self, node: yaml.Node, problem: str, cause: str = "", fix: str = "") -> ManifestError:
        return ManifestError(f"{self._file}:{node.start_mark.line + 1}: {problem}", cause, fix)
