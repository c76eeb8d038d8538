"""The vlan_aware driver's part of a plan: what must go first, then bridge, trunk, VLANs, up.

A VLAN stays on the trunk while any port of the bridge has it, whoever's port that is, and a bridge of ours stays while
it has a port besides its trunk: a running VM is not cut off by an agent that has not heard of its pod. From another
owner's bridge only goes what the ledger says is ours.
"""

from __future__ import annotations

from collections.abc import Iterator

from bascule.hostplan import steps as s
from bascule.hostplan import vlan_aware_steps as a
from bascule.hostplan.names import alias
from bascule.hostplan.observed import Observed, ObservedLink
from bascule.hostplan.vlan_aware import WHOLE, AwareBridge, managed
from bascule.hostplan.vlan_aware_facts import Carried, Member, Watched


def plan_bridges(bridges: tuple[AwareBridge, ...], observed: Observed) -> Iterator[s.Step]:
    """The steps for these bridges and away from all others of ours; none when the node looks like that."""
    planner = _Planner(bridges, observed)
    yield from planner.remove()
    for bridge in bridges:
        yield from planner.build(bridge)


class _Planner:
    def __init__(self, bridges: tuple[AwareBridge, ...], observed: Observed) -> None:
        self.observed = observed
        self.wanted = {each.name: each for each in bridges}
        self.ours = {link.index for link in observed.links if link.owner and link.owner.vid == WHOLE}
        self.serving = {link.index for link in managed(observed).values()}
        self.members: dict[int, dict[int, Member]] = {}
        for entry in observed.vlans:
            self.members.setdefault(entry.port, {})[entry.vid] = entry
        rows: list[Carried | Watched] = [*observed.carried, *observed.watched]
        self.trunks = {(row.trunk, row.bridge) for row in rows} | set(observed.joined)

    def remove(self) -> Iterator[s.Step]:
        for watch in sorted(self.observed.watched):
            if not self._watching(watch):
                name = self.observed.name_of
                yield a.UnwatchTrunk(name(watch.trunk), name(watch.bridge), watch.native)
        for trunk, bridge in sorted(self.trunks):
            yield from self._drop(trunk, bridge)
            if self._may_leave(trunk, bridge):
                yield from self._leave(trunk, bridge)
        for index in sorted(self.ours):
            link = self.observed.by_index[index]
            if self._superfluous(link):
                if link.up:
                    yield s.SetDown(link.name)
                yield a.DeleteAware(link.name, link.alias, link.mac, link.mtu)

    def _watching(self, watch: Watched) -> bool:
        """Should it stay: for what is desired, or for ports that an agent has not heard of yet?"""
        desired = self._desired(watch.trunk, watch.bridge)
        link = self.observed.by_index.get(watch.trunk)
        if desired is not None:
            return desired.native == watch.native
        return link is not None and link.master == watch.bridge and bool(self._used(watch.bridge))

    def _desired(self, trunk: int, bridge: int) -> AwareBridge | None:
        """What should be in this bridge through this trunk; None for nothing."""
        found = self.wanted.get(self.observed.name_of(bridge))
        return found if found and found.trunk == self.observed.name_of(trunk) else None

    def _used(self, bridge: int) -> set[int]:
        """VLANs that ports of the bridge have as their own, trunks left out."""
        ports = {link.index for link in self.observed.links if link.master == bridge}
        ports -= {trunk for trunk, home in self.trunks if home == bridge}
        return {entry.vid for port in ports for entry in self.members.get(port, {}).values() if entry.pvid}

    def _drop(self, trunk: int, bridge: int) -> Iterator[s.Step]:
        desired, name = self._desired(trunk, bridge), self.observed.name_of
        link = self.observed.by_index.get(trunk)
        inside = link is not None and link.master == bridge
        members = self.members.get(trunk, {}) if inside else {}
        keep = (set(desired.vids) if desired else set()) | (self._used(bridge) if inside else set())
        for vid in sorted(self._mine(trunk, bridge, members)):
            entry = members.get(vid)
            if vid not in keep or (entry and desired and _wrong(entry, desired)):
                yield a.DropVlan(name(trunk), name(bridge), vid, entry is not None and entry.pvid)

    def _mine(self, trunk: int, bridge: int, members: dict[int, Member]) -> set[int]:
        """The trunk's VLANs that may be taken away again: in a bridge of ours all."""
        added = {row.vid for row in self.observed.carried if (row.trunk, row.bridge) == (trunk, bridge) and row.added}
        return added | members.keys() if bridge in self.ours else added

    def _may_leave(self, trunk: int, bridge: int) -> bool:
        """Did we make it a port, and does nothing need it there any more? A stale entry goes in the same way."""
        if not any((row.trunk, row.bridge) == (trunk, bridge) for row in self.observed.joined):
            return False
        link = self.observed.by_index.get(trunk)
        inside = link is not None and link.master == bridge
        return self._desired(trunk, bridge) is None and not (inside and self._used(bridge))

    def _leave(self, trunk: int, bridge: int) -> Iterator[s.Step]:
        """Down for the inverse's sake, which must not join it while it is up."""
        link, name = self.observed.by_index.get(trunk), self.observed.name_of
        down = link is not None and link.master == bridge and self._down_to_join(link, bridge)
        if down:
            yield s.SetDown(name(trunk))
        yield a.LeaveTrunk(name(trunk), name(bridge))
        if down:
            yield s.SetUp(name(trunk))

    def _superfluous(self, link: ObservedLink) -> bool:
        """A bridge of ours that nothing desires and nothing will hang on once the trunks have left."""
        desired = link.index in self.serving and link.name in self.wanted
        leaving = {trunk for trunk, bridge in self.trunks if bridge == link.index and self._may_leave(trunk, bridge)}
        others = [each for each in self.observed.links if link.index in (each.master, each.peer)]
        return not desired and all(each.index in leaving for each in others)

    def build(self, bridge: AwareBridge) -> Iterator[s.Step]:
        link = self.observed.by_name.get(bridge.name)
        if link is None:
            yield a.CreateAware(bridge.name, alias("b", bridge.network, WHOLE), bridge.mac, bridge.mtu)
        elif not bridge.existing and link.mtu != bridge.mtu:
            yield s.SetMtu(link.name, bridge.mtu, link.mtu)
        if bridge.trunk:
            yield from self._join(bridge, link)
        if link is None or not link.up:
            yield s.SetUp(bridge.name)
        if bridge.trunk and (self._goes_down(bridge, link) or not self.observed.by_name[bridge.trunk].up):
            yield s.SetUp(bridge.trunk)

    def _join(self, bridge: AwareBridge, link: ObservedLink | None) -> Iterator[s.Step]:
        trunk = self.observed.by_name[bridge.trunk]
        inside = link is not None and trunk.master == link.index
        if self._goes_down(bridge, link):
            yield s.SetDown(trunk.name)
        if not inside:
            yield a.JoinTrunk(trunk.name, bridge.name)
        if not any(self._watches(watch, bridge, link) for watch in self.observed.watched):
            yield a.WatchTrunk(trunk.name, bridge.name, bridge.native)
        members = self.members.get(trunk.index, {}) if inside else {}
        kept = self._used(link.index) & self._mine(trunk.index, link.index, members) if link and inside else set()
        # the native VLAN last: it takes the PVID, which nothing else may have by then
        for vid in sorted(kept | set(bridge.vids), key=lambda each: (each == bridge.native, each)):
            entry = members.get(vid)
            if entry is None or _wrong(entry, bridge):
                yield a.AddVlan(trunk.name, bridge.name, vid, vid == bridge.native)

    def _watches(self, watch: Watched, bridge: AwareBridge, link: ObservedLink | None) -> bool:
        trunk = self.observed.by_name[bridge.trunk]
        return link is not None and watch == (trunk.index, link.index, bridge.native)

    def _goes_down(self, bridge: AwareBridge, link: ObservedLink | None) -> bool:
        """Must the trunk go down now, to join?"""
        trunk = self.observed.by_name[bridge.trunk]
        return link is not None and trunk.master != link.index and self._down_to_join(trunk, link.index)

    def _down_to_join(self, trunk: ObservedLink, bridge: int) -> bool:
        """With a default PVID untagged frames would cross for a moment. What stands on the trunk would lose its routes
        with it, so then it stays up (such a join is refused, refuse_vlans)."""
        default = any(facts.bridge == bridge and facts.default_pvid for facts in self.observed.bridges)
        above = any(link.kind == "vlan" and link.peer == trunk.index for link in self.observed.links)
        return trunk.up and default and not above


def _wrong(entry: Member, bridge: AwareBridge) -> bool:
    native = entry.vid == bridge.native
    return (entry.pvid, entry.untagged) != (native, native)
