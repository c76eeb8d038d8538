"""Questions answered at once: TokenReview, SubjectAccessReview, SelfSubjectAccessReview."""

from __future__ import annotations

from typing import Any

from bascule_lab.apiserver.authn import Authenticator, User
from bascule_lab.apiserver.authz import Access, allowed
from bascule_lab.apiserver.body import Document
from bascule_lab.apiserver.kinds import Kind, Schema
from bascule_lab.apiserver.meta import identify
from bascule_lab.apiserver.schema import validate
from bascule_lab.apiserver.status import FieldError, invalid, invalid_value, required

_TEXT: Schema = {"type": "string"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_RESOURCE_NAMES = ("namespace", "verb", "group", "version", "resource", "subresource", "name")
_RESOURCE: Schema = {"type": "object", "properties": dict.fromkeys(_RESOURCE_NAMES, _TEXT)}
_PATH: Schema = {"type": "object", "properties": {"path": _TEXT, "verb": _TEXT}}
_ACCESS: Schema = {
    "type": "object",
    "properties": {
        "user": _TEXT,
        "groups": {**_TEXTS, "nullable": True},
        "resourceAttributes": {**_RESOURCE, "nullable": True},
        "nonResourceAttributes": {**_PATH, "nullable": True},
    },
}
_TOKEN: Schema = {"type": "object", "properties": {"token": _TEXT, "audiences": {**_TEXTS, "nullable": True}}}


def answer(kind: Kind, document: Document, asker: User, authenticator: Authenticator) -> Document:
    """The review with its status filled in."""
    identify(kind, document, "")
    spec = document.get("spec")
    if spec is None:
        spec = {}
    is_token = kind.kind == "TokenReview"
    errors = validate(_TOKEN if is_token else _ACCESS, spec, "spec")
    if not errors:
        errors = _token_missing(spec) if is_token else _access_missing(kind, spec)
    if errors:
        raise invalid(kind.group, kind.kind, "", errors)
    document["spec"] = spec
    document["status"] = _token(spec, authenticator) if is_token else _access(kind, spec, asker)
    return document


def _token_missing(spec: dict[str, Any]) -> list[FieldError]:
    return [] if spec.get("token") else [required("spec.token")]


def _access_missing(kind: Kind, spec: dict[str, Any]) -> list[FieldError]:
    errors = []
    if bool(spec.get("resourceAttributes")) == bool(spec.get("nonResourceAttributes")):
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        errors.append(invalid_value("spec.resourceAttributes", spec.get("resourceAttributes"), text))
    if kind.kind == "SubjectAccessReview" and not spec.get("user") and not spec.get("groups"):
        errors.append(required("spec.user", "at least one of user or group must be specified"))
    return errors


def _token(spec: dict[str, Any], authenticator: Authenticator) -> dict[str, Any]:
    user = authenticator.lookup(spec["token"])
    if user is None:
        return {"authenticated": False, "user": {}, "error": "invalid bearer token"}
    return {"authenticated": True, "user": {"username": user.name, "groups": list(user.groups)}}


def _access(kind: Kind, spec: dict[str, Any], asker: User) -> dict[str, Any]:
    user = asker
    if kind.kind == "SubjectAccessReview":
        user = User(spec.get("user", ""), tuple(spec.get("groups") or ()))
    asked = spec.get("resourceAttributes") or {}
    path = spec.get("nonResourceAttributes") or {}
    access = Access(
        verb=asked.get("verb") or path.get("verb", ""),
        group=asked.get("group", ""),
        resource=asked.get("resource", ""),
        subresource=asked.get("subresource", ""),
        namespace=asked.get("namespace", ""),
        name=asked.get("name", ""),
        path=path.get("path", ""),
    )
    return {"allowed": allowed(user, access), "reason": "the lab's fixed roles"}
