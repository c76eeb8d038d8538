"""Requests that write: verb and subresource to the right step of the pipeline, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bascule_lab.apiserver import patch, scale
from bascule_lab.apiserver.body import Document, decode, encode
from bascule_lab.apiserver.builtin import SCALE
from bascule_lab.apiserver.deletion import delete_collection, delete_options, delete_status
from bascule_lab.apiserver.kinds import Kind
from bascule_lab.apiserver.listing import Lists
from bascule_lab.apiserver.negotiate import body_is_yaml, patch_type
from bascule_lab.apiserver.options import WriteOptions, apply_options, list_options, write_options
from bascule_lab.apiserver.pipeline import Pipeline
from bascule_lab.apiserver.routes import Target
from bascule_lab.apiserver.status import ApiError, forbidden, not_offered, unsupported_media
from bascule_lab.apiserver.store import Record, Store
from bascule_lab.apiserver.tokens import AccountTokens

_KEPT_NAMESPACES = ("default", "kube-system")


@dataclass(frozen=True)
class Body:
    """What a writing request carries besides its URL."""

    data: bytes
    content_type: str
    agent: str = ""

    def document(self) -> Document:
        return decode(self.data, body_is_yaml(self.content_type))


@dataclass
class Written:
    """The answer of a write."""

    code: int
    body: bytes
    warnings: list[str] = field(default_factory=list)


class Writes:
    """Writes into one store."""

    def __init__(self, store: Store, pipeline: Pipeline, lists: Lists, tokens: AccountTokens) -> None:
        self._store = store
        self._pipeline = pipeline
        self._lists = lists
        self._tokens = tokens

    def answer(self, kind: Kind, target: Target, verb: str, query: Mapping[str, str], body: Body) -> Written:
        """`verb` is create, update, patch, delete or deletecollection."""
        if verb == "create":
            return self._create(kind, target, query, body)
        if verb == "deletecollection":
            wanted = delete_options(query, body.data)
            records = self._lists.select(kind, target.namespace, list_options(query, kind))
            return Written(200, delete_collection(self._pipeline, kind, records, wanted, self._store.rv))
        if verb == "patch" and patch_type(body.content_type, kind.custom) == patch.APPLY:
            return self._apply(kind, target, query, body)
        if verb == "delete":
            return self._delete(kind, target, query, body)
        options = write_options(query, "PatchOptions" if verb == "patch" else "UpdateOptions", body.agent)
        if verb == "patch":
            apply_options(query, is_apply=False)
        record = self._pipeline.read(kind, target.namespace, target.name)
        if target.subresource == "scale":
            return self._scale(kind, record, verb, options, body)
        if target.subresource == "finalize":
            return Written(200, self._pipeline.finalize(kind, record, body.document(), options))
        if verb == "update":
            return self._done(
                self._pipeline.update(kind, record, body.document(), options, target.subresource), options
            )
        change = patch.change_of(kind, patch_type(body.content_type, kind.custom), body.data)
        return self._done(self._pipeline.patch(kind, record, change, options, target.subresource), options)

    def _done(self, body: bytes, options: WriteOptions, code: int = 200) -> Written:
        return Written(code, body, options.warnings)

    def _create(self, kind: Kind, target: Target, query: Mapping[str, str], body: Body) -> Written:
        document = body.document()
        options = write_options(query, "CreateOptions", body.agent)
        if target.subresource == "token":
            record = self._pipeline.read(kind, target.namespace, target.name)
            return Written(201, encode(self._tokens.request(record, document)))
        return self._done(self._pipeline.create(kind, target.namespace, document, options), options, 201)

    def _apply(self, kind: Kind, target: Target, query: Mapping[str, str], body: Body) -> Written:
        options = write_options(query, "PatchOptions", body.agent)
        options.force = apply_options(query, is_apply=True)
        config = decode(body.data, yaml_too=True)
        if target.subresource not in ("", "status"):
            raise not_offered(f"apply to {kind.plural}/{target.subresource}")
        try:
            record = self._pipeline.read(kind, target.namespace, target.name)
        except ApiError:
            if target.subresource:
                raise
            return self._done(
                self._pipeline.apply_new(kind, target.namespace, config, options, target.name), options, 201
            )
        return self._done(self._pipeline.apply(kind, record, config, options, target.subresource), options)

    def _delete(self, kind: Kind, target: Target, query: Mapping[str, str], body: Body) -> Written:
        wanted = delete_options(query, body.data)
        record = self._pipeline.read(kind, target.namespace, target.name)
        wanted.check(kind, record)
        if kind.resource == "namespaces" and record.key[2] in _KEPT_NAMESPACES:
            raise forbidden("", "namespaces", record.key[2], "this namespace may not be deleted")
        left = self._pipeline.delete(kind, record, wanted.dry_run, wanted.policy)
        return Written(200, left if left is not None else delete_status(kind, record))

    def _scale(self, kind: Kind, record: Record, verb: str, options: WriteOptions, body: Body) -> Written:
        if verb == "update":
            wanted = body.document()
        else:
            media = patch_type(body.content_type, kind.custom)
            if media == patch.STRATEGIC:
                raise unsupported_media((patch.JSON_PATCH, patch.MERGE))
            wanted = patch.change_of(SCALE, media, body.data)(scale.read(kind, record))
        document = scale.written(kind, record, wanted)
        stored = self._pipeline.update(kind, record, document, options, "scale")
        return Written(200, encode(scale.encoded(kind, record, stored)), options.warnings)
