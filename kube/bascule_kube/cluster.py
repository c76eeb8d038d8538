"""The verbs on a cluster: get, list, create, replace, patch, apply, delete, watch. Objects are dicts in and out."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any

from bascule_kube.errors import NotFound, NotServed, Unreachable
from bascule_kube.kinds import KNOWN, Kind
from bascule_kube.transport import Query, Reply, Transport

FIELD_MANAGER = "bascule"
PAGE_SIZE = 500
WATCH_SECONDS = 240
Obj = dict[str, Any]
Objects = list[Obj]  # named here, because inside Cluster `list` is the verb
Applied = tuple[Obj, list[str]]


class Cluster:
    """One cluster, as one user. Make it with `await Cluster.open(...)`, end it with `await cluster.close()`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._discovered: dict[tuple[str, str], Kind] = {}

    @classmethod
    async def open(cls, kubeconfig: Path | None = None, context: str | None = None) -> Cluster:
        """Read a kubeconfig (None: $KUBECONFIG, else ~/.kube/config). No request is made yet.

        Raises KubeconfigError (exit 2) and CredentialError (exit 4).
        """
        return cls(await Transport.open(kubeconfig, context))

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.close()

    async def __aenter__(self) -> Cluster:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._transport.server

    @property
    def context(self) -> str:
        """The kubeconfig context in use."""
        return self._transport.context

    @property
    def namespace(self) -> str:
        """The context's namespace, `default` if it names none."""
        return self._transport.namespace

    async def bearer_token(self) -> str:
        """The token this user presents now, for an agent to review; "" for a user with a client certificate only."""
        return await self._transport.bearer_token()

    def authority(self) -> str:
        """The CA (PEM) that the kubeconfig trusts for this cluster; "" when it names none."""
        return self._transport.authority()

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> Obj:
        """One object. Raises NotFound."""
        return _object(await self._transport.request("GET", kind.path(namespace, name)))

    async def list(
        self, kind: Kind, namespace: str | None = None, label_selector: str = "", field_selector: str = ""
    ) -> Objects:
        """Every object, in pages of 500; namespace None means all of them."""
        items: Objects = []
        token = ""
        while True:
            page = await self.list_page(kind, namespace, label_selector, field_selector, continue_token=token)
            items += page["items"]
            token = page["metadata"].get("continue") or ""
            if not token:
                return items

    async def list_page(
        self,
        kind: Kind,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        continue_token: str = "",
        limit: int = PAGE_SIZE,
    ) -> Obj:
        """One page, a List: `items` (apiVersion and kind filled in) and `metadata` (resourceVersion, continue)."""
        query = _selectors(label_selector, field_selector)
        query += [("limit", str(limit)), *([("continue", continue_token)] if continue_token else [])]
        page = _object(await self._transport.request("GET", kind.path(namespace), query))
        if not isinstance(page.get("items"), list) or not isinstance(page.get("metadata"), dict):
            raise Unreachable(f"{self.server} answered a list of {kind.plural} with something else", "no items")
        for item in page["items"]:  # a server omits both in lists, but not in watch events
            item.setdefault("apiVersion", kind.api_version)
            item.setdefault("kind", kind.kind)
        return page

    async def create(self, obj: Obj, dry_run: bool = False, subresource: str | None = None) -> Obj:
        """POST; returns what the server stored (for a review: its answer). Raises AlreadyExists, Invalid."""
        kind, name, namespace = await self._locate(obj)
        path = kind.path(namespace, name, subresource) if subresource else kind.path(namespace)
        return _object(await self._transport.request("POST", path, _writing(dry_run), obj))

    async def replace(self, obj: Obj, dry_run: bool = False, subresource: str | None = None) -> Obj:
        """PUT; the object's resourceVersion is the precondition. Raises Conflict, NotFound, Invalid."""
        kind, name, namespace = await self._locate(obj)
        path = kind.path(namespace, name, subresource)
        return _object(await self._transport.request("PUT", path, _writing(dry_run), obj))

    async def merge_patch(
        self,
        kind: Kind,
        name: str,
        patch: Obj,
        namespace: str | None = None,
        subresource: str | None = None,
        dry_run: bool = False,
    ) -> Obj:
        """JSON merge patch (RFC 7386): None removes a key, a list is replaced whole."""
        path = kind.path(namespace, name, subresource)
        content_type = "application/merge-patch+json"
        return _object(await self._transport.request("PATCH", path, _writing(dry_run), patch, content_type))

    async def apply(self, obj: Obj, dry_run: bool = False, force: bool = False) -> Applied:
        """Server-side apply as field manager `bascule`; returns the object and the server's warnings.

        Unknown fields are refused (fieldValidation=Strict). Raises Invalid, and Conflict when another manager owns a
        field and `force` is not given.
        """
        kind, name, namespace = await self._locate(obj)
        query = [*_writing(dry_run), ("force", "true" if force else "false"), ("fieldValidation", "Strict")]
        content_type = "application/apply-patch+yaml"
        reply = await self._transport.request("PATCH", kind.path(namespace, name), query, obj, content_type)
        return _object(reply), reply.warnings

    async def delete(self, kind: Kind, name: str, namespace: str | None = None, dry_run: bool = False) -> Obj:
        """DELETE; returns the object while it is finalizing, else a Status. Raises NotFound."""
        query = [("dryRun", "All")] if dry_run else []
        return _object(await self._transport.request("DELETE", kind.path(namespace, name), query))

    async def watch_lines(
        self,
        kind: Kind,
        resource_version: str,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = WATCH_SECONDS,
    ) -> AsyncGenerator[Obj, None]:
        """The events of one watch, `{"type", "object"}` each, bookmarks and ERROR included, until the server ends it.

        `timeout_seconds` stays below five minutes so that a silent connection is noticed. Raises Gone for a 410 answer,
        Unreachable for a reset or a broken line.
        """
        query = _selectors(label_selector, field_selector)
        query += [("watch", "true"), ("allowWatchBookmarks", "true"), ("resourceVersion", resource_version)]
        query += [("timeoutSeconds", str(timeout_seconds))]
        async with aclosing(self._transport.lines(kind.path(namespace), query, timeout_seconds + 15.0)) as lines:
            async for line in lines:
                if line.strip():
                    yield _event(line)

    async def raw(self, method: str, path: str, query: Query = (), body: Any = None) -> Any:
        """Any other request, e.g. `/version`; the decoded JSON, or text."""
        return (await self._transport.request(method, path, query, body)).document

    async def kind_of(self, obj: Obj) -> Kind:
        """The Kind of an object by its apiVersion and kind, discovered if unknown. Raises NotServed."""
        key = (str(obj.get("apiVersion") or ""), str(obj.get("kind") or ""))
        if key not in KNOWN and key not in self._discovered:
            await self._discover(*key)
        return KNOWN.get(key) or self._discovered[key]

    async def _discover(self, api_version: str, kind: str) -> None:
        missing = NotServed(
            f"the cluster serves no {kind or 'object'} in {api_version or 'an empty apiVersion'}",
            404,
            fix="correct apiVersion and kind, or install the CRD",
        )
        group, _, version = api_version.rpartition("/")
        if not version or not kind:
            raise missing
        try:
            served = await self.raw("GET", Kind(group, version, "", "", False).path())
        except NotFound as error:
            raise missing from error
        for resource in served.get("resources") or []:
            plural = str(resource.get("name") or "")
            if plural and "/" not in plural:
                found = Kind(group, version, plural, str(resource.get("kind")), bool(resource.get("namespaced")))
                self._discovered[(api_version, found.kind)] = found
        if (api_version, kind) not in self._discovered:
            raise missing

    async def _locate(self, obj: Obj) -> tuple[Kind, str, str | None]:
        kind = await self.kind_of(obj)
        metadata = obj.get("metadata") or {}
        namespace = (metadata.get("namespace") or self.namespace) if kind.namespaced else None
        return kind, str(metadata.get("name") or ""), namespace


def _selectors(label_selector: str, field_selector: str) -> list[tuple[str, str]]:
    pairs = (("labelSelector", label_selector), ("fieldSelector", field_selector))
    return [(key, value) for key, value in pairs if value]


def _writing(dry_run: bool) -> list[tuple[str, str]]:
    return [("fieldManager", FIELD_MANAGER), *([("dryRun", "All")] if dry_run else [])]


def _object(reply: Reply) -> Obj:
    if not isinstance(reply.document, dict):
        raise Unreachable("the API server answered with something that is no object", str(reply.document)[:200])
    return reply.document


def _event(line: bytes) -> Obj:
    try:
        event = json.loads(line)
    except ValueError as error:
        raise Unreachable("the watch sent a line that is no JSON", line[:120].decode("utf-8", "replace")) from error
    if not isinstance(event, dict):
        raise Unreachable("the watch sent a line that is no event", str(event)[:120])
    return event
