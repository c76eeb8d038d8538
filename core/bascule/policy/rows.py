"""One rule as row templates: protocol, port ranges, and the criteria of its two sides, still without set ids.

Ports of a rule become alternatives, each a row: a list of ports gives several, notPorts cuts holes, and a named port
gives one for each number that endpoints give that name, for their addresses only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bascule.policy import intervals
from bascule.policy.addresses import AddressBook, Named, Side
from bascule.policy.intervals import Range
from bascule.policy.layout import NOT_PROTO
from bascule.resources.policy_read import Ports
from bascule.resources.policy_rule import Entity, Icmp, Rule

ANY_PORT: Range = (0, 65535)
_ICMP_TYPES = _ICMP_CODES = (0, 255)


@dataclass(frozen=True, slots=True)
class Template:
    """A row without ids; `source` and `destination` are the sides' address criteria."""

    action: str
    proto: int
    flags: int
    source: Side
    destination: Side
    source_ports: Range
    destination_ports: Range


@dataclass(frozen=True, slots=True)
class _Alternative:
    ports: Range
    named: frozenset[Named] = frozenset()
    not_named: frozenset[Named] = frozenset()


def names_of(rule: Rule) -> set[tuple[str, int]]:
    """(name, protocol) of every named port in a rule."""
    sides = (rule.source, rule.destination)
    ports = [ports for side in sides for ports in (side.ports, side.not_ports) if ports is not None]
    return {(name, rule.protocol or 0) for each in ports for name in each.names}


def templates(rule: Rule, book: AddressBook) -> Iterator[Template]:
    """The rows of a rule; none for one that can match no IPv4 packet."""
    if rule.ip_version == 6 or (rule.protocol is not None and rule.protocol == rule.not_protocol):
        return
    if any(side.nets and not any(net.version == 4 for net in side.nets) for side in (rule.source, rule.destination)):
        return
    proto, flags = rule.protocol or rule.not_protocol or 0, 0
    if rule.protocol is None and rule.not_protocol is not None:
        flags = NOT_PROTO
    if rule.icmp is not None or rule.not_icmp is not None:
        for types, codes in _icmp(rule.icmp, rule.not_icmp):
            sides = _side(rule.source), _side(rule.destination)
            yield Template(rule.action, proto, flags, *sides, types, codes)
        return
    for source in _alternatives(rule.source, proto, book):
        for destination in _alternatives(rule.destination, proto, book):
            yield Template(
                rule.action,
                proto,
                flags,
                _side(rule.source, source),
                _side(rule.destination, destination),
                source.ports,
                destination.ports,
            )


def _side(entity: Entity, alternative: _Alternative | None = None) -> Side:
    named = alternative.named if alternative else frozenset()
    not_named = alternative.not_named if alternative else frozenset()
    return Side(entity.nets, entity.not_nets, entity.selector, entity.not_selector, named, not_named)


def _alternatives(entity: Entity, protocol: int, book: AddressBook) -> list[_Alternative]:
    found = [_Alternative(ANY_PORT)] if entity.ports is None else _wanted(entity.ports, protocol, book)
    if entity.not_ports is None:
        return found
    allowed = intervals.complement(intervals.union(entity.not_ports.ranges), 65535)
    cut = [
        _Alternative(ports, each.named, each.not_named)
        for each in found
        for ports in intervals.intersection((each.ports,), allowed)
    ]
    for name in entity.not_ports.names:
        for number in book.ports_called(name, protocol):
            cut = [piece for each in cut for piece in _without(each, (name, protocol, number))]
    return cut


def _wanted(ports: Ports, protocol: int, book: AddressBook) -> list[_Alternative]:
    found = [_Alternative(each) for each in intervals.union(ports.ranges)]
    for name in ports.names:
        for number in book.ports_called(name, protocol):
            found.append(_Alternative((number, number), frozenset(((name, protocol, number),))))
    return found


def _without(each: _Alternative, named: Named) -> Iterator[_Alternative]:
    """An alternative less one named port: its number counts for all but the addresses that call it so."""
    (low, high), number = each.ports, named[2]
    if not low <= number <= high:
        yield each
        return
    if low < number:
        yield _Alternative((low, number - 1), each.named, each.not_named)
    yield _Alternative((number, number), each.named, each.not_named | {named})
    if number < high:
        yield _Alternative((number + 1, high), each.named, each.not_named)


def _icmp(wanted: Icmp | None, unwanted: Icmp | None) -> Iterator[tuple[Range, Range]]:
    """(types, codes) as rectangles: the wanted one less the unwanted one."""
    types = _ICMP_TYPES if wanted is None else (wanted.type, wanted.type)
    codes = _ICMP_CODES if wanted is None or wanted.code is None else (wanted.code, wanted.code)
    if unwanted is None:
        yield types, codes
        return
    for other in intervals.intersection((types,), intervals.complement(((unwanted.type, unwanted.type),), 255)):
        yield other, codes
    if unwanted.code is not None and types[0] <= unwanted.type <= types[1]:
        for rest in intervals.intersection((codes,), intervals.complement(((unwanted.code, unwanted.code),), 255)):
            yield (unwanted.type, unwanted.type), rest
