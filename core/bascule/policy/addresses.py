"""Which addresses one side of a rule stands for: nets, selectors and named ports folded into one set of ranges.

Only IPv4: on an L2 NIC nothing else is carried.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bascule.policy import intervals
from bascule.policy.endpoints import Endpoint, Key
from bascule.policy.intervals import Range, Ranges
from bascule.policy.model import PolicySet
from bascule.policy.peers import addresses
from bascule.resources.policy_read import Net
from bascule.selectors import Node
from bascule.selectors.index import Change, SelectorIndex

Named = tuple[str, int, int]
"""Name, protocol, port: the endpoints that call this port so."""
Owner = tuple[str, str, str, str]
"""What carries labels: ("endpoint", *Key), or ("set", namespace, name, "")."""


@dataclass(frozen=True, slots=True)
class Side:
    """The address criteria of one side, as they are written; an empty one is any address."""

    nets: tuple[Net, ...] = ()
    not_nets: tuple[Net, ...] = ()
    selector: Node | None = None
    not_selector: Node | None = None
    named: frozenset[Named] = frozenset()
    not_named: frozenset[Named] = frozenset()

    @property
    def any(self) -> bool:
        return self == _ANY

    @property
    def selectors(self) -> tuple[Node, ...]:
        return tuple(node for node in (self.selector, self.not_selector) if node is not None)


_ANY = Side()


class AddressBook:
    """The addresses behind selectors and named ports, kept up to date endpoint by endpoint."""

    def __init__(self) -> None:
        self.index: SelectorIndex[Node, Owner] = SelectorIndex()
        self._ranges: dict[Owner, Ranges] = {}
        self._named: dict[tuple[str, int], dict[int, dict[Owner, Ranges]]] = {}

    def add_sets(self, policies: PolicySet) -> None:
        """Take in every network set."""
        for each in policies.sets:
            owner = ("set", each.namespace, each.name, "")
            self._ranges[owner] = ipv4(each.nets)
            self.index.put_endpoint(owner, policies.labels_of_set(each))

    def put(self, endpoint: Endpoint, labels: dict[str, str]) -> tuple[Change[Node], bool]:
        """Take in an endpoint. Returns the selectors whose meaning changed, and whether its addresses did (then every
        selector that matches it has changed)."""
        owner: Owner = ("endpoint", *endpoint.key)
        ranges = intervals.union((value, value) for version, value in addresses(endpoint) if version == 4)
        moved = self._ranges.get(owner) != ranges
        self._ranges[owner] = ranges
        self._forget_ports(owner)
        for name, protocol, port in endpoint.ports:
            self._named.setdefault((name, protocol), {}).setdefault(port, {})[owner] = ranges
        return self.index.put_endpoint(owner, labels), moved

    def drop(self, key: Key) -> Change[Node]:
        """Forget an endpoint. Returns the selectors that had matched it."""
        owner: Owner = ("endpoint", *key)
        self._ranges.pop(owner, None)
        self._forget_ports(owner)
        return self.index.drop_endpoint(owner)

    def use(self, selectors: Iterable[Node]) -> None:
        """Keep these selectors answered."""
        for node in selectors:
            self.index.put_selector(node, node)

    def matching(self, key: Key) -> frozenset[Node]:
        """The selectors that match an endpoint."""
        return self.index.selectors(("endpoint", *key))

    def ports_called(self, name: str, protocol: int) -> list[int]:
        """The port numbers that any endpoint calls so, ascending."""
        return sorted(port for port, owners in self._named.get((name, protocol), {}).items() if owners)

    def ranges(self, side: Side) -> Ranges:
        """The addresses that meet all of a side's criteria."""
        found = intervals.ALL
        if side.nets:
            found = ipv4(side.nets)
        for part in (self._of(side.selector), self._of_named(side.named)):
            if part is not None:
                found = intervals.intersection(found, part)
        excluded = [*ipv4(side.not_nets), *(self._of(side.not_selector) or ())]
        for named in side.not_named:
            excluded += self._of_named(frozenset((named,))) or ()
        return intervals.intersection(found, intervals.complement(intervals.union(excluded))) if excluded else found

    def _of(self, selector: Node | None) -> Ranges | None:
        if selector is None:
            return None
        return intervals.union(each for owner in self.index.endpoints(selector) for each in self._ranges[owner])

    def _of_named(self, named: frozenset[Named]) -> Ranges | None:
        """The addresses of endpoints that have all of these ports."""
        found: Ranges | None = None
        for name, protocol, port in named:
            owners = self._named.get((name, protocol), {}).get(port, {})
            part = intervals.union(each for ranges in owners.values() for each in ranges)
            found = part if found is None else intervals.intersection(found, part)
        return found

    def _forget_ports(self, owner: Owner) -> None:
        for ports in self._named.values():
            for owners in ports.values():
                owners.pop(owner, None)


def ipv4(nets: Iterable[Net]) -> Ranges:
    """The IPv4 part of some nets."""
    return intervals.union(_range(net) for net in nets if net.version == 4)


def _range(net: Net) -> Range:
    return net.first, net.last
