"""One rule of a Calico policy (reference/calico-l2.md 7.2), read into numbers and flat selectors.

Source: projectcalico/calico api/pkg/apis/projectcalico/v3/policy_common.go, and its validator for what goes together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bascule.resources import policy_scope as scope
from bascule.resources.policy_read import ICMP, MAX_RULES, WITH_PORTS, Net, Ports, Reader
from bascule.resources.read import items
from bascule.selectors import Node

ACTIONS = ("Allow", "Deny", "Log", "Pass")
_UNSUPPORTED_ENTITY = ("services", "domains")


@dataclass(frozen=True, slots=True)
class Icmp:
    """`code` is None for any code of the type."""

    type: int
    code: int | None


@dataclass(frozen=True, slots=True)
class Entity:
    """One side of a rule. None and () are criteria that are not set; all that are set must hold.

    `selector` is on flat labels (policy_scope), with namespaceSelector, serviceAccounts and the policy's namespace in.
    """

    nets: tuple[Net, ...] = ()
    not_nets: tuple[Net, ...] = ()
    selector: Node | None = None
    not_selector: Node | None = None
    ports: Ports | None = None
    not_ports: Ports | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """`field` is where it stands in its document, such as spec.ingress[0]."""

    action: str
    field: str
    ip_version: int | None = None
    protocol: int | None = None
    not_protocol: int | None = None
    icmp: Icmp | None = None
    not_icmp: Icmp | None = None
    source: Entity = Entity()
    destination: Entity = Entity()


def rules_of(
    read: Reader, value: Any, field: str, namespace: str, actions: tuple[str, ...] = ACTIONS
) -> tuple[Rule, ...]:
    """The rules of one direction; `namespace` is the policy's, "" for a global one."""
    entries = read.items(value, field, MAX_RULES, "rules")
    return tuple(
        _rule(read, read.mapping(entry, f"{field}[{position}]"), f"{field}[{position}]", namespace, actions)
        for position, entry in enumerate(entries)
    )


def _rule(read: Reader, raw: Mapping[str, Any], field: str, namespace: str, actions: tuple[str, ...]) -> Rule:
    protocol = read.protocol(raw.get("protocol"), f"{field}.protocol")
    rule = Rule(
        action=read.choice(raw.get("action"), f"{field}.action", actions, "policy-action"),
        field=field,
        ip_version=_ip_version(read, raw.get("ipVersion"), f"{field}.ipVersion"),
        protocol=protocol,
        not_protocol=read.protocol(raw.get("notProtocol"), f"{field}.notProtocol"),
        icmp=_icmp(read, raw.get("icmp"), f"{field}.icmp", protocol),
        not_icmp=_icmp(read, raw.get("notICMP"), f"{field}.notICMP", protocol),
        source=_entity(read, raw.get("source"), f"{field}.source", namespace, protocol),
        destination=_entity(read, raw.get("destination"), f"{field}.destination", namespace, protocol),
    )
    if raw.get("http") is not None:
        _unsupported(read, f"{field}.http", "HTTP rules need a proxy, which an L2 NIC does not have", raw["http"])
    _one_family(read, rule)
    return rule


def _entity(read: Reader, value: Any, field: str, namespace: str, protocol: int | None) -> Entity:
    raw = read.mapping(value, field)
    entity = Entity(
        nets=read.nets(raw.get("nets"), f"{field}.nets"),
        not_nets=read.nets(raw.get("notNets"), f"{field}.notNets"),
        selector=_selector(read, raw, field, namespace),
        not_selector=read.selector(raw.get("notSelector"), f"{field}.notSelector"),
        ports=read.ports(raw.get("ports"), f"{field}.ports"),
        not_ports=read.ports(raw.get("notPorts"), f"{field}.notPorts"),
    )
    for name in ("ports", "notPorts"):
        if items(raw.get(name)) and protocol not in WITH_PORTS:
            message = "ports need a protocol that has them"
            read.bad("policy-ports-protocol", f"{field}.{name}", message, raw[name], "Set protocol: TCP, UDP or SCTP.")
    for name in _UNSUPPORTED_ENTITY:
        if raw.get(name) not in (None, []):
            _unsupported(read, f"{field}.{name}", f"{name} cannot be resolved for a NIC on a VLAN", raw[name])
    return entity


def _selector(read: Reader, raw: Mapping[str, Any], field: str, namespace: str) -> Node | None:
    """The positive selector. A namespaced policy's is limited to its namespace as soon as any selector is used, also
    notSelector (as in Calico's GetEntityRuleSelector)."""
    own = read.selector(raw.get("selector"), f"{field}.selector")
    spaces = read.selector(raw.get("namespaceSelector"), f"{field}.namespaceSelector", may_be_global=True)
    accounts = read.mapping(raw.get("serviceAccounts"), f"{field}.serviceAccounts")
    names = read.items(accounts.get("names"), f"{field}.serviceAccounts.names")
    texts = tuple(read.text(name, f"{field}.serviceAccounts.names[{at}]") for at, name in enumerate(names))
    account = scope.of_account(read.selector(accounts.get("selector"), f"{field}.serviceAccounts.selector"))
    who = scope.conjunction(account, scope.account_in(texts), own)
    if spaces is not None:
        return scope.conjunction(scope.of_namespace(spaces), who)
    if namespace and (who is not None or raw.get("notSelector")):
        return scope.conjunction(scope.in_namespace(namespace), who)
    return who


def _ip_version(read: Reader, value: Any, field: str) -> int | None:
    if value is None or (value in (4, 6) and isinstance(value, int)):
        return value
    read.bad("policy-protocol", field, "not an IP version", value, "Write 4 or 6.")
    return None


def _icmp(read: Reader, value: Any, field: str, protocol: int | None) -> Icmp | None:
    raw = read.mapping(value, field)
    if value is not None and protocol not in ICMP:
        fix = "Set protocol: ICMP, or remove it."
        read.bad("policy-icmp", field, "an ICMP type needs protocol ICMP or ICMPv6", value, fix)
    kind, code = raw.get("type"), raw.get("code")
    if kind is None and code is not None:
        read.bad("policy-icmp", f"{field}.code", "a code needs a type", code, "Set type too.")
    for name, number, most in (("type", kind, 254), ("code", code, 255)):
        if number is not None and not (type(number) is int and 0 <= number <= most):
            read.bad("policy-icmp", f"{field}.{name}", f"not 0 to {most}", number, f"Write a number from 0 to {most}.")
            return None
    return None if kind is None else Icmp(kind, code)


def _one_family(read: Reader, rule: Rule) -> None:
    nets = [net for side in (rule.source, rule.destination) for net in (*side.nets, *side.not_nets)]
    families = {net.version for net in nets} | ({rule.ip_version} if rule.ip_version else set())
    if len(families) > 1:
        message = "IPv4 and IPv6 in one rule: it can match no packet"
        read.bad("policy-families", rule.field, message, f"{len(nets)} nets", "Write one rule for each family.")


def _unsupported(read: Reader, field: str, message: str, value: Any) -> None:
    read.bad("policy-unsupported", field, message, value, "Name the peers by selector or nets, and the ports.")
