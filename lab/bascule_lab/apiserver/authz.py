"""Who may do what: the four fixed roles of docs/design/contracts.md section 3. RBAC rules are a later issue."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from bascule_lab.apiserver.authn import AGENTS, AUTHENTICATED, GROUPS, User
from bascule_lab.apiserver.builtin import CRDS
from bascule_lab.apiserver.status import ApiError, forbidden

_READ = ("get", "list", "watch")
_SECRETS = "secrets"
_TOKEN_REVIEWS = "tokenreviews.authentication.k8s.io"
_SUBJECT_REVIEWS = "subjectaccessreviews.authorization.k8s.io"
_SELF_REVIEWS = "selfsubjectaccessreviews.authorization.k8s.io"


@dataclass(frozen=True)
class Access:
    """One question: verb on a resource, or on a path when `path` is set."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def what(self) -> str:
        return f"{self.resource}.{self.group}" if self.group else self.resource


def allowed(user: User, access: Access) -> bool:
    """By group; a user named like a fixed role has that role also when a review names no groups."""
    groups = {*user.groups, GROUPS.get(user.name, "")}
    if access.path:
        return access.verb == "get" and (AUTHENTICATED in groups or bool(groups & set(GROUPS.values())))
    if GROUPS["admin"] in groups:
        return True
    if access.what == _SELF_REVIEWS:
        return access.verb == "create"
    if GROUPS["operator"] in groups:
        return _operator(access)
    if AGENTS in groups:
        return _agent(access)
    return GROUPS["viewer"] in groups and access.verb in _READ and access.what != _SECRETS


def _operator(access: Access) -> bool:
    if access.what == CRDS:
        return access.verb in _READ
    return access.what not in (_SECRETS, _TOKEN_REVIEWS)


def _agent(access: Access) -> bool:
    if access.verb in _READ:
        return access.what != _SECRETS
    writes: dict[str, Collection[str]] = {
        "nodes": ("patch", "update"),
        "events": ("create",),
        _TOKEN_REVIEWS: ("create",),
        _SUBJECT_REVIEWS: ("create",),
    }
    if access.what in ("leases.coordination.k8s.io", "agents.bascule.dev"):
        return True
    return access.subresource in ("", "status") and access.verb in writes.get(access.what, ())


def refusal(user: User, access: Access) -> ApiError:
    """403 in kube-apiserver's words."""
    if access.path:
        text = f'forbidden: User "{user.name}" cannot {access.verb} path "{access.path}"'
        return ApiError(403, "Forbidden", text)
    where = f'in the namespace "{access.namespace}"' if access.namespace else "at the cluster scope"
    resource = f"{access.resource}/{access.subresource}" if access.subresource else access.resource
    why = f'User "{user.name}" cannot {access.verb} resource "{resource}" in API group "{access.group}" {where}'
    return forbidden(access.group, access.resource, access.name, why)
