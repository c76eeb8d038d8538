"""Which rules of a policy do nothing, and what takes their packets: worked out on the compiled rows, for all packets.

For each NIC and direction a rule's packets are followed through the rows before it. Nothing arrives: it is shadowed.
Something arrives, but without the rule, and without the shadowed ones of its policy, the rows after it would decide the
same: it is redundant. Anything else is effective, and one packet is named that proves it. Sets of packets are exact
(boxes.py); what takes more than the budget is "not decided", never guessed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule.policy.boxes import EVERY_PROTO, EVERYTHING, Box, Budget, TooBig, both, split, without
from bascule.policy.compile import Compiler
from bascule.policy.endpoints import Endpoint
from bascule.policy.ids import SetIds
from bascule.policy.intervals import Ranges
from bascule.policy.layout import ALLOW, ANY_SET, DENY, LOG, NOT_PROTO, PASS, Limits
from bascule.policy.model import Identity, PolicySet
from bascule.policy.peers import addresses
from bascule.resources.policy import EGRESS, INGRESS, Policy

EFFECTIVE, SHADOWED, REDUNDANT, NOTHING = "effective", "shadowed", "redundant", "matches nothing"
UNDECIDED, UNSELECTED = "not decided", "selects no NIC"
BUDGET = 200_000  # boxes for one policy: below a second
_UNLIMITED = Limits(rows=1 << 20, prefixes=1 << 24)
_BY_MOST = 3


@dataclass(frozen=True, slots=True)
class Witness:
    """A packet that only this rule decides so: the other end's address, and type and code for ICMP as ports."""

    endpoint: str
    peer: int
    own: int
    protocol: int
    source_port: int
    destination_port: int


@dataclass(frozen=True, slots=True)
class RuleEffect:
    """`by` are the rules that take its packets (shadowed) or decide the same after it (redundant), as RuleName.text."""

    direction: str
    rule: int
    field: str
    action: str
    effect: str
    by: tuple[str, ...] = ()
    witness: Witness | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {**asdict(self), "by": list(self.by)}


@dataclass(frozen=True, slots=True)
class _Case:
    """One endpoint address in one direction: `boxes` by row, None for a row that its own address does not meet."""

    endpoint: str
    own: int
    rules: list[int]
    actions: list[int]
    following: list[int]
    boxes: list[Box | None]


