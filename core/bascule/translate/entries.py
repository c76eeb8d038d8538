"""One old rule as Calico rules, for one direction: who the policy is for, and what its entries match.

At the NIC that judges, one side of the rule is the NIC itself. Where that side is plain membership of groups it becomes
the policy's selector, so that a NIC carries only the rows that can concern it; else it stays a criterion of the rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bascule.policy import intervals
from bascule.translate import names
from bascule.translate.chosen import MAX_SELECTOR, NOBODY, Chooser, intersection, nets
from bascule.translate.model import (
    ALLOW,
    ANY_PORT,
    DROP,
    ICMP,
    ICMP_ANY,
    JUMP,
    OUT,
    REJECT,
    TCP,
    UDP,
    Peers,
    Rule,
    Service,
)

ACTIONS = {ALLOW: "Allow", DROP: "Deny", REJECT: "Deny", JUMP: "Pass"}
_PROTOCOLS = {TCP: "TCP", UDP: "UDP", ICMP: "ICMP", 132: "SCTP", 136: "UDPLite"}
_MAX_NETS, _MAX_PORTS = 256, 50
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Placed:
    """Entries of one rule for the policy that selects `selector`."""

    selector: str
    entries: tuple[Document, ...]


def place(rule: Rule, direction: str, chooser: Chooser, governed: str) -> Placed | None:
    """The rule's entries in one direction; None when it can concern no NIC, or match no packet."""
    local = rule.sources if direction == OUT else rule.destinations
    remote = rule.destinations if direction == OUT else rule.sources
    parts = [governed] if rule.scope is None else [governed, chooser.nics(rule.scope)]
    narrowed = _narrow(local, chooser)
    if narrowed is not None and len(intersection([*parts, narrowed])) <= MAX_SELECTOR:
        parts.append(narrowed)
        local = Peers(any=True)
    selector = intersection(parts)
    if selector == NOBODY:
        return None
    entries = []
    for mine in _sides(local, rule, chooser):
        for theirs in _sides(remote, rule, chooser):
            source, destination = (mine, theirs) if direction == OUT else (theirs, mine)
            entries += [_entry(rule, part, source, destination) for part in services(rule.services)]
    if rule.logged:
        entries = [{**entry, "action": action} for entry in entries for action in ("Log", entry["action"])]
    return Placed(selector, tuple(entries)) if entries else None


def _narrow(peers: Peers, chooser: Chooser) -> str | None:
    """The NICs of a side that is nothing but groups of NICs."""
    if peers.any or peers.excluded or peers.ranges or chooser.has_addresses(peers.groups):
        return None
    return chooser.nics(peers.groups)


def _sides(peers: Peers, rule: Rule, chooser: Chooser) -> list[Document]:
    """The address criteria of one side: entities of which any matches; [] when none can."""
    if peers.any:
        return [] if peers.excluded else [{}]
    prefixes = nets(peers.ranges)
    if not peers.groups and len(prefixes) <= _MAX_NETS:
        if not prefixes:
            return [{}] if peers.excluded else []
        return [{"notNets" if peers.excluded else "nets": prefixes}]
    own = chooser.ranges(names.digest(repr(peers.ranges)), f"rule {rule.name}", peers.ranges) if prefixes else NOBODY
    if peers.excluded:
        entity: Document = {}
        whole = chooser.peers(peers.groups)
        if whole != NOBODY:
            entity["notSelector"] = whole
        if prefixes and len(prefixes) <= _MAX_NETS:
            entity["notNets"] = prefixes
        elif prefixes:
            entity["notSelector"] = own if whole == NOBODY else f"{whole} || {own}"
        return [entity]
    texts = [*(chooser.alternatives(peers.groups) if peers.groups else []), own]
    return [{"selector": text} for text in dict.fromkeys(texts) if text != NOBODY]


def _entry(rule: Rule, part: Document, source: Document, destination: Document) -> Document:
    """One entry; `part` is from `services`."""
    noted = {names.ANNOTATION + "rule": rule.id, names.ANNOTATION + "position": rule.position}
    for key, value in (("name", rule.name), ("notes", rule.notes)):
        if value:
            noted[names.ANNOTATION + key] = value
    if rule.action == REJECT:
        noted[names.ANNOTATION + "was"] = REJECT
    entry: Document = {"action": ACTIONS[rule.action], "metadata": {"annotations": noted}}
    entry |= {key: part[key] for key in ("protocol", "icmp") if key in part}
    for name, side in (("source", source), ("destination", destination)):
        whole = {**side, **part.get(name, {})}
        if whole:
            entry[name] = whole
    return entry


def services(wanted: tuple[Service, ...]) -> Iterator[Document]:
    """Criteria of protocol and ports: ports of one protocol together, at most 50 in a list."""
    listed: dict[tuple[int, intervals.Range], list[intervals.Range]] = {}
    for service in sorted(set(wanted), key=_order):
        if service.protocol is None:
            yield {}
        elif service.protocol == ICMP:
            yield from _icmp(service)
        else:
            listed.setdefault((service.protocol, service.source), []).append(service.destination)
    for (protocol, source), destinations in listed.items():
        common: Document = {"protocol": _PROTOCOLS.get(protocol, protocol)}
        if source != ANY_PORT:
            common["source"] = next(_listed((source,)))
        joined = intervals.union(destinations)
        if joined == (ANY_PORT,):
            yield common
            continue
        yield from ({**common, "destination": ports} for ports in _listed(joined))


def _listed(joined: intervals.Ranges) -> Iterator[Document]:
    """Criteria that hold for these ports. Port 0 cannot be written, so what begins there is written by its opposite."""
    if joined[0][0] == 0:
        yield {"notPorts": [_port(each) for each in intervals.complement(joined, 65535)]}
        return
    for start in range(0, len(joined), _MAX_PORTS):
        yield {"ports": [_port(each) for each in joined[start : start + _MAX_PORTS]]}


def _icmp(service: Service) -> Iterator[Document]:
    types, codes = service.source, service.destination
    if types in (ANY_PORT, ICMP_ANY):
        yield {"protocol": "ICMP"}
        return
    for kind in range(types[0], types[1] + 1):
        if codes in (ANY_PORT, ICMP_ANY):
            yield {"protocol": "ICMP", "icmp": {"type": kind}}
            continue
        for code in range(codes[0], codes[1] + 1):
            yield {"protocol": "ICMP", "icmp": {"type": kind, "code": code}}


def _port(ports: intervals.Range) -> int | str:
    return ports[0] if ports[0] == ports[1] else f"{ports[0]}:{ports[1]}"


def _order(service: Service) -> tuple[int, intervals.Range, intervals.Range]:
    return (-1 if service.protocol is None else service.protocol), service.source, service.destination
