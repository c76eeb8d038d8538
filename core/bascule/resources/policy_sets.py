"""What policies refer to: tiers, network sets, and the Profile documents of a datastore that has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bascule.resources.meta import Meta
from bascule.resources.policy_read import Fault, Net, Reader
from bascule.resources.policy_rule import Rule, rules_of
from bascule.resources.read import mapping

TIER, NETWORK_SET, GLOBAL_SET, PROFILE = "Tier", "NetworkSet", "GlobalNetworkSet", "Profile"
PASS, DENY = "Pass", "Deny"
FIXED_TIERS: Mapping[str, tuple[float, str]] = {
    "kube-admin": (1000.0, PASS),
    "default": (1_000_000.0, DENY),
    "kube-baseline": (10_000_000.0, PASS),
}
"""Tiers that always exist, with an order and a default action that a document cannot change."""


@dataclass(frozen=True, slots=True)
class Tier:
    """`order` is infinity when not given; `default_action` is what an endpoint gets that a policy of this tier selects
    and none decides."""

    name: str
    order: float
    default_action: str
    faults: tuple[Fault, ...] = ()

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Tier:
        read, name = Reader(), Meta.of(document).name
        spec = read.mapping(mapping(document).get("spec"), "spec")
        order = read.order(spec.get("order"), "spec.order", "tier-order")
        action = spec.get("defaultAction", DENY)
        action = read.choice(action, "spec.defaultAction", (PASS, DENY), "tier-default-action") or DENY
        if name in FIXED_TIERS:
            order, action = FIXED_TIERS[name]
        return cls(name, order, action, tuple(read.faults))


@dataclass(frozen=True, slots=True)
class NetworkSet:
    """Nets under labels; `namespace` is "" for a GlobalNetworkSet; `domains` are not resolved by Bascule."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    nets: tuple[Net, ...]
    domains: tuple[Any, ...]
    faults: tuple[Fault, ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> NetworkSet:
        read, meta = Reader(), Meta.of(document)
        raw = mapping(document)
        spec = read.mapping(raw.get("spec"), "spec")
        nets = read.nets(spec.get("nets"), "spec.nets", "set-net", most=None)
        domains = read.items(spec.get("allowedEgressDomains"), "spec.allowedEgressDomains")
        namespace = (meta.namespace or "default") if raw.get("kind") == NETWORK_SET else ""
        return cls(namespace, meta.name, meta.labels, nets, domains, tuple(read.faults))


@dataclass(frozen=True, slots=True)
class Profile:
    """What an endpoint gets after the last tier; `kns.<namespace>` allows all on Kubernetes without a document."""

    name: str
    ingress: tuple[Rule, ...]
    egress: tuple[Rule, ...]
    faults: tuple[Fault, ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Profile:
        read = Reader()
        spec = read.mapping(mapping(document).get("spec"), "spec")
        ingress, egress = (
            rules_of(read, spec.get(word), f"spec.{word}", "", ("Allow", "Deny", "Log"))
            for word in ("ingress", "egress")
        )
        return cls(Meta.of(document).name, ingress, egress, tuple(read.faults))
