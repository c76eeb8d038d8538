"""One request to one answer, without sockets: authentication, authorisation, then documents, reads, writes, reviews.

Watches are the exception: `answer` returns what to stream, the server streams it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field

from bascule_lab.apiserver import crds, discovery, routes, scale
from bascule_lab.apiserver.authn import Authenticator, User
from bascule_lab.apiserver.authz import Access, Authorizer, refusal
from bascule_lab.apiserver.body import decode, encode
from bascule_lab.apiserver.builtin import BUILTIN, CRDS
from bascule_lab.apiserver.documents import Documents
from bascule_lab.apiserver.gc import Collector
from bascule_lab.apiserver.impersonation import acting_user
from bascule_lab.apiserver.kinds import Kind, Registry
from bascule_lab.apiserver.listing import Lists
from bascule_lab.apiserver.negotiate import Form, body_is_yaml, wanted_form
from bascule_lab.apiserver.options import list_options, truth
from bascule_lab.apiserver.pipeline import Pipeline
from bascule_lab.apiserver.reviews import Reviews
from bascule_lab.apiserver.status import method_not_allowed, no_such_path, not_offered
from bascule_lab.apiserver.store import Event, Store
from bascule_lab.apiserver.table.render import renderer
from bascule_lab.apiserver.tokens import AccountTokens
from bascule_lab.apiserver.uploadtokens import UPLOAD_TOKEN_REQUEST, UploadTokens
from bascule_lab.apiserver.watch import Hub
from bascule_lab.apiserver.writes import Body, Writes

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}
_PARTS: dict[str, tuple[str, ...]] = {
    "status": ("get", "update", "patch"),
    "scale": ("get", "update", "patch"),
    "token": ("create",),
    "finalize": ("update",),
}
_STREAMS = ("exec", "attach", "portforward", "proxy")
_NOT_OFFERED: dict[str, tuple[str, ...]] = {
    "pods": (*_STREAMS, "log", "eviction", "binding", "ephemeralcontainers", "resize"),
    "services": ("proxy",),
    "nodes": ("proxy",),
}


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

    def __init__(self, store: Store, authenticator: Authenticator, account_key: bytes) -> None:
        self.store = store
        self.registry = Registry((*BUILTIN, UPLOAD_TOKEN_REQUEST))
        for record in store.items(CRDS).values():
            self.registry.add(crds.kind_of(record.document()))
        self.pipeline = Pipeline(store)
        self.hub = Hub(store)
        self.collector = Collector(store, self.registry, self.pipeline)
        self._lists = Lists(store)
        self._documents = Documents(self.registry)
        self._authenticator = authenticator
        self.authorizer = Authorizer(store)
        self._reviews = Reviews(authenticator, self.authorizer)
        tokens = AccountTokens(store, account_key)
        authenticator.accounts = tokens.user
        self._uploads = UploadTokens(account_key)
        self._writes = Writes(store, self.pipeline, self._lists, tokens)
        store.listeners.append(self._follow_crds)

    def _follow_crds(self, event: Event) -> None:
        if event.key[0] != CRDS:
            return
        self._documents.forget()
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
        user = acting_user(self.authorizer, user, request.headers)
        target = routes.parse_path(path)
        if target is None or not target.resource:
            return self._discover(request, user, path, target)
        kind = self.registry.find(target.group, target.version, target.resource)
        if kind is not None and target.subresource in _NOT_OFFERED.get(kind.resource, ()):
            raise not_offered(f"{kind.plural}/{target.subresource}")
        if kind is None or not _fits(kind, target):
            raise no_such_path()
        verb = _verb(kind, request.method, target, query)
        name = target.name if verb not in ("create", "list", "watch") or target.subresource else ""
        access = Access(verb, kind.group, kind.plural, target.subresource, target.namespace, name)
        if not self.authorizer.allowed(user, access):
            raise refusal(user, access)
        form = wanted_form(request.headers.get("Accept", ""))
        content_type = request.headers.get("Content-Type", "")
        if kind.virtual:
            review = decode(request.body, body_is_yaml(content_type))
            if kind is UPLOAD_TOKEN_REQUEST:
                return Reply(200, encode(self._uploads.request(review, target.namespace)))
            return Reply(201, encode(self._reviews.answer(kind, review, user)))
        if verb in ("get", "list", "watch"):
            return self._read(kind, target, verb, query, form)
        body = Body(request.body, content_type, request.headers.get("User-Agent", ""))
        written = self._writes.answer(kind, target, verb, query, body)
        return Reply(written.code, written.body, written.warnings)

    def _discover(self, request: Request, user: User, path: str, target: routes.Target | None) -> Reply:
        access = Access(request.method.lower(), path=path)
        if not self.authorizer.allowed(user, access):
            raise refusal(user, access)
        if request.method != "GET":
            raise method_not_allowed()
        found = self._documents.find(path, target, request.headers.get("Accept", ""))
        if found is None:
            raise no_such_path()
        return Reply(200, found[0], content_type=found[1])

    def _read(self, kind: Kind, target: routes.Target, verb: str, query: Mapping[str, str], form: Form) -> Reply:
        shown = renderer(kind, form, query.get("includeObject", ""))
        if verb == "get":
            record = self.pipeline.read(kind, target.namespace, target.name)
            if target.subresource == "scale":
                return Reply(200, encode(scale.read(kind, record)))
            return Reply(200, record.body if shown is None else shown.one(record.body))
        options = list_options(query, kind)
        if verb == "watch":
            return Reply(200, stream=self.hub.stream(kind, target.namespace, options, self._lists, shown))
        return Reply(200, self._lists.answer(kind, target.namespace, options, shown))


def _fits(kind: Kind, target: routes.Target) -> bool:
    if target.subresource and target.subresource not in kind.subresources:
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
    named = verb == "create" and target.name and not target.subresource
    if verb not in kind.verbs or everywhere or nameless or named:
        raise method_not_allowed()
    if target.subresource and verb not in _PARTS[target.subresource]:
        raise method_not_allowed()
    return verb
