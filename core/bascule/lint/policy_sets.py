"""Rules on tiers and network sets."""

from __future__ import annotations

from collections.abc import Iterator

from bascule.lint.finding import Problem, show
from bascule.lint.policy import as_problem
from bascule.lint.registry import rule
from bascule.lint.world import SET, Document, World
from bascule.resources.policy_sets import FIXED_TIERS, TIER, NetworkSet, Tier
from bascule.resources.read import dig, items, mapping


@rule("tier-order", TIER)
def tier_order(document: Document, world: World) -> Iterator[Problem]:
    """An order that is not a finite number."""
    faults = Tier.of(mapping(document.raw)).faults
    return (as_problem(fault) for fault in faults if fault.id == "tier-order")


@rule("tier-default-action", TIER)
def tier_default_action(document: Document, world: World) -> Iterator[Problem]:
    """A defaultAction that is not Deny or Pass."""
    faults = Tier.of(mapping(document.raw)).faults
    return (as_problem(fault) for fault in faults if fault.id == "tier-default-action")


@rule("tier-fixed", TIER, "warning")
def tier_fixed(document: Document, world: World) -> Iterator[Problem]:
    """Another order or default action for default, kube-admin or kube-baseline, whose own are fixed."""
    if document.name not in FIXED_TIERS:
        return
    order, action = FIXED_TIERS[document.name]
    for name, fixed in (("order", order), ("defaultAction", action)):
        value = dig(document.raw, "spec", name)
        if value is not None and value != fixed:
            message = f"{document.name} has {name} {fixed}, whatever is written"
            yield Problem(f"spec.{name}", message, show(value), f"Remove it, or write {fixed}.")


@rule("set-net", SET)
def set_net(document: Document, world: World) -> Iterator[Problem]:
    """A net that is neither a CIDR nor an address."""
    faults = NetworkSet.of(mapping(document.raw)).faults
    return (as_problem(fault) for fault in faults if fault.id == "set-net")


@rule("set-domains", SET, "warning")
def set_domains(document: Document, world: World) -> Iterator[Problem]:
    """Domains in a network set: Bascule does not resolve names, only the nets count."""
    domains = dig(document.raw, "spec", "allowedEgressDomains")
    if items(domains):
        field = "spec.allowedEgressDomains"
        yield Problem(
            field, "names are not resolved: only nets count on an L2 NIC", show(domains), "Write the nets too."
        )
