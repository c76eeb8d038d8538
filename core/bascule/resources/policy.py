"""Policies of every kind as one view: Calico's namespaced and global ones, their staged twins, and Kubernetes' own.

Unlike other views a policy knows its `faults`; with any, its rules must not be used (see policy_read). Reading never
raises. Source: reference/calico-l2.md 7.2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bascule.resources import policy_scope as scope
from bascule.resources.meta import Meta
from bascule.resources.policy_read import Fault, Reader
from bascule.resources.policy_rule import Rule, rules_of
from bascule.resources.read import dig, mapping, text
from bascule.selectors import Node
from bascule.selectors.ast import Everything

CALICO, KUBERNETES = "projectcalico.org", "networking.k8s.io"
NETWORK_POLICY, GLOBAL_POLICY = "NetworkPolicy", "GlobalNetworkPolicy"
STAGED_POLICY, STAGED_GLOBAL = "StagedNetworkPolicy", "StagedGlobalNetworkPolicy"
STAGED_KUBERNETES = "StagedKubernetesNetworkPolicy"
KUBERNETES_POLICY = "KubernetesNetworkPolicy"
"""Bascule's word for networking.k8s.io NetworkPolicy, whose own kind is taken."""
STAGES = {STAGED_POLICY: NETWORK_POLICY, STAGED_GLOBAL: GLOBAL_POLICY, STAGED_KUBERNETES: KUBERNETES_POLICY}
"""Which enforced kind a staged one stands for."""
NAMESPACED = (NETWORK_POLICY, STAGED_POLICY, STAGED_KUBERNETES, KUBERNETES_POLICY)
POLICY_KINDS = (NETWORK_POLICY, GLOBAL_POLICY, *STAGES, KUBERNETES_POLICY)
STAGED_ACTIONS = ("Set", "Delete", "Learn", "Ignore")
DEFAULT_TIER = "default"
INGRESS, EGRESS = "Ingress", "Egress"
Direction = Literal["Ingress", "Egress"]


@dataclass(frozen=True, slots=True)
class Policy:
    """`order` is infinity when not given; `selector` is on flat labels, None when it is broken; `staged` is "" for an
    enforced policy, else the stagedAction; `host_only` ones (doNotTrack, preDNAT) never apply to a workload."""

    kind: str
    namespace: str
    name: str
    tier: str
    order: float
    selector: Node | None
    types: frozenset[str]
    ingress: tuple[Rule, ...]
    egress: tuple[Rule, ...]
    staged: str
    host_only: bool
    faults: tuple[Fault, ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Policy:
        """A document of any kind of POLICY_KINDS (see `policy_kind`)."""
        from bascule.resources.policy_kubernetes import (
            kubernetes_policy,  # it makes Policies, so it imports this module
        )

        kind = policy_kind(document)
        if kind in (KUBERNETES_POLICY, STAGED_KUBERNETES):
            return kubernetes_policy(document, kind)
        return _calico(document, kind)

    @property
    def identity(self) -> tuple[str, str, str]:
        return self.kind, self.namespace, self.name

    @property
    def ref(self) -> str:
        """`Kind/namespace/name`, or `Kind/name` for a global one."""
        return "/".join(part for part in self.identity if part)

    @property
    def sort_key(self) -> tuple[float, str, str, str]:
        """By order, ties by name; then by kind and namespace, so that the sequence never depends on arrival."""
        return self.order, self.name, self.kind, self.namespace

    def rules(self, direction: str) -> tuple[Rule, ...]:
        return self.ingress if direction == INGRESS else self.egress


def policy_kind(document: Any) -> str:
    """The document's kind as one of POLICY_KINDS, "" for anything else."""
    kind, group = text(dig(document, "kind")), text(dig(document, "apiVersion")).partition("/")[0]
    if kind == NETWORK_POLICY and group == KUBERNETES:
        return KUBERNETES_POLICY
    known = kind in POLICY_KINDS and kind != KUBERNETES_POLICY and group in ("", CALICO, "crd.projectcalico.org")
    return kind if known else ""


def staged_action(read: Reader, spec: Mapping[str, Any], kind: str) -> str:
    """ "" for an enforced kind; the stagedAction, Set when not given, for a staged one."""
    if kind not in STAGES:
        return ""
    return (
        read.choice(spec.get("stagedAction", "Set"), "spec.stagedAction", STAGED_ACTIONS, "policy-staged") or "Ignore"
    )


def _calico(document: Mapping[str, Any], kind: str) -> Policy:
    read, meta = Reader(), Meta.of(document)
    spec = read.mapping(mapping(document).get("spec"), "spec")
    namespace = (meta.namespace or "default") if kind in NAMESPACED else ""
    ingress = rules_of(read, spec.get("ingress"), "spec.ingress", namespace)
    egress = rules_of(read, spec.get("egress"), "spec.egress", namespace)
    types = _types(read, spec.get("types"), bool(ingress), bool(egress))
    selector = _selector(read, spec, namespace)
    broken = any(fault.field in _SELECTORS for fault in read.faults)
    return Policy(
        kind=kind,
        namespace=namespace,
        name=meta.name,
        tier=read.text(spec.get("tier"), "spec.tier") or DEFAULT_TIER,
        order=read.order(spec.get("order"), "spec.order", "policy-order"),
        selector=None if broken else selector,
        types=types,
        ingress=ingress,
        egress=egress,
        staged=staged_action(read, spec, kind),
        host_only=_host_only(read, spec, namespace),
        faults=tuple(read.faults),
    )


_SELECTORS = ("spec", "spec.selector", "spec.serviceAccountSelector", "spec.namespaceSelector")


def _selector(read: Reader, spec: Mapping[str, Any], namespace: str) -> Node:
    own = read.selector(spec.get("selector"), "spec.selector")
    account = scope.of_account(read.selector(spec.get("serviceAccountSelector"), "spec.serviceAccountSelector"))
    if namespace:
        limit: Node | None = scope.in_namespace(namespace)
    else:
        limit = scope.of_namespace(read.selector(spec.get("namespaceSelector"), "spec.namespaceSelector"))
    return scope.conjunction(limit, account, own) or Everything()


def _types(read: Reader, value: Any, ingress: bool, egress: bool) -> frozenset[str]:
    """The given types; else Egress when there are only egress rules, both when both, Ingress otherwise."""
    given = read.items(value, "spec.types")
    for position, entry in enumerate(given):
        read.choice(entry, f"spec.types[{position}]", (INGRESS, EGRESS), "policy-types")
    if given:
        return frozenset(entry for entry in given if isinstance(entry, str))
    return frozenset(([INGRESS] if ingress or not egress else []) + ([EGRESS] if egress else []))


def _host_only(read: Reader, spec: Mapping[str, Any], namespace: str) -> bool:
    read.flag(spec.get("applyOnForward"), "spec.applyOnForward")
    flags = [read.flag(spec.get(name), f"spec.{name}") for name in ("doNotTrack", "preDNAT")]
    return not namespace and any(flags)


def order_text(order: float) -> str:
    """An order for people: `100`, `0.5`, or `-` for the last place of one that was not given."""
    return "-" if math.isinf(order) else f"{order:g}"
