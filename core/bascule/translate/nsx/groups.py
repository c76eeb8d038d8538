"""NSX groups as expressions of the model: conditions, conjunctions, nested expressions, addresses, paths.

A list of expressions alternates with conjunctions; AND binds tighter than OR. What the inventory cannot answer is
`Nothing`, with a leftover, so that no rule grows by a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bascule.policy import intervals
from bascule.policy.intervals import Range
from bascule.resources.read import items, mapping, strings, text
from bascule.translate.addresses import address_range
from bascule.translate.members import holds
from bascule.translate.model import (
    Addresses,
    Attribute,
    Both,
    Either,
    Expression,
    Group,
    InGroup,
    IsVm,
    Nothing,
    OnSegment,
    Tagged,
    Vm,
)
from bascule.translate.notes import ERROR, INFO, WARNING, Notes
from bascule.translate.nsx.collect import Found
from bascule.translate.nsx.inventory import Inventory

_OPERATORS = ("EQUALS", "NOTEQUALS", "CONTAINS", "STARTSWITH", "ENDSWITH")
_KEYS = ("Name", "OSName", "ComputerName")


def read_groups(objects: Iterable[Found], inventory: Inventory, notes: Notes) -> list[Group]:
    """Every group of the document, by path."""
    found: dict[str, Group] = {}
    for place, raw in objects:
        path = text(raw.get("path")) or f"/infra/domains/default/groups/{text(raw.get('id'))}"
        name = text(raw.get("display_name")) or path.rsplit("/", 1)[-1]
        if path in found:
            notes("duplicate", WARNING, name, place, f"a second group {path}", "the first counts", "Remove one.")
            continue
        expression = _Reader(name, inventory, notes).group(place, raw)
        found[path] = Group(path, name, expression, place, _members(raw))
    return list(found.values())


def _members(raw: Mapping[str, Any]) -> frozenset[str] | None:
    listed = raw.get("vm_members")
    if not isinstance(listed, list):
        return None
    return frozenset(
        each if isinstance(each, str) else text(mapping(each).get("external_id") or mapping(each).get("id"))
        for each in listed
    )


class _Reader:
    """Reads one group."""

    def __init__(self, name: str, inventory: Inventory, notes: Notes) -> None:
        self._name, self._inventory, self._notes = name, inventory, notes

    def group(self, place: str, raw: Mapping[str, Any]) -> Expression:
        if items(raw.get("extended_expression")):
            self._tell(
                "identity", ERROR, f"{place}.extended_expression", "identity firewall: membership by user", _LESS
            )
        return self._list(f"{place}.expression", items(raw.get("expression")), 0)

    def _list(self, place: str, listed: tuple[Any, ...], depth: int) -> Expression:
        """Alternating expressions and conjunctions: an OR of ANDs."""
        if not listed:
            return Nothing()
        if depth > 8 or len(listed) % 2 == 0:
            what = "nested more than 8 deep" if depth > 8 else "an even number of parts: a conjunction is missing"
            self._tell("group", ERROR, place, what, _LESS)
            return Nothing()
        alternatives: list[list[Expression]] = [[]]
        words = []
        for at, each in enumerate(listed):
            where, raw = f"{place}[{at}]", mapping(each)
            if at % 2 == 0:
                alternatives[-1].append(self._one(where, raw, depth))
                continue
            word = text(raw.get("conjunction_operator"))
            words.append(word)
            if word == "OR":
                alternatives.append([])
            elif word != "AND":
                self._tell("group", ERROR, where, f"{word or 'no'} conjunction", _LESS)
                return Nothing()
        if len(set(words)) > 1:
            self._tell("group", WARNING, place, "AND and OR side by side: read as AND before OR", "as NSX shows it")
        parts = [_joined(each, Both) for each in alternatives]
        return _joined(parts, Either)

    def _one(self, place: str, raw: Mapping[str, Any], depth: int) -> Expression:
        kind = text(raw.get("resource_type"))
        if kind == "Condition":
            return self._condition(place, raw)
        if kind == "NestedExpression":
            return self._list(f"{place}.expressions", items(raw.get("expressions")), depth + 1)
        if kind == "IPAddressExpression":
            return Addresses(intervals.union(self._addresses(f"{place}.ip_addresses", raw.get("ip_addresses"))))
        if kind == "PathExpression":
            return self._paths(place, strings(raw.get("paths")))
        if kind == "ExternalIDExpression":
            return self._external(place, raw)
        if kind == "MACAddressExpression":
            return self._macs(place, strings(raw.get("mac_addresses")))
        self._tell("group", ERROR, place, f"{kind or 'an expression without type'} cannot be evaluated", _LESS)
        return Nothing()

    def _condition(self, place: str, raw: Mapping[str, Any]) -> Expression:
        member, key = text(raw.get("member_type")), text(raw.get("key"))
        operator, value = text(raw.get("operator")) or "EQUALS", text(raw.get("value"))
        if member == "VirtualMachine" and key in _KEYS and operator in (*_OPERATORS, "IN", "NOTIN"):
            values = tuple(part.strip() for part in value.split(",")) if operator in ("IN", "NOTIN") else (value,)
            return Attribute(key, operator, values)
        if key == "Tag" and operator in _OPERATORS and member in ("VirtualMachine", "Segment"):
            condition = self._tag(raw, operator, value)
            return condition if member == "VirtualMachine" else self._segments_tagged(place, condition)
        self._tell(
            "group", ERROR, place, f"condition on {member or 'nothing'} {key} {operator} cannot be evaluated", _LESS
        )
        return Nothing()

    def _tag(self, raw: Mapping[str, Any], operator: str, value: str) -> Tagged:
        """`scope|tag`; without a bar any scope (trap 15), with nothing before it only tags without scope."""
        scope, bar, tag = value.partition("|")
        if not bar:
            return Tagged(operator, value, None)
        negated = text(raw.get("scope_operator")) == "NOTEQUALS"
        if not tag:
            operator, tag = ("NOTEQUALS", tag) if operator == "NOTEQUALS" else ("STARTSWITH", "")
        return Tagged(operator, tag, scope, negated)

    def _segments_tagged(self, place: str, condition: Tagged) -> Expression:
        inside = {path for path, tags in self._inventory.segment_tags.items() if holds(condition, Vm("", "", tags))}
        self._tell("group", INFO, place, "segments by tag are listed as they are now", "later segments do not join")
        return OnSegment(frozenset(inside)) if inside else Nothing()

    def _addresses(self, place: str, value: Any) -> list[Range]:
        found = []
        for at, each in enumerate(strings(value)):
            span = address_range(each)
            if span is not None:
                found.append(span)
            elif ":" in each:
                self._tell("ipv6", INFO, f"{place}[{at}]", f"{each}: no IPv6 passes an L2 port", "left out")
            else:
                self._tell("group", ERROR, f"{place}[{at}]", f"{each!r} is no address, CIDR or range", _LESS)
        return found

    def _paths(self, place: str, paths: Iterable[str]) -> Expression:
        parts: list[Expression] = []
        segments = {segment.id for segment in self._inventory.segments}
        vms = {vm.id for vm in self._inventory.vms}
        for at, path in enumerate(paths):
            last = path.rsplit("/", 1)[-1]
            if path in segments:
                parts.append(OnSegment(frozenset((path,))))
            elif "/groups/" in path:
                parts.append(InGroup(path))
            elif last in vms:
                parts.append(IsVm(frozenset((last,))))
            elif path in self._inventory.ports:
                self._tell("group", ERROR, f"{place}.paths[{at}]", f"{path}: membership by segment port", _LESS)
            else:
                self._tell("reference", WARNING, f"{place}.paths[{at}]", f"{path} is not in the document", _LESS)
        return _joined(parts, Either)

    def _external(self, place: str, raw: Mapping[str, Any]) -> Expression:
        if text(raw.get("member_type")) != "VirtualMachine":
            self._tell("group", ERROR, place, f"external ids of {raw.get('member_type')!r} cannot be evaluated", _LESS)
            return Nothing()
        known = {vm.id for vm in self._inventory.vms}
        listed = strings(raw.get("external_ids"))
        for at, each in enumerate(listed):
            if each not in known:
                self._tell("reference", WARNING, f"{place}.external_ids[{at}]", f"no VM {each} in the document", _LESS)
        return IsVm(frozenset(listed) & known) if known & set(listed) else Nothing()

    def _macs(self, place: str, macs: Iterable[str]) -> Expression:
        wanted = {mac.lower() for mac in macs}
        owners = frozenset(nic.vm for nic in self._inventory.nics if nic.mac in wanted)
        missing = wanted - {nic.mac for nic in self._inventory.nics}
        for mac in sorted(missing):
            self._tell("reference", WARNING, place, f"no interface with MAC {mac} in the document", _LESS)
        return IsVm(owners) if owners else Nothing()

    def _tell(self, kind: str, severity: str, place: str, what: str, effect: str) -> None:
        self._notes(kind, severity, f"group {self._name}", place, what, effect, "Check the rules that use the group.")


_LESS = "this part of the group is empty; rules that name it match less"


def _joined(parts: list[Expression], kind: type[Both] | type[Either]) -> Expression:
    if not parts:
        return Nothing()
    return parts[0] if len(parts) == 1 else kind(tuple(parts))
