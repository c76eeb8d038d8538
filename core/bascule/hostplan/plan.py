"""From what is observed to what is desired: ordered steps, each with an inverse.

The order: first what must go (maps before links, so that nothing is sent to a link that is being taken apart), then
what must come (programs and map entries before membership, membership before up, the trunk last), so no frame ever
crosses a half-built path. A segment that is no longer desired but still has a workload's port on its bridge is kept
as it is: an agent that has not heard of a pod yet, or a Network deleted too early, must not cut off a running VM.
"""

from __future__ import annotations

from collections.abc import Iterator

from bascule.hostplan import steps as s
from bascule.hostplan.desired import Desired, Segment
from bascule.hostplan.names import alias, link_name
from bascule.hostplan.observed import Observed, ObservedLink
from bascule.hostplan.owned import Key, Owned
from bascule.hostplan.vlan_aware_plan import plan_bridges


def plan(desired: Desired, observed: Observed) -> tuple[s.Step, ...]:
    """The steps that make the node look as desired; () when it does."""
    return (*_Planner(desired, observed).steps(), *plan_bridges(desired.bridges, observed))


class _Planner:
    def __init__(self, desired: Desired, observed: Observed) -> None:
        self.observed = observed
        self.owned = Owned.of(observed)
        self.segments: dict[Key, Segment] = {(item.network, item.vid): item for item in desired.segments}
        self.kept = self.owned.ports_in_use - self.segments.keys()
        trunked = {key for key, segment in self.segments.items() if segment.trunk}
        self.doomed = tuple(self.owned.surplus(self.segments.keys() | self.kept, trunked | self.kept))
        self.trunks = desired.trunks
        self.demux = {self._demux(item) for item in desired.segments if item.trunk}
        self.mux = {(stub, trunk, vid) for trunk, vid, stub in self.demux}
        self.native = {(use.name, use.native) for use in desired.trunks if use.native is not None}
        self.attached = {use.name for use in desired.trunks}
        self.doomed_indexes = {link.index for link in self.doomed}
        name = observed.name_of
        self.present_mux = {(name(i), name(t), vid) for i, t, vid in observed.mux if self._is_observed(name(i))}
        self._keep()

    def steps(self) -> Iterator[s.Step]:
        yield from self._unset()
        yield from self._release()
        yield from self._delete()
        yield from self._native()
        for segment in self.segments.values():
            yield from self._build(segment)
        yield from self._set()

    def _keep(self) -> None:
        """What the kept segments have stays, unless a desired one needs the very same VLAN of the trunk."""
        name = self.observed.name_of
        used = {(trunk, vid) for trunk, vid, _ in self.demux}
        stubs = {self.owned.pairs[key].stub.index for key in self.kept if key in self.owned.pairs}
        demux = {(name(t), vid, name(i)) for t, vid, i in self.observed.demux if i in stubs}
        mux = {(name(i), name(t), vid) for i, t, vid in self.observed.mux if i in stubs}
        demux = {entry for entry in demux if entry[:2] not in used}
        mux = {entry for entry in mux if entry[1:] not in used}
        self.demux |= demux
        self.mux |= mux
        busy = {trunk for trunk, _, _ in demux} | {trunk for _, trunk, _ in mux}
        self.native |= {
            (name(t), vid) for t, vid in self.observed.native if name(t) in busy - {use.name for use in self.trunks}
        }
        self.attached |= {name(t) for t in self.observed.attached if name(t) in busy}

    def _demux(self, segment: Segment) -> tuple[str, int, str]:
        pair = self.owned.pairs.get((segment.network, segment.vid))
        stub = pair.stub.name if pair else link_name("s", segment.network, segment.vid)
        return segment.trunk, segment.vid, stub

    def _is_observed(self, name: str) -> bool:
        """Is it the name of a link that is there now and will still be there when the steps are done?"""
        link = self.observed.by_name.get(name)
        return link is not None and link.index not in self.doomed_indexes

    def _unset(self) -> Iterator[s.Step]:
        name = self.observed.name_of
        for trunk, vid, stub in sorted(self.observed.demux):
            if (name(trunk), vid, name(stub)) not in self.demux or not self._is_observed(name(stub)):
                yield s.UnsetDemux(name(trunk), vid, name(stub))
        for stub, trunk, vid in sorted(self.observed.mux):
            if (name(stub), name(trunk), vid) not in self.mux or not self._is_observed(name(stub)):
                yield s.UnsetMux(name(stub), name(trunk), vid)
        for trunk, vid in sorted(self.observed.native):
            if (name(trunk), vid) not in self.native:
                yield s.UnsetNative(name(trunk), vid)
        for trunk in sorted(self.observed.attached):
            if name(trunk) not in self.attached:
                yield s.DetachTrunk(name(trunk))

    def _release(self) -> Iterator[s.Step]:
        """Take every link of ours out of a master it should not have."""
        doomed = self.doomed_indexes
        for link, owner in self.owned.links:
            key = (owner.network, owner.vid)
            if not link.master or (key in self.kept and not doomed & {link.index, link.master}):
                continue
            bridge = self.owned.bridges.get(key)
            pair = self.owned.pairs.get(key)
            at_home = bridge is not None and link.master == bridge.index and pair is not None and link == pair.stub
            if not (at_home and key in self.segments and self.segments[key].trunk):
                yield s.Release(link.name, self.observed.name_of(link.master))

    def _delete(self) -> Iterator[s.Step]:
        gone: set[int] = set()
        for link in sorted(self.doomed, key=lambda each: (each.kind != "veth", each.alias, each.name)):
            if link.index in gone:
                continue
            peer = self.observed.by_index.get(link.peer) if link.kind == "veth" else None
            yield from (s.SetDown(end.name) for end in (link, peer) if end and end.up)
            if link.kind == "bridge":
                yield s.DeleteBridge(link.name, link.alias, link.mac, link.mtu)
            else:
                gone |= {peer.index} if peer else set()
                yield from self._delete_pair(link, peer)

    def _delete_pair(self, link: ObservedLink, peer: ObservedLink | None) -> Iterator[s.Step]:
        """The inverse makes a sound pair: of a half whose other end is out of sight, the other end comes anew."""
        owner = link.owner
        if owner is None:
            return
        other = alias("x" if owner.role == "s" else "s", owner.network, owner.vid)
        if peer is None:
            name = link_name("x" if owner.role == "s" else "s", owner.network, owner.vid)
            yield s.DeleteStub(link.name, name, link.alias, other, link.mtu)
            return
        if peer.mtu != link.mtu:
            yield s.SetMtu(peer.name, link.mtu, peer.mtu)
        yield s.DeleteStub(link.name, peer.name, link.alias, peer.alias, link.mtu)

    def _build(self, segment: Segment) -> Iterator[s.Step]:
        network, vid = segment.network, segment.vid
        bridge, pair = self.owned.bridges.get((network, vid)), self.owned.pairs.get((network, vid))
        name = bridge.name if bridge else link_name("b", network, vid)
        if bridge is None:
            yield s.CreateBridge(name, alias("b", network, vid), segment.mac, segment.mtu)
        yield from self._mtu(bridge, segment.mtu)
        if segment.trunk:
            stub = pair.stub.name if pair else link_name("s", network, vid)
            peer = pair.peer.name if pair else link_name("x", network, vid)
            if pair is None:
                yield s.CreateStub(stub, peer, alias("s", network, vid), alias("x", network, vid), segment.mtu)
            else:
                yield from self._mtu(pair.stub, segment.mtu)
                yield from self._mtu(pair.peer, segment.mtu)
            if (stub, segment.trunk, vid) not in self.present_mux:
                yield s.SetMux(stub, segment.trunk, vid)
            if not (bridge and pair and pair.stub.master == bridge.index):
                yield s.Enslave(stub, name)
            yield from self._up(pair.peer if pair else None, peer)
            yield from self._up(pair.stub if pair else None, stub)
        yield from self._up(bridge, name)

    def _native(self) -> Iterator[s.Step]:
        """Before any stub sends: its first frame must not carry a tag that the native VLAN must not have."""
        native = {(self.observed.name_of(trunk), vid) for trunk, vid in self.observed.native}
        for trunk, vid in sorted(self.native - native):
            yield s.SetNative(trunk, vid)

    def _set(self) -> Iterator[s.Step]:
        name = self.observed.name_of
        demux = {
            (name(trunk), vid, name(stub)) for trunk, vid, stub in self.observed.demux if self._is_observed(name(stub))
        }
        attached = {name(trunk) for trunk in self.observed.attached}
        for trunk, vid, stub in sorted(self.demux - demux):
            yield s.SetDemux(trunk, vid, stub)
        for trunk in sorted(self.attached - attached):
            yield s.AttachTrunk(trunk)
        for use in self.trunks:
            yield from self._up(self.observed.by_name.get(use.name), use.name)

    def _mtu(self, link: ObservedLink | None, mtu: int) -> Iterator[s.Step]:
        if link and link.mtu != mtu:
            yield s.SetMtu(link.name, mtu, link.mtu)

    def _up(self, link: ObservedLink | None, name: str) -> Iterator[s.Step]:
        if link is None or not link.up:
            yield s.SetUp(name)
