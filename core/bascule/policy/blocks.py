"""Each policy's rows, one block for each direction, and which endpoints they are for; kept up to date by endpoint.

A block does not depend on the NIC it ends up in: where a tier starts and ends is put in when a program is joined. So a
thousand policies are turned into rows once, and a NIC's program is a few arrays put behind each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule.policy.addresses import AddressBook, Side
from bascule.policy.endpoints import Endpoint, Key
from bascule.policy.ids import RuleIds, SetIds
from bascule.policy.intervals import NONE
from bascule.policy.layout import ACTIONS, ROW, RuleName
from bascule.policy.model import Identity, PolicySet
from bascule.policy.rows import Template, names_of, templates
from bascule.policy.verdict import PROFILE
from bascule.resources import policy_scope as scope
from bascule.resources.policy import EGRESS, INGRESS, Policy
from bascule.resources.policy_rule import Rule
from bascule.resources.policy_sets import Tier
from bascule.selectors import Node
from bascule.selectors.ast import Everything
from bascule.selectors.index import SelectorIndex

BlockKey = tuple[Identity, str]
"""A policy (or a profile, as ("Profile", "", name)) and a direction."""


@dataclass(slots=True)
class Block:
    """`rows` lack `next`; rows that no address can match are left out."""

    rules: tuple[Rule, ...]
    names: tuple[RuleName, ...]
    templates: list[tuple[int, Template]] = field(default_factory=list)
    rows: NDArray[Any] = field(default_factory=lambda: np.zeros(0, ROW))


class Blocks:
    """The blocks of one PolicySet. `policies_of` answers by Identity; `refused_of` are policies that cannot be used."""

    def __init__(self, policies: PolicySet, endpoints: Iterable[Endpoint], rules: RuleIds, sets: SetIds) -> None:
        self.policies = policies
        self.endpoints: dict[Key, Endpoint] = {}
        self.blocks: dict[BlockKey, Block] = {}
        self._rules, self._sets = rules, sets
        self._book = AddressBook()
        self._selection: SelectorIndex[tuple[str, Identity], Key] = SelectorIndex()
        self._ids: dict[Side, int] = {}
        self._by_selector: dict[Node, set[Side]] = {}
        self._by_side: dict[Side, set[BlockKey]] = {}
        self._by_name: dict[tuple[str, int], set[BlockKey]] = {}
        every = [(each.tier, policy) for each in policies.tiers for policy in each.policies]
        self._places = {policy.identity: (at, tier, policy) for at, (tier, policy) in enumerate(every)}
        self._book.add_sets(policies)
        for endpoint in endpoints:
            self._take(endpoint)
        self._select()
        self._build()

    def ordered(self, selected: frozenset[Identity], direction: str) -> list[tuple[Tier, list[Policy]]]:
        """Those policies that have this direction, by tier, in the order in which they are evaluated."""
        found: list[tuple[Tier, list[Policy]]] = []
        for _, tier, policy in sorted((self._places[identity] for identity in selected), key=lambda place: place[0]):
            if direction in policy.types:
                if not found or found[-1][0] is not tier:
                    found.append((tier, []))
                found[-1][1].append(policy)
        return found

    def sets_in_use(self) -> set[int]:
        """The ids that some rule's side stands for now."""
        return set(self._ids.values())

    def selected(self, key: Key) -> frozenset[Identity]:
        """The usable, enforced policies that select an endpoint, whatever their direction."""
        return frozenset(identity for word, identity in self._selection.selectors(key) if word == "use")

    def refused(self, key: Key) -> frozenset[Identity]:
        """The policies that cannot be used and select an endpoint, or might."""
        return frozenset(identity for word, identity in self._selection.selectors(key) if word == "refused")

    def put(self, endpoint: Endpoint) -> set[Key]:
        """Take in a new or changed endpoint. Returns the endpoints whose rows are other ones now."""
        before = self.endpoints.get(endpoint.key)
        selection, meanings, moved = self._take(endpoint)
        dirty = {endpoint.key} if before is None or selection or before.profiles != endpoint.profiles else set()
        nodes = set(meanings.gained | meanings.lost)
        if moved:
            nodes |= self._book.matching(endpoint.key)
        names = self._names_touched(before, endpoint, moved)
        return dirty | self._refresh(nodes, names)

    def drop(self, key: Key) -> set[Key]:
        """Forget an endpoint. Returns the other endpoints whose rows are other ones now."""
        before = self.endpoints.pop(key, None)
        if before is None:
            return set()
        self._selection.drop_endpoint(key)
        meanings = self._book.drop(key)
        return self._refresh(set(meanings.lost), {(name, protocol) for name, protocol, _ in before.ports}) - {key}

    def _take(self, endpoint: Endpoint) -> Any:
        labels = self.policies.labels_of(endpoint)
        self.endpoints[endpoint.key] = endpoint
        return self._selection.put_endpoint(endpoint.key, labels), *self._book.put(endpoint, labels)

    def _select(self) -> None:
        for tier in self.policies.tiers:
            for policy in tier.policies:
                assert policy.selector is not None
                self._selection.put_selector(("use", policy.identity), policy.selector)
        for refused in self.policies.refused:
            broken = refused.policy
            if broken is not None and not broken.staged and not broken.host_only:
                widest = scope.in_namespace(broken.namespace) if broken.namespace else Everything()
                self._selection.put_selector(("refused", broken.identity), broken.selector or widest)

    def _build(self) -> None:
        for tier in self.policies.tiers:
            for policy in tier.policies:
                for direction in policy.types:
                    self._add(policy.identity, tier.tier.name, direction, policy.rules(direction))
        for name, profile in self.policies.profiles.items():
            for direction, rules in ((INGRESS, profile.ingress), (EGRESS, profile.egress)):
                self._add((PROFILE, "", name), "", direction, rules)

    def _add(self, identity: Identity, tier: str, direction: str, rules: tuple[Rule, ...]) -> None:
        names = tuple(
            RuleName(*identity, tier, direction, rule.action, at, rule.field) for at, rule in enumerate(rules)
        )
        key, block = (identity, direction), Block(rules, names)
        self.blocks[key] = block
        for rule in rules:
            for name in names_of(rule):
                self._by_name.setdefault(name, set()).add(key)
        self._expand(key, block)

    def _expand(self, key: BlockKey, block: Block) -> None:
        """Make the templates, know what they depend on, and render them."""
        block.templates = [
            (self._rules.of(name), template)
            for rule, name in zip(block.rules, block.names, strict=True)
            for template in templates(rule, self._book)
        ]
        for _, template in block.templates:
            for side in (template.source, template.destination):
                self._depend(key, side)
        self._render(block)

    def _depend(self, key: BlockKey, side: Side) -> None:
        users = self._by_side.setdefault(side, set())
        if not users:
            self._book.use(node for node in side.selectors if node not in self._by_selector)
            for node in side.selectors:
                self._by_selector.setdefault(node, set()).add(side)
            self._ids[side] = self._resolve(side)
        users.add(key)

    def _resolve(self, side: Side) -> int:
        """The id of the side's addresses, -1 when there are none."""
        if side.any:
            return 0
        ranges = self._book.ranges(side)
        return -1 if ranges == NONE else self._sets.of(ranges)

    def _render(self, block: Block) -> None:
        rows = []
        for rule, each in block.templates:
            source, destination = self._ids[each.source], self._ids[each.destination]
            if source >= 0 and destination >= 0:
                ports = (*each.source_ports, *each.destination_ports)
                rows.append((rule, source, destination, *ports, 0, ACTIONS[each.action], each.flags, each.proto, 0))
        block.rows = np.array(rows, ROW) if rows else np.zeros(0, ROW)

    def _refresh(self, nodes: set[Node], names: set[tuple[str, int]]) -> set[Key]:
        """Render what depends on these selectors and named ports; the endpoints that it is for."""
        expand = {key for name in names for key in self._by_name.get(name, ())}
        changed: set[BlockKey] = set()
        for side in {side for node in nodes for side in self._by_selector.get(node, ())} | self._named_sides(names):
            identity = self._resolve(side)
            if identity != self._ids[side]:
                self._ids[side] = identity
                changed |= self._by_side[side]
        for key in expand:
            self._expand(key, self.blocks[key])
        for key in changed - expand:
            self._render(self.blocks[key])
        return {endpoint for key in expand | changed for endpoint in self._for(key)}

    def _for(self, key: BlockKey) -> Iterable[Key]:
        (kind, _, name), _ = key
        if kind == PROFILE:
            return [each.key for each in self.endpoints.values() if name in each.profiles]
        return self._selection.endpoints(("use", key[0]))

    def _named_sides(self, names: set[tuple[str, int]]) -> set[Side]:
        if not names:
            return set()
        return {side for side in self._ids if any(each[:2] in names for each in side.named | side.not_named)}

    def _names_touched(self, before: Endpoint | None, after: Endpoint, moved: bool) -> set[tuple[str, int]]:
        old = set(before.ports) if before else set()
        ports = old | set(after.ports) if moved else old ^ set(after.ports)
        return {(name, protocol) for name, protocol, _ in ports}
