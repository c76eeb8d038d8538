"""Groups as Calico selectors over labels, and the labels that VMs must carry for them.

A condition on a tag or a name stays a selector, so that a VM tagged later becomes a member as it did before. What
labels cannot say (names of operating systems, names that are no label values, expressions that are too long) becomes a
computed label on its members of today, with a leftover that says so. Addresses of a group are a GlobalNetworkSet whose
label stands beside the selector.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from bascule.policy import intervals
from bascule.policy.intervals import NONE, Ranges
from bascule.translate import names
from bascule.translate.members import Membership, holds
from bascule.translate.model import (
    Addresses,
    Attribute,
    Both,
    Either,
    Expression,
    Group,
    InGroup,
    IsVm,
    Leftover,
    Nothing,
    OnSegment,
    RuleBase,
    Tagged,
    Vm,
)

NOBODY = "!all()"
NAD = "projectcalico.org/network-attachment"
MAX_SELECTOR = 1024  # calico-l2.md 7.1
_LONGEST = 300  # three groups side by side still fit; what is longer becomes a computed label


class CannotSayError(Exception):
    """Labels of VMs cannot express this; the text says why."""


class Chooser:
    """Selectors of one rule base. `labels` are by VM id; `sets` are GlobalNetworkSet documents; both grow with use."""

    def __init__(self, base: RuleBase, nads: Mapping[str, str]) -> None:
        self.labels: dict[str, dict[str, str]] = {vm.id: _own_labels(vm) for vm in base.vms}
        self.sets: dict[str, dict[str, Any]] = {}
        self.leftovers: list[Leftover] = []
        self._base, self._nads = base, nads
        self._groups = {group.id: group for group in base.groups}
        self._members = Membership(base)
        self._tags = sorted({tag for vm in base.vms for tag in vm.tags})
        self._named = all(names.is_value(vm.name) for vm in base.vms)
        self._nics: dict[str, str] = {}
        self._whole: dict[str, str] = {}

    def nics(self, groups: tuple[str, ...]) -> str:
        """The NICs in any of these groups: for what a rule is applied to."""
        text = union([self._group_nics(each) for each in groups])
        return text if len(text) <= _LONGEST else self._group_nics(self._joint(groups))

    def peers(self, groups: tuple[str, ...]) -> str:
        """NICs and addresses of any of these groups: for one side of a rule."""
        text = union([self._group_whole(each) for each in groups])
        return text if len(text) <= MAX_SELECTOR else self._group_whole(self._joint(groups))

    def alternatives(self, groups: tuple[str, ...]) -> list[str]:
        """Selectors that together are `peers`, each short enough: for a side that is not turned round."""
        found: list[list[str]] = [[]]
        for part in dict.fromkeys(self._group_whole(each) for each in groups):
            if len(union([*found[-1], part])) > MAX_SELECTOR:
                found.append([])
            found[-1].append(part)
        texts = [text for text in map(union, found) if text != NOBODY]
        return texts or [NOBODY]

    def has_addresses(self, groups: tuple[str, ...]) -> bool:
        """Does any of the groups name addresses itself, also through others?"""
        return any(self._members.group(each)[1] != NONE for each in groups)

    def ranges(self, identity: str, name: str, ranges: Ranges) -> str:
        """The selector of a network set with these addresses, made at first sight."""
        key = names.set_key(identity, name)
        if key not in self.sets:
            self.sets[key] = {
                "apiVersion": "projectcalico.org/v3",
                "kind": "GlobalNetworkSet",
                "metadata": {
                    "name": f"{self._base.source}-{key.partition('/')[2].replace('.', '-')}",
                    "labels": {key: ""},
                    "annotations": {names.ANNOTATION + "of": name},
                },
                "spec": {"nets": nets(ranges)},
            }
        return f"has({key})"

    def _group_nics(self, identity: str) -> str:
        found = self._nics.get(identity)
        if found is None:
            self._nics[identity] = NOBODY
            group = self._groups.get(identity)
            found = self._nics[identity] = self._made(group) if group else NOBODY
        return found

    def _joint(self, groups: tuple[str, ...]) -> str:
        """A group of our own that holds all of these, for where they do not fit one selector side by side."""
        listed = sorted(set(groups))
        identity = "joint:" + names.digest("\n".join(listed))
        if identity not in self._groups:
            known = [self._groups[each].name for each in listed if each in self._groups]
            joint = Group(
                identity, f"{', '.join(known[:3])} and {len(known) - 3} more", Either(tuple(map(InGroup, listed)))
            )
            self._groups[identity] = self._members.groups[identity] = joint
        return identity

    def _made(self, group: Group) -> str:
        try:
            text = self._nic_text(group.expression)
            if len(text) <= _LONGEST:
                return text
            why = "its expression is too long for a selector"
        except CannotSayError as error:
            why = str(error)
        return self._computed(group, why)

    def _group_whole(self, identity: str) -> str:
        """A group's selector, sets included; nested groups by their own."""
        if identity not in self._whole:
            self._whole[identity] = NOBODY
            group = self._groups.get(identity)
            ranges = self._members.group(identity)[1]
            parts = [self._group_nics(identity)]
            if group and ranges != NONE:
                parts.append(self.ranges(identity, group.name, ranges))
            self._whole[identity] = union(parts)
        return self._whole[identity]

    def _computed(self, group: Group, why: str) -> str:
        """Label today's members. A VM of which only some NICs are members cannot be labelled: said, not guessed."""
        key = names.group_key(group.id, group.name)
        inside = self._members.group(group.id)[0]
        for vm in sorted({self._base.nics[at].vm for at in inside}):
            others = [at for at, nic in enumerate(self._base.nics) if nic.vm == vm and at not in inside]
            if others:
                self._tell(
                    "nic-membership", "error", group, f"only some NICs of VM {vm} are in the group; labels are per VM",
                    "all NICs of that VM count as members", "Split the VM's NICs over Networks, and select by NAD.",
                )  # fmt: skip
            self.labels[vm][key] = ""
        self._tell(
            "computed-group", "warning", group, f"membership is a label computed now: {why}",
            "a VM created or renamed later does not become a member by itself",
            f"Set label {key} on new members, or give the group a tag condition.",
        )  # fmt: skip
        return f"has({key})"

    def _tell(self, kind: str, severity: str, group: Group, what: str, effect: str, todo: str) -> None:
        self.leftovers.append(Leftover(kind, severity, group.name, group.position, what, effect, todo))

    def _nic_text(self, expression: Expression) -> str:
        match expression:
            case Nothing() | Addresses():
                return NOBODY
            case Either(parts):
                return union([self._nic_text(part) for part in parts])
            case Both(parts):
                return intersection([self._nic_text(part) for part in parts])
            case InGroup(group):
                return self._group_nics(group)
            case Tagged():
                return self._tagged(expression)
            case Attribute():
                return self._attribute(expression)
            case OnSegment(segments):
                return self._on(sorted(segments))
            case IsVm(vms):
                return self._among(sorted(vm.name for vm in self._base.vms if vm.id in vms))

    def _tagged(self, condition: Tagged) -> str:
        if condition.operator == "EQUALS" and condition.scope is not None and not condition.scope_negated:
            return f"has({names.tag_key(condition.scope, condition.tag)})"
        positive = condition.operator != "NOTEQUALS"
        wanted = (
            Tagged("EQUALS", condition.tag, condition.scope, condition.scope_negated) if not positive else condition
        )
        keys = [names.tag_key(*tag) for tag in self._tags if holds(wanted, Vm("", "", frozenset((tag,))))]
        if positive:
            return union([f"has({key})" for key in keys])
        return intersection([f"has({names.VM_NAME})", *(f"!has({key})" for key in keys)])

    def _attribute(self, condition: Attribute) -> str:
        if condition.key != "Name":
            raise CannotSayError(f"it asks for {condition.key}, which no label has")
        if not self._named or not all(_quotable(value) for value in condition.values):
            raise CannotSayError("it asks for VM names that are no label values")
        words = {"CONTAINS": "contains", "STARTSWITH": "starts with", "ENDSWITH": "ends with"}
        if condition.operator in words:
            return union([f'{names.VM_NAME} {words[condition.operator]} "{value}"' for value in condition.values])
        if condition.operator in ("EQUALS", "IN"):
            return self._among(sorted(condition.values))
        listed = ", ".join(f'"{value}"' for value in sorted(condition.values))
        return intersection([f"has({names.VM_NAME})", f"{names.VM_NAME} not in {{{listed}}}"])

    def _among(self, wanted: list[str]) -> str:
        if not wanted:
            return NOBODY
        if not self._named or not all(map(_quotable, wanted)):
            raise CannotSayError("it names VMs whose names are no label values")
        if len(wanted) == 1:
            return f'{names.VM_NAME} == "{wanted[0]}"'
        return f"{names.VM_NAME} in {{{', '.join(f'{chr(34)}{each}{chr(34)}' for each in wanted)}}}"

    def _on(self, segments: list[str]) -> str:
        missing = [segment for segment in segments if segment not in self._nads]
        if missing:
            raise CannotSayError(f"no NAD is known for segment {missing[0]}")
        return union([f'{NAD} == "{nad}"' for nad in sorted({self._nads[segment] for segment in segments})])


def union(parts: list[str]) -> str:
    """`a || b`, parts without members left out."""
    kept = list(dict.fromkeys(part for part in parts if part != NOBODY))
    if len(kept) <= 1:
        return kept[0] if kept else NOBODY
    return " || ".join(f"({part})" if " && " in part else part for part in kept)


def intersection(parts: list[str]) -> str:
    """`a && b`."""
    if NOBODY in parts:
        return NOBODY
    kept = list(dict.fromkeys(parts))
    if len(kept) == 1:
        return kept[0]
    return " && ".join(f"({part})" if " || " in part else part for part in kept)


def nets(ranges: Ranges) -> list[str]:
    """Ranges as the fewest CIDRs."""
    return [str(ipaddress.ip_network(prefix)) for prefix in intervals.prefixes(ranges)]


def _own_labels(vm: Vm) -> dict[str, str]:
    name = vm.name if names.is_value(vm.name) else names.slug(vm.name)
    return {names.VM_NAME: name, **{names.tag_key(*tag): "" for tag in sorted(vm.tags)}}


def _quotable(text: str) -> bool:
    """May this stand between double quotes in a selector?"""
    return '"' not in text and text.isprintable()
