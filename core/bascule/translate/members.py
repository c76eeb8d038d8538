"""Who is in a group: the NICs that its expression matches, and the addresses it stands for.

The source's own meaning, evaluated on the inventory that came with the rules; the translation does not use it to decide
anything, so that the proof compares two things that were made apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bascule.policy import intervals
from bascule.policy.intervals import NONE, Ranges
from bascule.translate.model import (
    Addresses,
    Attribute,
    Both,
    Either,
    Expression,
    Group,
    InGroup,
    IsVm,
    Nic,
    Nothing,
    OnSegment,
    Peers,
    RuleBase,
    Tagged,
    Vm,
)

Members = tuple[frozenset[int], Ranges]
"""Indices into `RuleBase.nics`, and addresses that the group names itself."""
NOBODY: Members = (frozenset(), NONE)

_WORDS: dict[str, Callable[[str, str], bool]] = {
    "EQUALS": lambda text, value: text == value,
    "CONTAINS": lambda text, value: value in text,
    "STARTSWITH": lambda text, value: text.startswith(value),
    "ENDSWITH": lambda text, value: text.endswith(value),
}


class Membership:
    """The groups of one rule base, each evaluated once; `groups` by id, to which a caller may add."""

    def __init__(self, base: RuleBase) -> None:
        self.base = base
        self._vms = {vm.id: vm for vm in base.vms}
        self.groups = {group.id: group for group in base.groups}
        self._found: dict[str, Members] = {}
        self._every = frozenset(range(len(base.nics)))

    def group(self, identity: str) -> Members:
        """A group's members; nobody for one that does not exist, or that is a member of itself."""
        found = self._found.get(identity)
        if found is None:
            self._found[identity] = NOBODY
            group = self.groups.get(identity)
            found = self._found[identity] = self._of(group.expression) if group else NOBODY
        return found

    def vms(self, identity: str) -> frozenset[str]:
        """The ids of the VMs that a group holds."""
        return frozenset(self.base.nics[at].vm for at in self.group(identity)[0])

    def nics(self, groups: Iterable[str]) -> frozenset[int]:
        """The NICs that any of the groups holds: what a rule with this scope is applied to."""
        return frozenset().union(*(self.group(each)[0] for each in groups))

    def addresses(self, peers: Peers) -> Ranges:
        """The addresses one side of a rule stands for."""
        if peers.any:
            found = intervals.ALL
        else:
            parts = [*peers.ranges]
            for nics, own in map(self.group, peers.groups):
                parts += [(address, address) for at in nics for address in self.base.nics[at].addresses]
                parts += own
            found = intervals.union(parts)
        return intervals.complement(found) if peers.excluded else found

    def _of(self, expression: Expression) -> Members:
        match expression:
            case Nothing():
                return NOBODY
            case Addresses(ranges):
                return frozenset(), ranges
            case InGroup(group):
                return self.group(group)
            case Both(parts):
                nics = self._every.intersection(*(self._of(part)[0] for part in parts))
                return nics, NONE
            case Either(parts):
                found = [self._of(part) for part in parts]
                ranges = intervals.union(each for _, own in found for each in own)
                return frozenset().union(*(nics for nics, _ in found)), ranges
            case _:
                return frozenset(at for at in self._every if self._matches(expression, self.base.nics[at])), NONE

    def _matches(self, expression: Expression, nic: Nic) -> bool:
        match expression:
            case OnSegment(segments):
                return nic.segment in segments
            case IsVm(vms):
                return nic.vm in vms
            case Tagged() | Attribute():
                vm = self._vms.get(nic.vm)
                return vm is not None and holds(expression, vm)
        return False


def holds(condition: Tagged | Attribute, vm: Vm) -> bool:
    """Does a condition on a VM hold? NOTEQUALS and NOTIN are the opposites of EQUALS and IN, so they hold for a VM
    without any tag, and for one whose name is not known."""
    if isinstance(condition, Attribute):
        return _attribute(condition, vm.attribute(condition.key))
    word = "EQUALS" if condition.operator == "NOTEQUALS" else condition.operator
    found = any(_scope(condition, scope) and _WORDS[word](tag, condition.tag) for scope, tag in vm.tags)
    return found != (condition.operator == "NOTEQUALS")


def _scope(condition: Tagged, scope: str) -> bool:
    if condition.scope is None:
        return True
    return (scope == condition.scope) != condition.scope_negated


def _attribute(condition: Attribute, value: str) -> bool:
    if condition.operator in ("NOTEQUALS", "NOTIN"):
        return value not in condition.values
    if condition.operator == "IN":
        return value in condition.values
    return bool(value) and any(_WORDS[condition.operator](value, wanted) for wanted in condition.values)


def only_addresses(expression: Expression) -> bool:
    """Can the expression never hold a NIC, whatever is tagged or created later?"""
    match expression:
        case Addresses() | Nothing():
            return True
        case Both(parts):
            return any(map(only_addresses, parts))
        case Either(parts):
            return all(map(only_addresses, parts))
    return False


def cycles(groups: Iterable[Group]) -> list[tuple[str, ...]]:
    """The chains of groups that lead back to where they began, each once, from its smallest id."""
    nested = {group.id: sorted(_nested(group.expression)) for group in groups}
    found: set[tuple[str, ...]] = set()
    done: set[str] = set()
    for start in sorted(nested):
        trail: list[str] = []
        _walk(start, nested, trail, done, found)
    return sorted(found)


def _walk(
    start: str, nested: dict[str, list[str]], trail: list[str], done: set[str], found: set[tuple[str, ...]]
) -> None:
    """Depth first without recursion: a chain of groups may be as long as the document likes."""
    stack = [(start, iter(nested.get(start, ())))]
    trail.append(start)
    while stack:
        node, rest = stack[-1]
        following = next(rest, None)
        if following is None:
            stack.pop()
            trail.pop()
            done.add(node)
        elif following in trail:
            ring = trail[trail.index(following) :]
            least = ring.index(min(ring))
            found.add(tuple(ring[least:] + ring[:least]))
        elif following not in done and following in nested:
            trail.append(following)
            stack.append((following, iter(nested[following])))


def _nested(expression: Expression) -> set[str]:
    match expression:
        case InGroup(group):
            return {group}
        case Both(parts) | Either(parts):
            return set().union(*(_nested(part) for part in parts))
    return set()