class Shadows:
    """Answers for the policies of one set; compiled once. An ordinary pod counts as a NIC does; policies that cannot be
    used are left out, though they hold back the NICs that they select."""

    def __init__(self, policies: PolicySet, endpoints: Iterable[Endpoint], budget: int = BUDGET) -> None:
        self._compiler = Compiler(_UNLIMITED)
        self._endpoints = [replace(each, vm=each.vm or each.pod) for each in endpoints]
        self._compiler.load(replace(policies, refused=()), self._endpoints)
        self._names = {each.key: each.name for each in self._endpoints}
        self._policies = {policy.identity: policy for tier in policies.tiers for policy in tier.policies}
        self._budget = budget

    def of(self, identity: Identity) -> tuple[RuleEffect, ...]:
        """Every rule of an enforced policy, in the order of its document, ingress first; none for an unknown one."""
        policy = self._policies.get(identity)
        if policy is None:
            return ()
        budget, found = Budget(self._budget), []
        for direction in (INGRESS, EGRESS):
            cases = list(self._cases(policy, direction)) if direction in policy.types else []
            rules = [
                (RuleEffect(direction, at, rule.field, rule.action, UNSELECTED), self._row_id(identity, direction, at))
                for at, rule in enumerate(policy.rules(direction))
            ]
            reached = [_over(effect, cases, rule, frozenset(), budget, self._name) for effect, rule in rules]
            # Of two equal rules the second is idle, not both: the first is judged as if the idle ones were not there.
            idle = frozenset(
                rule for (_, rule), each in zip(rules, reached, strict=True) if each.effect in (SHADOWED, NOTHING)
            )
            found += [
                _over(effect, cases, rule, idle, budget, self._name) if each.effect == REDUNDANT else each
                for (effect, rule), each in zip(rules, reached, strict=True)
            ]
        return tuple(found)

    def misfits(self, limits: Limits) -> dict[str, str]:
        """Endpoint → why maps with these limits could not hold its program: what an agent would say, NIC by NIC."""
        found = {}
        for key, program in self._compiler.programs.items():
            for direction, rows in ((INGRESS, program.ingress), (EGRESS, program.egress)):
                if len(rows) > limits.rows:
                    found[self._names[key]] = f"{direction} needs {len(rows)} rows; the data plane holds {limits.rows}"
            prefixes = sum(len(self._compiler.sets.prefixes(identity)) for identity in program.sets)
            if prefixes > limits.prefixes:
                words = f"its address sets need {prefixes} prefixes; the data plane holds {limits.prefixes}"
                found[self._names[key]] = words
        return found

    def _name(self, rule: int) -> str:
        name = self._compiler.rules.name(rule)
        return name.text if name else ""

    def _row_id(self, identity: Identity, direction: str, at: int) -> int:
        block = self._compiler.blocks.blocks.get((identity, direction))
        return self._compiler.rules.of(block.names[at]) if block else 0

    def _cases(self, policy: Policy, direction: str) -> Iterator[_Case]:
        """Every different way in which an address of a selected endpoint meets the rows."""
        seen: set[bytes] = set()
        contents = _Contents(self._compiler.sets)
        for endpoint in self._endpoints:
            program = self._compiler.programs.get(endpoint.key)
            if program is None or policy.identity not in self._compiler.blocks.selected(endpoint.key):
                continue
            rows = program.ingress if direction == INGRESS else program.egress
            own_side, peer_side = ("dst_set", "src_set") if direction == INGRESS else ("src_set", "dst_set")
            for version, address in addresses(endpoint):
                if version != 4:
                    continue
                meets = np.array([contents.holds(int(each), address) for each in rows[own_side]], bool)
                signature = _signature(rows, own_side, meets)
                if signature not in seen:
                    seen.add(signature)
                    yield _case(endpoint.name, address, rows, peer_side, meets, contents)


class _Contents:
    """Set ids as ranges, with a quick "is this address in it?"."""

    def __init__(self, sets: SetIds) -> None:
        self._sets = sets
        self._starts: dict[int, list[int]] = {}

    def ranges(self, identity: int) -> Ranges:
        return self._sets.contents(identity)

    def holds(self, identity: int, address: int) -> bool:
        if identity == ANY_SET:
            return True
        ranges = self.ranges(identity)
        starts = self._starts.setdefault(identity, [first for first, _ in ranges])
        at = bisect_right(starts, address) - 1
        return at >= 0 and address <= ranges[at][1]


def _signature(rows: NDArray[Any], own_side: str, meets: NDArray[np.bool_]) -> bytes:
    plain = rows.copy()
    plain[own_side] = 0
    return plain.tobytes() + meets.tobytes()


def _case(
    name: str, own: int, rows: NDArray[Any], peer_side: str, meets: NDArray[np.bool_], contents: _Contents
) -> _Case:
    peers = [contents.ranges(int(each)) for each in rows[peer_side]]
    boxes = [_box(row, ranges) if met else None for row, ranges, met in zip(rows, peers, meets, strict=True)]
    rules, actions, following = (rows[column].tolist() for column in ("rule", "action", "next"))
    return _Case(name, own, rules, actions, following, boxes)


def _box(row: Any, peers: Ranges) -> Box:
    proto = int(row["proto"])
    protos = 1 << proto if proto else EVERY_PROTO
    if int(row["flags"]) & NOT_PROTO:
        protos = EVERY_PROTO & ~protos
    sources, destinations = ((int(row[f"{side}_low"]), int(row[f"{side}_high"])) for side in ("src", "dst"))
    return Box(peers, protos, (sources,), (destinations,))


