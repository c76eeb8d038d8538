"""One request to one answer, without sockets: authentication, authorisation, then discovery, reads, writes, reviews.

Watches are the exception: `answer` returns what to stream, the server streams it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bascule_lab.apiserver import crds, discovery, patch, reviews, routes
from bascule_lab.apiserver.authn import Authenticator, User
from bascule_lab.apiserver.authz import Access, allowed, refusal
from bascule_lab.apiserver.body import Document, decode, encode
from bascule_lab.apiserver.builtin import BUILTIN, CRDS
from bascule_lab.apiserver.deletion import delete_collection, delete_options, delete_status
from bascule_lab.apiserver.gc import Collector
from bascule_lab.apiserver.kinds import Kind, Registry
from bascule_lab.apiserver.listing import Lists
from bascule_lab.apiserver.negotiate import accept_json, body_is_yaml, patch_type
from bascule_lab.apiserver.options import apply_options, list_options, truth, write_options
from bascule_lab.apiserver.pipeline import Pipeline
from bascule_lab.apiserver.status import ApiError, method_not_allowed, no_such_path
from bascule_lab.apiserver.store import Event, Store
from bascule_lab.apiserver.watch import Hub

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


@dataclass(frozen=True)
class Request:
    """`url` is path and query as they came; `headers` match case-insensitively."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass
class Reply:
    """A whole answer, or a `stream` of watch lines."""

    code: int
    body: bytes = b""
    warnings: list[str] = field(default_factory=list)
    content_type: str = "application/json"
    stream: AsyncGenerator[bytes, None] | None = None


