"""Kubernetes' NetworkPolicy as Calico sees it: order 1000 in tier default, named `knp.default.<name>`, Allow rules.

Each peer with each protocol is a rule of its own. Selectors are built as expressions, never as text, so a label value
with a quote in it cannot become another selector. Source: projectcalico/calico libcalico-go/lib/backend/k8s/conversion
(K8sNetworkPolicyToCalico).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bascule.resources import policy_scope as scope
from bascule.resources.meta import Meta
from bascule.resources.policy import DEFAULT_TIER, EGRESS, INGRESS, Policy, staged_action
from bascule.resources.policy_read import Net, Ports, Reader, as_net, as_port
from bascule.resources.policy_rule import Entity, Rule
from bascule.resources.read import mapping
from bascule.selectors import Node
from bascule.selectors.ast import Compare, Everything, Has, Member, Not

NAME_PREFIX, ORDER = "knp.default.", 1000.0
_PODS = Compare(scope.ORCHESTRATOR, "==", "k8s")
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")


def kubernetes_policy(document: Mapping[str, Any], kind: str) -> Policy:
    """A networking.k8s.io NetworkPolicy, or its staged twin, as a Policy."""
    read, meta = Reader(), Meta.of(document)
    spec = read.mapping(mapping(document).get("spec"), "spec")
    namespace = meta.namespace or "default"
    ingress = tuple(_rules(read, spec.get("ingress"), "spec.ingress", "from", namespace))
    egress = tuple(_rules(read, spec.get("egress"), "spec.egress", "to", namespace))
    types = _types(read, spec)
    before = len(read.faults)
    pods = _labels(read, spec.get("podSelector"), "spec.podSelector")
    broken = len(read.faults) > before or any(fault.field == "spec" for fault in read.faults)
    return Policy(
        kind=kind,
        namespace=namespace,
        name=NAME_PREFIX + meta.name,
        tier=DEFAULT_TIER,
        order=ORDER,
        selector=None if broken else scope.conjunction(scope.in_namespace(namespace), _PODS, pods),
        types=types,
        ingress=ingress,
        egress=egress,
        staged=staged_action(read, spec, kind),
        host_only=False,
        faults=tuple(read.faults),
    )


def _types(read: Reader, spec: Mapping[str, Any]) -> frozenset[str]:
    """policyTypes; without them Ingress, and Egress when there are egress rules (the API server's default)."""
    given = read.items(spec.get("policyTypes"), "spec.policyTypes")
    for position, entry in enumerate(given):
        read.choice(entry, f"spec.policyTypes[{position}]", (INGRESS, EGRESS), "policy-types")
    if given:
        return frozenset(entry for entry in given if isinstance(entry, str))
    return frozenset((INGRESS, EGRESS) if spec.get("egress") else (INGRESS,))


def _rules(read: Reader, value: Any, field: str, word: str, namespace: str) -> Iterator[Rule]:
    for position, entry in enumerate(read.items(value, field)):
        where = f"{field}[{position}]"
        raw = read.mapping(entry, where)
        services = _services(read, raw.get("ports"), f"{where}.ports")
        peers = [
            _peer(read, read.mapping(peer, f"{where}.{word}[{at}]"), f"{where}.{word}[{at}]", namespace)
            for at, peer in enumerate(read.items(raw.get(word), f"{where}.{word}"))
        ] or [Entity()]
        for protocol, ports in services:
            for peer in peers:
                if word == "from":
                    yield Rule("Allow", where, protocol=protocol, source=peer, destination=Entity(ports=ports))
                else:
                    peer = Entity(peer.nets, peer.not_nets, peer.selector, ports=ports)
                    yield Rule("Allow", where, protocol=protocol, destination=peer)


def _services(read: Reader, value: Any, field: str) -> list[tuple[int | None, Ports | None]]:
    """(protocol, ports) for each protocol named; one (None, None), which is anything, when no port is."""
    found: dict[int | None, list[tuple[int, int] | str] | None] = {}
    entries = read.items(value, field)
    for position, entry in enumerate(entries):
        where = f"{field}[{position}]"
        raw = read.mapping(entry, where)
        protocol = read.protocol(raw.get("protocol", "TCP"), f"{where}.protocol")
        if raw.get("port") is None:
            found[protocol] = None
            continue
        port = _port(read, raw, where)
        known = found.setdefault(protocol, [])
        if port is not None and known is not None:
            known.append(port)
    if not entries:
        return [(None, None)]
    return [(protocol, None if ports is None else _ports(ports)) for protocol, ports in found.items()]


def _port(read: Reader, raw: Mapping[str, Any], field: str) -> tuple[int, int] | str | None:
    port, end = as_port(raw["port"]), raw.get("endPort")
    if end is not None:
        last = as_port(end) if isinstance(end, int) else None
        port = (port[0], last[1]) if isinstance(port, tuple) and isinstance(last, tuple) and last >= port else None
    if port is None:
        fix = "Write a port from 1 to 65535 or a port's name; endPort is a number not below port."
        read.bad("policy-port", f"{field}.port", "not a port", raw["port"] if end is None else [raw["port"], end], fix)
    return port


def _ports(entries: list[tuple[int, int] | str]) -> Ports:
    ranges = tuple(entry for entry in entries if isinstance(entry, tuple))
    return Ports(ranges, tuple(entry for entry in entries if isinstance(entry, str)))


def _peer(read: Reader, raw: Mapping[str, Any], field: str, namespace: str) -> Entity:
    if raw.get("ipBlock") is not None:
        block = read.mapping(raw["ipBlock"], f"{field}.ipBlock")
        excepted = read.items(block.get("except"), f"{field}.ipBlock.except")
        return Entity(
            nets=_block(read, block.get("cidr"), f"{field}.ipBlock.cidr"),
            not_nets=tuple(
                net for at, cidr in enumerate(excepted) for net in _block(read, cidr, f"{field}.ipBlock.except[{at}]")
            ),
        )
    if raw.get("podSelector") is None and raw.get("namespaceSelector") is None:
        fix = "Set podSelector, namespaceSelector or ipBlock."
        read.bad("policy-selector", field, "a peer that says nothing", dict(raw), fix)
    pods = scope.conjunction(_PODS, _labels(read, raw.get("podSelector"), f"{field}.podSelector"))
    if raw.get("namespaceSelector") is None:
        return Entity(selector=scope.conjunction(scope.in_namespace(namespace), pods))
    spaces = _labels(read, raw["namespaceSelector"], f"{field}.namespaceSelector") or Everything()
    return Entity(selector=scope.conjunction(scope.of_namespace(spaces), pods))


def _block(read: Reader, value: Any, field: str) -> tuple[Net, ...]:
    net = as_net(value) if isinstance(value, str) and "/" in value else None
    if net is None:
        read.bad("policy-net", field, "not a CIDR", value, "Write it as 10.110.0.0/24.")
        return ()
    return (net,)


def _labels(read: Reader, value: Any, field: str) -> Node | None:
    """A Kubernetes label selector; None when it asks for nothing."""
    raw = read.mapping(value, field)
    exact = read.mapping(raw.get("matchLabels"), f"{field}.matchLabels")
    parts: list[Node] = [
        Compare(str(key), "==", read.text(exact[key], f"{field}.matchLabels.{key}")) for key in sorted(exact, key=str)
    ]
    for position, entry in enumerate(read.items(raw.get("matchExpressions"), f"{field}.matchExpressions")):
        where = f"{field}.matchExpressions[{position}]"
        parts.append(_expression(read, read.mapping(entry, where), where))
    return scope.conjunction(*parts)


def _expression(read: Reader, raw: Mapping[str, Any], field: str) -> Node:
    key = read.text(raw.get("key"), f"{field}.key")
    operator = read.choice(raw.get("operator"), f"{field}.operator", _OPERATORS, "policy-selector")
    if not key:
        read.bad("policy-selector", f"{field}.key", "no label is named", raw.get("key"), "Set key.")
    given = read.items(raw.get("values"), f"{field}.values")
    values = tuple(sorted({read.text(value, f"{field}.values[{at}]") for at, value in enumerate(given)}))
    if bool(values) != (operator in ("In", "NotIn")):
        fix = "Give values with In and NotIn, none with Exists and DoesNotExist."
        read.bad(
            "policy-selector", f"{field}.values", f"{operator or 'the operator'} with {len(values)} values", given, fix
        )
    if operator in ("In", "NotIn"):
        return Member(key, values, operator == "NotIn")
    return Has(key) if operator == "Exists" else Not(Has(key))
