"""The roles and bindings that the lab's users have from the start (docs/design/contracts.md section 3), as RBAC.

RBAC can only allow, so "everything but Secrets" is a list of what there is; the controller writes the roles again when
a CRD brings a new group.
"""

from __future__ import annotations

from typing import Any

from bascule_lab.apiserver.authn import AGENTS, AUTHENTICATED, GROUPS
from bascule_lab.apiserver.body import Document
from bascule_lab.apiserver.builtin import RBAC
from bascule_lab.apiserver.kinds import ALL_VERBS, Registry

Rule = dict[str, Any]
READ = ["get", "list", "watch"]
_OWN = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_AGENTS = "bascule.dev"
_GUARDED = (RBAC, "admissionregistration.k8s.io", "apiextensions.k8s.io")
"""Groups whose objects decide what others may do; operators read them."""


def rule(groups: list[str], resources: list[str], verbs: list[str]) -> Rule:
    return {"apiGroups": groups, "resources": resources, "verbs": verbs}


def seeds(registry: Registry) -> list[Document]:
    """Every seeded ClusterRole and ClusterRoleBinding for the kinds served now."""
    everything = [rule(["*"], ["*"], ["*"]), {"nonResourceURLs": ["*"], "verbs": ["*"]}]
    docs = ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/readyz", "/openapi", "/openapi/*", "/version"]
    selves = [
        rule(["authorization.k8s.io"], ["selfsubjectaccessreviews", "selfsubjectrulesreviews"], ["create"]),
        rule(["authentication.k8s.io"], ["selfsubjectreviews"], ["create"]),
    ]
    return [
        _role("cluster-admin", everything),
        _binding("cluster-admin", "cluster-admin", GROUPS["admin"], "admin"),
        _role("system:discovery", [{"nonResourceURLs": docs, "verbs": ["get"]}]),
        _binding("system:discovery", "system:discovery", AUTHENTICATED, *GROUPS),
        _role("system:basic-user", selves),
        _binding("system:basic-user", "system:basic-user", AUTHENTICATED, *GROUPS),
        _role("bascule:viewer", _reading(registry)),
        _binding("bascule:viewer", "bascule:viewer", GROUPS["viewer"], "viewer"),
        _role("bascule:operator", _operating(registry)),
        _binding("bascule:operator", "bascule:operator", GROUPS["operator"], "operator"),
        _role("bascule:agent", [*_reading(registry), *_serving()]),
        _binding("bascule:agent", "bascule:agent", AGENTS),
    ]


def _groups(registry: Registry, but: tuple[str, ...]) -> list[str]:
    named = {kind.group for kind in registry if kind.group and not kind.virtual and kind.group not in but}
    return sorted(named | {_AGENTS})


def _core(registry: Registry) -> list[str]:
    """Core resources and their subresources, without Secrets and without what mints tokens."""
    names = []
    for kind in registry:
        if not kind.group and kind.plural != "secrets":
            names += [kind.plural, *(f"{kind.plural}/{part}" for part in kind.subresources if part != "token")]
    return sorted(names)


def _reading(registry: Registry) -> list[Rule]:
    return [rule([""], _core(registry), READ), rule(_groups(registry, ()), ["*"], READ)]


def _operating(registry: Registry) -> list[Rule]:
    return [
        rule([""], _core(registry), list(ALL_VERBS)),
        rule(_groups(registry, _GUARDED), ["*"], ["*"]),
        rule(list(_GUARDED), ["*"], READ),
        rule(["authorization.k8s.io"], ["subjectaccessreviews"], ["create"]),
        rule(["upload.cdi.kubevirt.io"], ["uploadtokenrequests"], ["create"]),
    ]


def _serving() -> list[Rule]:
    return [
        rule([""], ["nodes", "nodes/status"], ["patch", "update"]),
        rule([""], ["events"], ["create"]),
        rule(["coordination.k8s.io"], ["leases"], ["*"]),
        rule([_AGENTS], ["*"], ["*"]),
        rule(["authentication.k8s.io"], ["tokenreviews"], ["create"]),
        rule(["authorization.k8s.io"], ["subjectaccessreviews"], ["create"]),
    ]


def _role(name: str, rules: list[Rule]) -> Document:
    return {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": _meta(name), "rules": rules}


def _binding(name: str, role: str, group: str, *users: str) -> Document:
    """For a group, and for users by name, so that a review that names no groups is answered alike."""
    subjects = [{"apiGroup": RBAC, "kind": "Group", "name": group}]
    subjects += [{"apiGroup": RBAC, "kind": "User", "name": user} for user in users]
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": _meta(name),
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": subjects,
    }


def _meta(name: str) -> Document:
    return {"name": name, "labels": dict(_OWN)}
