"""Rules on policies. Most are the faults for which a policy is refused as a whole (bascule.resources.policy_read), so
that what lint calls an error and what the data plane refuses is the same thing."""

from __future__ import annotations

from collections.abc import Iterator

from bascule.lint.finding import Problem, show
from bascule.lint.registry import rule
from bascule.lint.world import POLICY, Document, World
from bascule.resources.policy import EGRESS, INGRESS
from bascule.resources.policy_read import Fault
from bascule.resources.policy_rule import Entity, Rule


def _own(document: Document, identity: str) -> Iterator[Problem]:
    return (as_problem(fault) for fault in document.policy.faults if fault.id == identity)


def as_problem(fault: Fault) -> Problem:
    """A fault as lint shows it."""
    return Problem(fault.field, fault.message, show(fault.value), fault.fix)


def _referred(document: Document, world: World, identity: str) -> Iterator[Problem]:
    refused = world.refused_policies.get(document.policy.identity)
    return (as_problem(fault) for fault in (refused.faults if refused else ()) if fault.id == identity)


@rule("policy-selector", POLICY)
def selector(document: Document, world: World) -> Iterator[Problem]:
    """A selector that does not parse, is longer than 1024 characters, or has global() where it cannot stand."""
    return _own(document, "policy-selector")


@rule("policy-tier", POLICY)
def tier(document: Document, world: World) -> Iterator[Problem]:
    """A tier that does not exist."""
    return _referred(document, world, "policy-tier")


@rule("policy-set", POLICY)
def network_set(document: Document, world: World) -> Iterator[Problem]:
    """A rule that asks for a network set that cannot be used: it would match too little or too much."""
    return _referred(document, world, "policy-set")


@rule("policy-order", POLICY)
def order(document: Document, world: World) -> Iterator[Problem]:
    """An order that is not a finite number."""
    return _own(document, "policy-order")


@rule("policy-types", POLICY)
def types(document: Document, world: World) -> Iterator[Problem]:
    """A type (policyType) other than Ingress and Egress."""
    return _own(document, "policy-types")


@rule("policy-direction-dead", POLICY, "warning")
def direction_dead(document: Document, world: World) -> Iterator[Problem]:
    """Rules in a direction that types leaves out: they are never asked."""
    for direction in (INGRESS, EGRESS):
        rules = document.policy.rules(direction)
        if rules and direction not in document.policy.types:
            message = f"{len(rules)} rules are never asked, because types lacks {direction}"
            evidence = ", ".join(sorted(document.policy.types))
            yield Problem(f"spec.{direction.lower()}", message, evidence, f"Add {direction} to types, or remove them.")


@rule("policy-action", POLICY)
def action(document: Document, world: World) -> Iterator[Problem]:
    """A rule's action that is not Allow, Deny, Log or Pass."""
    return _own(document, "policy-action")


@rule("policy-staged", POLICY)
def staged(document: Document, world: World) -> Iterator[Problem]:
    """A stagedAction that is not Set, Delete, Learn or Ignore."""
    return _own(document, "policy-staged")


@rule("policy-protocol", POLICY)
def protocol(document: Document, world: World) -> Iterator[Problem]:
    """A protocol that is neither a known name nor 1 to 255, or an ipVersion other than 4 and 6."""
    return _own(document, "policy-protocol")


@rule("policy-port", POLICY)
def port(document: Document, world: World) -> Iterator[Problem]:
    """A port that is no number from 1 to 65535, no range and no name."""
    return _own(document, "policy-port")


@rule("policy-ports-protocol", POLICY)
def ports_protocol(document: Document, world: World) -> Iterator[Problem]:
    """Ports without protocol TCP, UDP or SCTP."""
    return _own(document, "policy-ports-protocol")


@rule("policy-icmp", POLICY)
def icmp(document: Document, world: World) -> Iterator[Problem]:
    """An ICMP type or code out of range, a code without a type, or either without protocol ICMP or ICMPv6."""
    return _own(document, "policy-icmp")


@rule("policy-net", POLICY)
def net(document: Document, world: World) -> Iterator[Problem]:
    """A net that is neither a CIDR nor an address."""
    return _own(document, "policy-net")


@rule("policy-families", POLICY)
def families(document: Document, world: World) -> Iterator[Problem]:
    """IPv4 and IPv6 in one rule: no packet can match it."""
    return _own(document, "policy-families")


@rule("policy-size", POLICY)
def size(document: Document, world: World) -> Iterator[Problem]:
    """More than 256 nets or 50 ports in one field, or more than 1024 rules in one direction."""
    return _own(document, "policy-size")


@rule("policy-unsupported", POLICY, "warning")
def unsupported(document: Document, world: World) -> Iterator[Problem]:
    """HTTP, services or domains: good for pods, but a NIC on a VLAN that the policy selects keeps its last program."""
    return _own(document, "policy-unsupported")


@rule("policy-rule-shadowed", POLICY, "warning")
def rule_shadowed(document: Document, world: World) -> Iterator[Problem]:
    """A rule behind one that matches everything: it is never asked."""
    if document.policy.faults:
        return
    for direction in (INGRESS, EGRESS):
        final: Rule | None = None
        for each in document.policy.rules(direction):
            if final is not None and each.field != final.field:
                message = f"never asked: {final.field} matches everything before it"
                yield Problem(each.field, message, f"{final.action} without any criterion", "Move it up, or remove it.")
                break
            if _matches_all(each) and each.action != "Log":
                final = each


def _matches_all(each: Rule) -> bool:
    criteria = (each.ip_version, each.protocol, each.not_protocol, each.icmp, each.not_icmp)
    return not any(value is not None for value in criteria) and each.source == each.destination == Entity()
