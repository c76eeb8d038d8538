"""Who may do what: RBAC rules of the stored roles and bindings, evaluated as kube-apiserver's RBAC authorizer does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bascule_lab.apiserver.authn import GROUPS, User
from bascule_lab.apiserver.body import Document
from bascule_lab.apiserver.builtin import RBAC
from bascule_lab.apiserver.selectors import matches_labels
from bascule_lab.apiserver.status import ApiError, forbidden
from bascule_lab.apiserver.store import Event, Store

Rule = dict[str, Any]
ROLES, CLUSTER_ROLES = f"roles.{RBAC}", f"clusterroles.{RBAC}"
BINDINGS, CLUSTER_BINDINGS = f"rolebindings.{RBAC}", f"clusterrolebindings.{RBAC}"


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


@dataclass(frozen=True)
class Grant:
    """Rules for some subjects; `namespace` "" is everywhere."""

    namespace: str
    subjects: tuple[tuple[str, str], ...]
    rules: tuple[Rule, ...]
    binding: str


class Authorizer:
    """Answers from the grants of a store, compiled again after a change of roles or bindings."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._grants: list[Grant] | None = None
        store.listeners.append(self._forget)

    def _forget(self, event: Event) -> None:
        if event.key[0] in (ROLES, CLUSTER_ROLES, BINDINGS, CLUSTER_BINDINGS):
            self._grants = None

    def allowed(self, user: User, access: Access) -> bool:
        return bool(self.reason(user, access))

    def reason(self, user: User, access: Access) -> str:
        """Why it is allowed; "" when it is not."""
        if GROUPS["admin"] in user.groups:
            return f"member of {GROUPS['admin']}"
        for grant in self.grants(user, access.namespace):
            if any(covers(rule, access) for rule in grant.rules):
                return f"RBAC: allowed by {grant.binding}"
        return ""

    def grants(self, user: User, namespace: str) -> Iterator[Grant]:
        """What applies to a user in a namespace ("" is the cluster's scope)."""
        if self._grants is None:
            self._grants = list(self._compile())
        have = {("User", user.name), *(("Group", group) for group in user.groups)}
        for grant in self._grants:
            if grant.namespace in ("", namespace) and not have.isdisjoint(grant.subjects):
                yield grant

    def _compile(self) -> Iterator[Grant]:
        for resource in (CLUSTER_BINDINGS, BINDINGS):
            for record in self._store.items(resource).values():
                binding, namespace = record.document(), record.key[1]
                of = binding.get("roleRef") or {}
                rules = self._rules(of.get("kind", ""), of.get("name", ""), namespace)
                subjects = tuple(_subjects(binding.get("subjects") or ()))
                name = f'{binding["kind"]} "{record.key[2]}"'
                yield Grant(namespace, subjects, tuple(rules), f"{name} of {of.get('kind')} {of.get('name')!r}")

    def _rules(self, kind: str, name: str, namespace: str) -> list[Rule]:
        key = (ROLES, namespace, name) if kind == "Role" else (CLUSTER_ROLES, "", name)
        record = self._store.get(key)
        if record is None:
            return []
        role = record.document()
        rules = list(role.get("rules") or ())
        for selector in (role.get("aggregationRule") or {}).get("clusterRoleSelectors") or ():
            for other in self._store.items(CLUSTER_ROLES).values():
                if other.key != key and matches_labels(selector, other.index.labels):
                    rules += other.document().get("rules") or ()
        return rules


def _subjects(subjects: Iterable[Document]) -> Iterator[tuple[str, str]]:
    for subject in subjects:
        if subject.get("kind") == "ServiceAccount":
            yield "User", f"system:serviceaccount:{subject.get('namespace', '')}:{subject.get('name', '')}"
        else:
            yield subject.get("kind", ""), subject.get("name", "")


def covers(rule: Rule, access: Access) -> bool:
    """One rule on one question, after k8s.io/component-helpers rbac/validation."""

    def has(word: str, value: str) -> bool:
        wanted = rule.get(word) or ()
        return "*" in wanted or value in wanted

    if not has("verbs", access.verb):
        return False
    if access.path:
        return any(_path_fits(url, access.path) for url in rule.get("nonResourceURLs") or ())
    if not has("apiGroups", access.group):
        return False
    resources, sub = rule.get("resources") or (), access.subresource
    full = f"{access.resource}/{sub}" if sub else access.resource
    if "*" not in resources and full not in resources and not (sub and f"*/{sub}" in resources):
        return False
    names = rule.get("resourceNames") or ()
    return not names or access.name in names


def _path_fits(url: str, path: str) -> bool:
    return url == "*" or url == path or (url.endswith("*") and path.startswith(url[:-1]))


def refusal(user: User, access: Access) -> ApiError:
    """403 in kube-apiserver's words."""
    if access.path:
        text = f'forbidden: User "{user.name}" cannot {access.verb} path "{access.path}"'
        return ApiError(403, "Forbidden", text)
    where = f'in the namespace "{access.namespace}"' if access.namespace else "at the cluster scope"
    resource = f"{access.resource}/{access.subresource}" if access.subresource else access.resource
    why = f'User "{user.name}" cannot {access.verb} resource "{resource}" in API group "{access.group}" {where}'
    return forbidden(access.group, access.resource, access.name, why)