def _over(
    effect: RuleEffect, cases: list[_Case], rule: int, idle: frozenset[int], budget: Budget, name: Callable[[int], str]
) -> RuleEffect:
    """One rule at all endpoints: effective when it is at one of them, else by the strongest thing there is to say."""
    if not cases:
        return effect
    found: list[tuple[str, tuple[int, ...]]] = []
    for case in cases:
        try:
            word, by, packet = _at(case, rule, idle, budget)
        except TooBig:
            word, by, packet = UNDECIDED, (), None
        if packet is not None:
            return replace(effect, effect=EFFECTIVE, witness=_witness(case, packet))
        found.append((word, by))
    word = next(word for word in (UNDECIDED, REDUNDANT, SHADOWED, NOTHING) if word in {each for each, _ in found})
    by_rules = dict.fromkeys(one for each, by in found if each == word for one in by)
    return replace(effect, effect=word, by=tuple(map(name, list(by_rules)[:_BY_MOST])))


def _at(case: _Case, rule: int, idle: frozenset[int], budget: Budget) -> tuple[str, tuple[int, ...], Box | None]:
    """(effect, the other rules that count, a packet that proves an effect) at one endpoint."""
    word = NOTHING
    takers: dict[int, None] = {}
    for at, (box, number) in enumerate(zip(case.boxes, case.rules, strict=True)):
        if number != rule or box is None:
            continue
        own = [piece for piece in (both(each, box) for each in EVERYTHING) if not piece.empty]
        if own and word == NOTHING:
            word = SHADOWED
        arrived = _arriving(case, own, at, takers, budget)
        if not arrived:
            continue
        difference, same = _removed(case, arrived, at, idle | {rule}, budget)
        if difference is not None:
            return EFFECTIVE, (), difference
        if word != REDUNDANT:
            word, takers = REDUNDANT, {}
        takers |= dict.fromkeys(same)
    return word, tuple(takers), None


def _arriving(case: _Case, region: list[Box], end: int, takers: dict[int, None], budget: Budget) -> list[Box]:
    """What of `region` gets to row `end`; `takers` are told which rules keep the rest from it."""
    here = list(region)
    later: dict[int, list[Box]] = {}
    for at in range(end):
        here += later.pop(at, ())
        box, action = case.boxes[at], case.actions[at]
        if box is None or action == LOG or not here:
            continue
        cut = split(here, box, budget)
        here = cut.rest
        if cut.hit and action == PASS and case.following[at] <= end:
            later.setdefault(case.following[at], []).extend(cut.hit)
        elif cut.hit:
            takers[case.rules[at]] = None
    return here + later.pop(end, [])


def _removed(
    case: _Case, region: list[Box], at: int, skip: frozenset[int], budget: Budget
) -> tuple[Box | None, list[int]]:
    """(a packet whose verdict changes when the rules `skip` go, row `at` among them; the rules that decide instead)."""
    action = case.actions[at]
    if action == LOG:
        return region[0], []
    allowed, denied, by = _verdicts(case, region, at + 1, skip, budget)
    if action == PASS:
        passed, _, _ = _verdicts(case, region, case.following[at], skip, budget)
        other = without(passed, allowed, budget) or without(allowed, passed, budget)
    else:
        other = denied if action == ALLOW else allowed
    return (other[0] if other else None), by


def _verdicts(
    case: _Case, region: list[Box], start: int, skip: frozenset[int], budget: Budget
) -> tuple[list[Box], list[Box], list[int]]:
    """(allowed, denied, deciding rules) of packets that come to row `start`, rows of the rules `skip` left out."""
    ends: dict[int, list[Box]] = {ALLOW: [], DENY: []}
    here: list[Box] = []
    later = {start: list(region)}
    by: dict[int, None] = {}
    for at in range(start, len(case.rules)):
        here = [*here, *later.pop(at, ())]
        box, action = case.boxes[at], case.actions[at]
        if not here or box is None or action == LOG or case.rules[at] in skip:
            continue
        cut = split(here, box, budget)
        here = cut.rest
        if cut.hit and action == PASS:
            later.setdefault(case.following[at], []).extend(cut.hit)
        elif cut.hit:
            ends[action] += cut.hit
            by[case.rules[at]] = None
    return ends[ALLOW], ends[DENY], list(by)


def _witness(case: _Case, box: Box) -> Witness:
    lowest = (box.protos & -box.protos).bit_length() - 1
    proto = 6 if box.protos >> 6 & 1 else lowest
    return Witness(
        case.endpoint, box.peers[0][0], case.own, proto, box.source_ports[0][0], box.destination_ports[0][0]
    )  # fmt: skip
