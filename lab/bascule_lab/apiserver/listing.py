"""Lists: encoded objects joined to one body, in pages of one snapshot when a limit is given.

A snapshot is a list of references to immutable records, so keeping a few is cheap; a page token whose snapshot was
dropped is answered 410 Expired, with a fresh token for the rest as it is now.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bascule_lab.apiserver.body import encode
from bascule_lab.apiserver.kinds import Kind
from bascule_lab.apiserver.options import ListOptions
from bascule_lab.apiserver.status import ApiError, bad_request, expired
from bascule_lab.apiserver.store import Record, Store
from bascule_lab.apiserver.table.render import Renderer

SNAPSHOTS_KEPT = 32
Page = tuple[dict[str, Any], list[Record]]


@dataclass(frozen=True)
class Token:
    """A continue token: the next page's start in a snapshot, and the last key, to go on without the snapshot ("")."""

    scope: str
    snapshot: str
    start: int
    after: tuple[str, str]

    def encode(self) -> str:
        text = json.dumps({"v": "bascule.dev/v1", **asdict(self)})
        return base64.urlsafe_b64encode(text.encode()).decode()


class Lists:
    """Answers list requests of one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._snapshots: OrderedDict[str, tuple[int, str, list[Record]]] = OrderedDict()
        self._made = 0

    def select(self, kind: Kind, namespace: str, options: ListOptions) -> list[Record]:
        """Matching records in the order of namespace and name; `namespace` "" means all."""
        found = [
            record
            for key, record in self._store.items(kind.resource).items()
            if (not namespace or key[0] == namespace)
            and (options.selector.everything or options.selector.matches(record.index.labels, record.index.fields))
        ]
        return sorted(found, key=lambda record: record.key)

    def answer(self, kind: Kind, namespace: str, options: ListOptions, form: Renderer | None = None) -> bytes:
        """The list's body. Raises 410 for a version or token that is no longer (or never was) known."""
        meta, found = self._answer(kind, namespace, options)
        if form is not None:
            return form.many([record.body for record in found], meta)
        return list_body(kind, meta, found)

    def _answer(self, kind: Kind, namespace: str, options: ListOptions) -> Page:
        if options.token:
            return self._next_page(kind, namespace, options)
        self._check_version(kind, options)
        found = self.select(kind, namespace, options)
        meta: dict[str, Any] = {"resourceVersion": str(self._store.rv)}
        if options.limit and len(found) > options.limit:
            return self._page(meta, self._remember(self._scope(kind, namespace), found), 0, options)
        return meta, found

    def _check_version(self, kind: Kind, options: ListOptions) -> None:
        wanted = options.version
        if not wanted:
            return
        if wanted > self._store.rv:
            raise expired(f"Too large resource version: {wanted}, current: {self._store.rv}")
        if options.exact and wanted != self._store.rv:
            changed = wanted < self._store.floor or self._store.since(kind.resource, wanted)
            if changed:
                raise expired(f"The resourceVersion {wanted} for the provided list is too old.")

    def _scope(self, kind: Kind, namespace: str) -> str:
        return f"{kind.resource}/{namespace}"

    def _remember(self, scope: str, found: list[Record]) -> str:
        self._made += 1
        mark = f"{self._store.rv}-{self._made}"
        self._snapshots[mark] = (self._store.rv, scope, found)
        while len(self._snapshots) > SNAPSHOTS_KEPT:
            self._snapshots.popitem(last=False)
        return mark

    def _next_page(self, kind: Kind, namespace: str, options: ListOptions) -> Page:
        token = _read_token(options.token)
        if token.scope != self._scope(kind, namespace):
            raise bad_request("continue key is not valid: it belongs to another list")
        if token.snapshot and token.snapshot not in self._snapshots:
            raise expired(
                "The provided continue parameter is too old to display a consistent list result. "
                "You can start a new list without the continue parameter, or use the continue token in this response "
                "to retrieve the remainder of the results. Continuing with the provided token results in an "
                "inconsistent list - objects that were created, modified, or deleted between the time the first "
                "chunk was returned and now may show up in the list.",
                replace(token, snapshot="", start=0).encode(),
            )
        if token.snapshot:
            version = self._snapshots[token.snapshot][0]
            return self._page({"resourceVersion": str(version)}, token.snapshot, token.start, options)
        rest = [record for record in self.select(kind, namespace, options) if record.key[1:] > token.after]
        meta: dict[str, Any] = {"resourceVersion": str(self._store.rv)}
        return self._page(meta, self._remember(token.scope, rest), 0, options)

    def _page(self, meta: dict[str, Any], mark: str, start: int, options: ListOptions) -> Page:
        found = self._snapshots[mark][2]
        end = start + (options.limit or len(found))
        if end < len(found):
            meta["continue"] = Token(self._snapshots[mark][1], mark, end, found[end - 1].key[1:]).encode()
            if options.selector.everything:
                meta["remainingItemCount"] = len(found) - end
        else:
            del self._snapshots[mark]
        return meta, found[start:end]


def list_body(kind: Kind, meta: dict[str, Any], records: Sequence[Record]) -> bytes:
    """A List document around bodies that are already encoded."""
    head = encode({"kind": kind.list_name, "apiVersion": kind.api_version, "metadata": meta})
    return head[:-1] + b',"items":[' + b",".join(record.body for record in records) + b"]}"


def _read_token(text: str) -> Token:
    try:
        given = json.loads(base64.urlsafe_b64decode(text.encode()))
        scope, mark, start, (namespace, name) = (given[word] for word in ("scope", "snapshot", "start", "after"))
    except (binascii.Error, ValueError, KeyError, TypeError, RecursionError):
        raise _bad_token() from None
    if not all(isinstance(word, str) for word in (scope, mark, namespace, name)):
        raise _bad_token()
    if not isinstance(start, int) or start < 0:
        raise _bad_token()
    return Token(scope, mark, start, (namespace, name))


def _bad_token() -> ApiError:
    return bad_request("continue key is not valid: it is none of this server's")
