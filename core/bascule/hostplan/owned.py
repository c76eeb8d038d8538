"""Which observed links of the per_vlan driver are ours, which of them serve which segment, and which may go.

A link of ours that something of another owner hangs on (a workload's port in our bridge, somebody's VLAN device above
it) stays: taking it away would change that link too.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from functools import cached_property

from bascule.hostplan.names import Owner, Role, link_name
from bascule.hostplan.observed import Observed, ObservedLink

Key = tuple[str, int]
"""(network, VLAN id)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A sound veth pair: both ends ours, of one segment, each the other's peer."""

    stub: ObservedLink
    peer: ObservedLink


@dataclass(frozen=True)
class Owned:
    """`bridges` and `pairs` hold the one link or pair that serves each segment."""

    observed: Observed
    bridges: dict[Key, ObservedLink]
    pairs: dict[Key, Pair]

    @classmethod
    def of(cls, observed: Observed) -> Owned:
        owned = cls(observed, {}, {})
        for link, owner in owned.links:
            key = (owner.network, owner.vid)
            if owner.role == "b":
                owned.bridges[key] = min(owned.bridges.get(key, link), link, key=owned._rank)
            elif owner.role == "s" and (pair := owned._pair(link, owner)):
                present = owned.pairs.get(key)
                if present is None or owned._rank(link) < owned._rank(present.stub):
                    owned.pairs[key] = pair
        return owned

    @cached_property
    def links(self) -> tuple[tuple[ObservedLink, Owner], ...]:
        """Every link of ours with what its alias says; bridges of all VLANs are the vlan_aware driver's."""
        return tuple((link, owner) for link in self.observed.links if (owner := link.owner) and owner.vid)

    @cached_property
    def _dependants(self) -> frozenset[int]:
        """Ifindexes that a link of another owner has as master or peer."""
        foreign = [link for link in self.observed.links if link.owner is None]
        return frozenset({link.master for link in foreign} | {link.peer for link in foreign}) - {0}

    @cached_property
    def ports_in_use(self) -> frozenset[Key]:
        """Segments whose bridge has something of another owner on it: the ports of workloads."""
        return frozenset(key for key, bridge in self.bridges.items() if bridge.index in self._dependants)

    def removable(self, link: ObservedLink) -> bool:
        """Would deleting this link of ours leave every other owner's link as it is?"""
        peer = self.observed.by_index.get(link.peer)
        foreign_peer = link.kind == "veth" and peer is not None and peer.owner is None
        return link.index not in self._dependants and not foreign_peer

    def surplus(self, bridges: Set[Key], pairs: Set[Key]) -> Iterator[ObservedLink]:
        """Links of ours that may be deleted when only these segments need their bridge, and only those their pair;
        of a pair both ends are listed."""
        serving = {self.bridges[key].index for key in bridges & self.bridges.keys()}
        for key in pairs & self.pairs.keys():
            serving |= {self.pairs[key].stub.index, self.pairs[key].peer.index}
        for link, _ in self.links:
            if link.index in serving or not self.removable(link):
                continue
            other = self.observed.by_index.get(link.peer) if link.kind == "veth" else None
            if other is None or (other.index not in serving and self.removable(other)):
                yield link

    def name_conflict(self, network: str, vid: int, with_stub: bool) -> str:
        """The name this segment needs that another link bears and will go on bearing, or ""."""
        key, wanted = (network, vid), []
        if key not in self.bridges:
            wanted.append(link_name("b", network, vid))
        if with_stub and key not in self.pairs:
            wanted += [link_name("s", network, vid), link_name("x", network, vid)]
        taken = (self.observed.by_name.get(name) for name in wanted)
        return next((link.name for link in taken if link and link.index not in self._spare), "")

    @cached_property
    def _spare(self) -> frozenset[int]:
        """Ifindexes of links of ours that serve no segment and may go."""
        return frozenset(link.index for link in self.surplus(self.bridges.keys(), self.pairs.keys()))

    def _pair(self, stub: ObservedLink, owner: Owner) -> Pair | None:
        peer = self.observed.by_index.get(stub.peer)
        expected = Owner(owner.network, owner.vid, "x")
        return Pair(stub, peer) if peer and peer.owner == expected and peer.peer == stub.index else None

    def _rank(self, link: ObservedLink) -> tuple[bool, bool, int]:
        """Of several links for one segment the one in use serves it, then the one with the proper name."""
        owner = link.owner
        role: Role = owner.role if owner else "b"
        proper = owner is not None and link.name == link_name(role, owner.network, owner.vid)
        return (link.index not in self._dependants, not proper, link.index)
