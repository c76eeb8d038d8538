"""Questions answered at once: who is this, may they, what may I."""

from __future__ import annotations

from typing import Any

from bascule_lab.apiserver.authn import Authenticator, User
from bascule_lab.apiserver.authz import Access, Authorizer
from bascule_lab.apiserver.body import Document
from bascule_lab.apiserver.kinds import Kind, Schema
from bascule_lab.apiserver.meta import identify, now
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
        "namespace": _TEXT,
        "resourceAttributes": {**_RESOURCE, "nullable": True},
        "nonResourceAttributes": {**_PATH, "nullable": True},
    },
}
_TOKEN: Schema = {"type": "object", "properties": {"token": _TEXT, "audiences": {**_TEXTS, "nullable": True}}}
_RESOURCE_WORDS = ("verbs", "apiGroups", "resources", "resourceNames")


class Reviews:
    """Answers the virtual kinds."""

    def __init__(self, authenticator: Authenticator, authorizer: Authorizer) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer

    def answer(self, kind: Kind, document: Document, asker: User) -> Document:
        """The review with its status filled in."""
        own = identify(kind, document, "")
        spec = document.get("spec")
        if spec is None:
            spec = {}
        is_token = kind.kind == "TokenReview"
        errors = validate(_TOKEN if is_token else _ACCESS, spec, "spec")
        if not errors:
            errors = _missing(kind, spec)
        if errors:
            raise invalid(kind.group, kind.kind, "", errors)
        document["spec"] = spec
        if kind.kind == "SelfSubjectReview":
            own["creationTimestamp"] = now()
            document["status"] = {"userInfo": _user_info(asker)}
        elif kind.kind == "SelfSubjectRulesReview":
            document["status"] = self._rules(spec, asker)
        else:
            document["status"] = self._token(spec) if is_token else self._access(kind, spec, asker)
        return document

    def _token(self, spec: dict[str, Any]) -> dict[str, Any]:
        user = self._authenticator.lookup(spec["token"])
        if user is None:
            return {"authenticated": False, "user": {}, "error": "invalid bearer token"}
        return {"authenticated": True, "user": _user_info(user)}

    def _access(self, kind: Kind, spec: dict[str, Any], asker: User) -> dict[str, Any]:
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
        reason = self._authorizer.reason(user, access)
        return {"allowed": bool(reason), **({"reason": reason} if reason else {})}

    def _rules(self, spec: dict[str, Any], asker: User) -> dict[str, Any]:
        rules = [rule for grant in self._authorizer.grants(asker, spec["namespace"]) for rule in grant.rules]
        resource = [{word: rule[word] for word in _RESOURCE_WORDS if rule.get(word)} for rule in rules]
        paths = [rule for rule in rules if rule.get("nonResourceURLs")]
        return {
            "resourceRules": [rule for rule in resource if rule.get("resources")],
            "nonResourceRules": [{word: rule[word] for word in ("verbs", "nonResourceURLs")} for rule in paths],
            "incomplete": False,
        }


def _user_info(user: User) -> dict[str, Any]:
    uid = {"uid": user.uid} if user.uid else {}
    return {"username": user.name, **uid, "groups": list(user.groups)}


def _missing(kind: Kind, spec: dict[str, Any]) -> list[FieldError]:
    if kind.kind == "TokenReview":
        return [] if spec.get("token") else [required("spec.token")]
    if kind.kind == "SelfSubjectRulesReview":
        return [] if spec.get("namespace") else [required("spec.namespace", "no namespace on request")]
    errors: list[FieldError] = []
    if kind.kind == "SelfSubjectReview":
        return errors
    if bool(spec.get("resourceAttributes")) == bool(spec.get("nonResourceAttributes")):
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        errors.append(invalid_value("spec.resourceAttributes", spec.get("resourceAttributes"), text))
    if kind.kind == "SubjectAccessReview" and not spec.get("user") and not spec.get("groups"):
        errors.append(required("spec.user", "at least one of user or group must be specified"))
    return errors
