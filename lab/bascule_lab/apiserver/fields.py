"""The ownership of fields inside the write pipeline: from options and documents to the entries that are stored."""

from __future__ import annotations

from typing import Any

from bascule_lab.apiserver import meta
from bascule_lab.apiserver.apply import managers
from bascule_lab.apiserver.apply.managers import APPLY, UPDATE, Entry
from bascule_lab.apiserver.apply.ownership import after_apply, after_update
from bascule_lab.apiserver.apply.paths import show_path
from bascule_lab.apiserver.apply.typed import MISSING, DuplicateItem
from bascule_lab.apiserver.body import Document
from bascule_lab.apiserver.kinds import Kind
from bascule_lab.apiserver.options import WriteOptions
from bascule_lab.apiserver.status import bad_request

_RESET: list[dict[str, Any]] = [{}]


def me(kind: Kind, options: WriteOptions, operation: str, part: str = "") -> Entry:
    """The entry of this request's manager, still without fields."""
    return Entry(options.manager, operation, kind.api_version, part, meta.now())


def check_config(kind: Kind, config: Document, namespace: str, name: str) -> dict[str, Any]:
    """An applied document's metadata; 400 when it is for another object or brings its own managedFields."""
    if isinstance(config.get("metadata"), dict) and config["metadata"].get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    return meta.identify(kind, config, namespace, name)


def take(kind: Kind, document: Document, old: Document) -> list[Entry]:
    """The entries to start from, taken out of both documents.

    A client may send entries (kubectl moves ownership that way); what is missing or no list of entries leaves the
    stored ones, and the list [{}] clears them.
    """
    given = document["metadata"].pop("managedFields", None)
    stored = old["metadata"].pop("managedFields", None)
    if given == _RESET:
        return []
    for candidate in (given, stored):
        try:
            if candidate:
                return managers.read(candidate)
        except ValueError:
            continue
    return []


def store(own: dict[str, Any], entries: list[Entry]) -> None:
    """Write the entries into metadata."""
    own["managedFields"] = managers.write(entries)


def created(kind: Kind, document: Document, options: WriteOptions) -> list[Entry]:
    return after_update(kind.root, MISSING, document, [], me(kind, options, UPDATE), kind.has_status)


def updated(
    kind: Kind, old: Document, new: Document, entries: list[Entry], options: WriteOptions, part: str
) -> list[Entry]:
    return after_update(kind.root, old, new, entries, me(kind, options, UPDATE, part), kind.has_status)


def applied_new(kind: Kind, config: Document, options: WriteOptions) -> list[Entry]:
    config = _half(kind, config, "")
    return _apply(kind, {}, config, [], options, "")[1]


def applied(
    kind: Kind, live: Document, config: Document, options: WriteOptions, part: str
) -> tuple[Document, list[Entry]]:
    """The merged document and the entries after it; `live` keeps its managedFields."""
    entries = managers.read(live["metadata"].get("managedFields"))
    bare = {**live, "metadata": {key: value for key, value in live["metadata"].items() if key != "managedFields"}}
    return _apply(kind, bare, _half(kind, config, part), entries, options, part)


def _apply(
    kind: Kind, live: Document, config: Document, entries: list[Entry], options: WriteOptions, part: str
) -> tuple[Document, list[Entry]]:
    applier = me(kind, options, APPLY, part)
    try:
        return after_apply(kind.root, live, config, entries, applier, kind.has_status, options.force)
    except DuplicateItem as error:
        where = show_path((str(error),))
        raise bad_request(f"failed to create typed patch object: duplicate entries for key {where}") from None


def _half(kind: Kind, config: Document, part: str) -> Document:
    """Of a kind with a status, an apply writes the status alone or all but the status."""
    if part == "status":
        return {key: value for key, value in config.items() if key in ("apiVersion", "kind", "metadata", "status")}
    return {key: value for key, value in config.items() if key != "status" or not kind.has_status}
