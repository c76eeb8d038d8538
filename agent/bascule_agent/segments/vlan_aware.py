"""The `vlan_aware` driver: one bridge that keeps VLANs apart itself, the trunk a tagged port of it.

For bridges of other owners (existingBridge) and for Networks that ask for it. Of another owner's bridge it changes
three things only: whether it is up, which ports of ours are in it, and which VLANs those have. The bridge's own
memberships, its settings and every other port stay as they are. A trunk that is in the bridge already loses only what
the ledger says we added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import singledispatchmethod

from bascule.errors import BasculeError
from bascule.hostplan import names
from bascule.hostplan import steps as s
from bascule.hostplan import vlan_aware_steps as a
from bascule.hostplan.observed import Observed
from bascule.hostplan.vlan_aware_facts import BridgeFacts, Member
from bascule_agent.netlink import BridgeSettings, Link, Netlink
from bascule_agent.segments.errors import SegmentError
from bascule_agent.segments.ledger import Ledger
from bascule_agent.segments.observe import observe_links
from bascule_agent.segments.per_vlan import Maps

_STEPS = (a.CreateAware, a.DeleteAware, a.JoinTrunk, a.LeaveTrunk, a.AddVlan, a.DropVlan, a.WatchTrunk, a.UnwatchTrunk)
WATCH = "watch_in"
_NO_FILTER = "this kernel's bridge does not filter VLANs (CONFIG_BRIDGE_VLAN_FILTERING)"


class VlanAware:
    """Executes steps in one node's namespace. Blocking; call it from a worker thread."""

    def __init__(self, netlink: Netlink, objects: Maps) -> None:
        self._netlink = netlink
        self._objects = objects
        self._ledger = Ledger(objects)

    def knows(self, step: s.Step) -> bool:
        """Is it a step of this driver alone?"""
        return isinstance(step, _STEPS)

    def execute(self, step: s.Step) -> None:
        """Carry out one step. Raises SegmentError that names the step and says why."""
        try:
            self._run(step)
        except BasculeError as error:
            why = f"{error.message} ({error.cause})" if error.cause else error.message
            raise SegmentError(f"{step}: failed", cause=why, fix=error.fix) from error

    def run(self, steps: tuple[s.Step, ...], done: Callable[[s.Step], None] = lambda _: None) -> None:
        """Carry out steps in order, calling `done` after each; the first failure ends it (SegmentError)."""
        for step in steps:
            self.execute(step)
            done(step)

    def observe(self) -> Observed:
        """What is there now, from netlink and the ledger."""
        links = self._netlink.links()
        return self.complete(Observed(links=observe_links(self._netlink, links)), links)

    def complete(self, seen: Observed, found: Iterable[Link]) -> Observed:
        """The same with what this driver observes of the links found: settings of bridges, memberships, the ledger."""
        links = [link for link in found if link.bridge is not None]
        filtering = any(link.bridge and link.bridge.vlan_filtering for link in links)
        vlans = self._netlink.vlans() if filtering else []
        return replace(
            seen,
            bridges=frozenset(self._facts(link) for link in links),
            vlans=frozenset(Member(entry.index, entry.vid, entry.pvid, entry.untagged) for entry in vlans),
            carried=self._ledger.carried(),
            joined=self._ledger.joined(),
            watched=frozenset(watch for watch in self._ledger.watched() if self._watches(watch.trunk)),
        )

    def _watches(self, trunk: int) -> bool:
        """Does our program run there? A link that is gone counts as if it did, so that its line goes."""
        if self._netlink.find(trunk) is None:
            return True
        ids = [entry.prog_id for entry in self._netlink.filters(trunk, "ingress")]
        return ids == [self._objects.program_id(WATCH)]

    def _facts(self, link: Link) -> BridgeFacts:
        told = link.bridge or BridgeSettings()
        pinned = True if names.parse_alias(link.alias) else self._netlink.mac_is_set(link.name)
        return BridgeFacts(link.index, told.vlan_filtering, told.vlan_protocol, told.default_pvid, pinned)

    def admit(self, ifindex: int, bridge: int, vid: int) -> None:
        """Make the link a port with this VLAN, untagged, and no other; down, for it is not policed yet.

        Does nothing in a bridge that does not filter VLANs, for a link that is as it should be, and for another
        bridge's port. Raises SegmentError when the kernel refuses.
        """
        link, home = self._netlink.link(ifindex), self._netlink.link(bridge)
        if not (home.bridge and home.bridge.vlan_filtering) or link.master not in (0, bridge):
            return
        wanted = (vid, True, True)
        found = [(entry.vid, entry.pvid, entry.untagged) for entry in self._netlink.vlans(ifindex)]
        if link.master == bridge and found == [wanted]:
            return
        try:
            self._netlink.set(ifindex, up=False)
            self._netlink.set(ifindex, master=bridge)
            # with a default PVID the kernel has put the new port into that VLAN
            for entry in self._netlink.vlans(ifindex):
                self._netlink.delete_vlan(ifindex, entry.vid)
            self._netlink.add_vlan(ifindex, vid, pvid=True, untagged=True)
        except BasculeError as error:
            raise SegmentError(
                f"{link.name} cannot have VLAN {vid} of {home.name}", cause=error.cause or error.message, fix=error.fix
            ) from error

    def _index(self, name: str) -> int:
        link = self._netlink.find(name)
        index = link.index if link else names.parse_index_name(name)
        if index is None:
            raise SegmentError(f"no link {name}")
        return index

    @singledispatchmethod
    def _run(self, step: s.Step) -> None:
        raise SegmentError(f"vlan_aware does not know the step {type(step).__name__}")

    @_run.register
    def _create(self, step: a.CreateAware) -> None:
        link = self._netlink.find(step.name)
        if link is None:
            link = self._netlink.add_bridge(step.name, step.mac, step.alias, step.mtu, vlan_filtering=True)
            if not (link.bridge and link.bridge.vlan_filtering):
                self._netlink.delete(link.index)
                raise SegmentError(_NO_FILTER, fix="leave the Network to the driver per_vlan")
        elif link.alias != step.alias:
            raise SegmentError(f"a link {step.name} exists that is not ours", cause=f"its alias is {link.alias!r}")

    @_run.register
    def _delete(self, step: a.DeleteAware) -> None:
        link = self._netlink.find(step.name)
        if link is None:
            return
        if names.parse_alias(link.alias) is None:
            raise SegmentError(f"link {step.name} is not ours", cause=f"its alias is {link.alias!r}")
        self._netlink.delete(link.index)

    @_run.register
    def _join(self, step: a.JoinTrunk) -> None:
        trunk, bridge = self._netlink.link(step.trunk), self._netlink.link(step.bridge)
        if trunk.master == bridge.index:
            return
        if trunk.master:
            raise SegmentError(f"{step.trunk} is a port of another bridge", fix=f"ip link set {step.trunk} nomaster")
        if not (bridge.bridge and bridge.bridge.vlan_filtering):
            raise SegmentError(f"{step.bridge} does not filter VLANs: a port of it would be in all of them")
        self._netlink.set(trunk.index, master=bridge.index)
        self._ledger.join(trunk.index, bridge.index)
        for entry in self._netlink.vlans(trunk.index):
            self._netlink.delete_vlan(trunk.index, entry.vid)

    @_run.register
    def _leave(self, step: a.LeaveTrunk) -> None:
        trunk, bridge = self._index(step.trunk), self._index(step.bridge)
        if not any(row.trunk == trunk for row in self._ledger.joined()):
            return
        link = self._netlink.find(trunk)
        if link and link.master == bridge:
            self._netlink.set(trunk, master=0)
        self._ledger.leave(trunk, bridge)

    @_run.register
    def _add_vlan(self, step: a.AddVlan) -> None:
        trunk, bridge = self._netlink.link(step.trunk), self._netlink.link(step.bridge)
        if trunk.master != bridge.index:
            raise SegmentError(f"{step.trunk} is no port of {step.bridge}")
        present = {entry.vid: entry for entry in self._netlink.vlans(trunk.index)}.get(step.vid)
        if present and (present.pvid, present.untagged) == (step.native, step.native):
            return
        self._netlink.add_vlan(trunk.index, step.vid, pvid=step.native, untagged=step.native)
        self._ledger.add(trunk.index, bridge.index, step.vid)

    @_run.register
    def _drop_vlan(self, step: a.DropVlan) -> None:
        trunk, bridge = self._index(step.trunk), self._index(step.bridge)
        link, home = self._netlink.find(trunk), self._netlink.find(bridge)
        ours = home is not None and names.parse_alias(home.alias) is not None
        if not (self._ledger.has(trunk, step.vid) or ours):
            return
        self._ledger.remove(trunk, step.vid)
        if link and link.master == bridge:
            self._netlink.delete_vlan(trunk, step.vid)

    @_run.register
    def _watch(self, step: a.WatchTrunk) -> None:
        trunk, bridge = self._netlink.link(step.trunk).index, self._netlink.link(step.bridge).index
        self._ledger.watch(trunk, bridge, step.native)
        self._netlink.attach_bpf(trunk, "ingress", self._objects.programs[WATCH], WATCH)

    @_run.register
    def _unwatch(self, step: a.UnwatchTrunk) -> None:
        trunk = self._index(step.trunk)
        if self._netlink.find(trunk) is not None:
            self._netlink.detach_bpf(trunk, "ingress", WATCH)
        if any(row.trunk == trunk for row in self._ledger.watched()):
            self._ledger.unwatch(trunk, self._index(step.bridge))