class Api:
    """All of the API over one store."""

    def __init__(self, store: Store, authenticator: Authenticator) -> None:
        self.store = store
        self.registry = Registry(BUILTIN)
        for record in store.items(CRDS).values():
            self.registry.add(crds.kind_of(record.document()))
        self.pipeline = Pipeline(store)
        self.hub = Hub(store)
        self.collector = Collector(store, self.registry, self.pipeline)
        self._lists = Lists(store)
        self._authenticator = authenticator
        store.listeners.append(self._follow_crds)

    def _follow_crds(self, event: Event) -> None:
        if event.key[0] != CRDS:
            return
        if event.type == "DELETED":
            self.registry.discard(event.key[2])
            self.hub.close(event.key[2])
        else:
            self.registry.add(crds.kind_of(decode(event.body)))

    def answer(self, request: Request) -> Reply:
        """Raises ApiError; anything else raised is a fault of this program."""
        path, query = routes.split_url(request.url)
        if path in routes.HEALTH:
            return Reply(200, b"ok", content_type="text/plain")
        if path == "/version":
            return Reply(200, encode(discovery.VERSION))
        user = self._authenticator.authenticate(request.headers.get("Authorization", ""))
        target = routes.parse_path(path)
        if target is None or not target.resource:
            return self._discover(request.method, user, path, target)
        kind = self.registry.find(target.group, target.version, target.resource)
        if kind is None or not _fits(kind, target):
            raise no_such_path()
        verb = _verb(kind, request.method, target, query)
        access = Access(verb, kind.group, kind.plural, target.subresource, target.namespace, _named(kind, target, verb))
        if not allowed(user, access):
            raise refusal(user, access)
        accept_json(request.headers.get("Accept", ""))
        if kind.virtual:
            review = decode(request.body, body_is_yaml(request.headers.get("Content-Type", "")))
            return Reply(201, encode(reviews.answer(kind, review, user, self._authenticator)))
        if verb in ("get", "list", "watch"):
            return self._read(kind, target, verb, query)
        return self._write(kind, target, verb, query, request)

    def _discover(self, method: str, user: User, path: str, target: routes.Target | None) -> Reply:
        access = Access(method.lower(), path=path)
        if not allowed(user, access):
            raise refusal(user, access) if method == "GET" else method_not_allowed()
        document: dict[str, Any] | None = None
        if target is not None:
            if target.version:
                document = discovery.resources(self.registry, target.group, target.version)
            elif target.group:
                document = discovery.one_group(self.registry, target.group)
            else:
                core = path.strip("/") == "api"
                document = discovery.core_versions() if core else discovery.groups(self.registry)
        if document is None:
            raise no_such_path()
        return Reply(200, encode(document))

    def _read(self, kind: Kind, target: routes.Target, verb: str, query: Mapping[str, str]) -> Reply:
        if verb == "get":
            return Reply(200, self.pipeline.read(kind, target.namespace, target.name).body)
        options = list_options(query, kind)
        if verb == "watch":
            return Reply(200, stream=self.hub.stream(kind, target.namespace, options, self._lists))
        return Reply(200, self._lists.answer(kind, target.namespace, options))

    def _write(self, kind: Kind, target: routes.Target, verb: str, query: Mapping[str, str], request: Request) -> Reply:
        content_type = request.headers.get("Content-Type", "")
        if verb == "create":
            document = decode(request.body, body_is_yaml(content_type))
            options = write_options(query, "CreateOptions")
            body = self.pipeline.create(kind, target.namespace, document, options)
            return Reply(201, body, options.warnings)
        if verb == "update":
            document = decode(request.body, body_is_yaml(content_type))
            options = write_options(query, "UpdateOptions")
            record = self.pipeline.read(kind, target.namespace, target.name)
            body = self.pipeline.update(kind, record, document, options, target.subresource)
            return Reply(200, body, options.warnings)
        if verb == "patch":
            is_apply = patch_type(content_type) == patch.APPLY
            return self._patch(kind, target, query, decode(request.body, is_apply), is_apply)
        wanted = delete_options(query, request.body)
        if verb == "deletecollection":
            options_ = list_options(query, kind)
            records = self._lists.select(kind, target.namespace, options_)
            return Reply(200, delete_collection(self.pipeline, kind, records, wanted, self.store.rv))
        record = self.pipeline.read(kind, target.namespace, target.name)
        wanted.check(kind, record)
        left = self.pipeline.delete(kind, record, wanted.dry_run)
        return Reply(200, left if left is not None else delete_status(kind, record))

    def _patch(
        self, kind: Kind, target: routes.Target, query: Mapping[str, str], document: Document, is_apply: bool
    ) -> Reply:
        options = write_options(query, "PatchOptions")
        apply_options(query, is_apply)
        if is_apply:
            options.warnings.append(patch.APPLY_WARNING)
        try:
            record = self.pipeline.read(kind, target.namespace, target.name)
        except ApiError:
            if not is_apply or target.subresource:
                raise
            body = self.pipeline.create(kind, target.namespace, document, options, target.name)
            return Reply(201, body, options.warnings)
        body = self.pipeline.patch(kind, record, document, options, target.subresource, is_apply)
        return Reply(200, body, options.warnings)


def _fits(kind: Kind, target: routes.Target) -> bool:
    if target.subresource and not (target.subresource == "status" and kind.has_status):
        return False
    if kind.namespaced:
        return bool(target.namespace) or not target.name
    return not target.namespace


def _verb(kind: Kind, method: str, target: routes.Target, query: Mapping[str, str]) -> str:
    if method == "GET":
        verb = "get" if target.name else ("watch" if truth(query, "watch") else "list")
    elif method == "DELETE":
        verb = "delete" if target.name else "deletecollection"
    else:
        verb = _VERBS.get(method, "")
    everywhere = kind.namespaced and not target.namespace and verb not in ("list", "watch")
    nameless = verb in ("update", "patch") and not target.name
    if verb not in kind.verbs or everywhere or nameless or (verb == "create" and target.name):
        raise method_not_allowed()
    if target.subresource and verb not in ("get", "update", "patch"):
        raise method_not_allowed()
    return verb


def _named(kind: Kind, target: routes.Target, verb: str) -> str:
    return target.name if verb not in ("create", "list", "watch") or kind.virtual else ""
