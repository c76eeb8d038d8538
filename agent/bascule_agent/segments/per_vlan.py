"""The `per_vlan` driver: one plain bridge per VLAN, the trunk taken apart and put together by port.c's programs.

A plain bridge per VLAN, because one bridge for several VLANs shares its forwarding table and a MAC present in two of
them then loses nearly all frames. Every step is harmless when it already holds. Links are created, changed and deleted
only when their alias is ours; the trunk itself is only set up and given a program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import singledispatchmethod
from typing import Any, Protocol

from bascule.errors import BasculeError
from bascule.hostplan import names
from bascule.hostplan import steps as s
from bascule.hostplan.observed import Observed
from bascule_agent.netlink import Link, Netlink
from bascule_agent.segments.errors import SegmentError
from bascule_agent.segments.observe import observe_addresses, observe_links

DEMUX, MUX = "demux_in", "mux_out"


class Maps(Protocol):
    """What the driver asks of the pins: bpf.objects.Objects, and in the dead-man process apply.pinned.Pinned."""

    programs: dict[str, int]

    def program_id(self, name: str) -> int: ...
    def put(self, name: str, key: tuple[Any, ...], value: tuple[Any, ...]) -> None: ...
    def remove(self, name: str, *key: Any) -> bool: ...
    def rows(self, name: str) -> tuple[Any, Any]: ...


class PerVlan:
    """Executes steps in one node's namespace. Blocking; call it from a worker thread."""

    def __init__(self, netlink: Netlink, objects: Maps) -> None:
        self._netlink = netlink
        self._objects = objects

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

    def observe(self, links: Iterable[Link] | None = None) -> Observed:
        """What is there now, from netlink (or these links, just read) and the maps. About 20 µs a link."""
        seen = observe_links(self._netlink, links)
        stubs = {int(stub): (int(stub), int(entry["trunk"]), int(entry["vid"])) for stub, entry in self._rows("stubs")}
        holders = frozenset(self._netlink.filter_holders())
        return Observed(
            links=seen,
            demux=frozenset(
                (int(key["ifindex"]), int(key["vid"]), int(segment["stub"])) for key, segment in self._rows("trunks")
            ),
            mux=frozenset(stubs[index] for index in holders & stubs.keys() if self._runs(index, "egress", MUX)),
            native=frozenset((int(trunk), int(vid)) for trunk, vid in self._rows("native")),
            attached=frozenset(index for index in holders - stubs.keys() if self._runs(index, "ingress", DEMUX)),
            addresses=observe_addresses(self._netlink),
        )

    def _rows(self, name: str) -> list[tuple[Any, Any]]:
        return list(zip(*self._objects.rows(name), strict=True))

    def _runs(self, index: int, direction: str, program: str) -> bool:
        ids = [entry.prog_id for entry in self._netlink.filters(index, direction)]
        return ids == [self._objects.program_id(program)]

    def _index(self, name: str) -> int:
        link = self._netlink.find(name)
        index = link.index if link else names.parse_index_name(name)
        if index is None:
            raise SegmentError(f"no link {name}")
        return index

    def _ours(self, name: str) -> Link:
        link = self._netlink.link(name)
        if names.parse_alias(link.alias) is None:
            raise SegmentError(f"link {name} is not ours", cause=f"its alias is {link.alias!r}")
        return link

    @singledispatchmethod
    def _run(self, step: s.Step) -> None:
        raise SegmentError(f"per_vlan does not know the step {type(step).__name__}")

    @_run.register
    def _create_bridge(self, step: s.CreateBridge) -> None:
        link = self._netlink.find(step.name)
        if link is None:
            self._netlink.add_bridge(step.name, step.mac, alias=step.alias, mtu=step.mtu)
        elif link.alias != step.alias:
            raise SegmentError(f"a link {step.name} exists that is not ours", cause=f"its alias is {link.alias!r}")

    @_run.register
    def _create_stub(self, step: s.CreateStub) -> None:
        link = self._netlink.find(step.stub)
        if link is None:
            self._netlink.add_veth(step.stub, step.peer, alias=step.stub_alias, mtu=step.mtu)
            self._netlink.set(self._netlink.link(step.peer).index, alias=step.peer_alias)
        elif link.alias != step.stub_alias:
            raise SegmentError(f"a link {step.stub} exists that is not ours", cause=f"its alias is {link.alias!r}")

    @_run.register(s.DeleteBridge)
    @_run.register(s.DeleteStub)
    def _delete(self, step: s.DeleteBridge | s.DeleteStub) -> None:
        name = step.name if isinstance(step, s.DeleteBridge) else step.stub
        if self._netlink.find(name) is not None:
            self._netlink.delete(self._ours(name).index)

    @_run.register
    def _set_mux(self, step: s.SetMux) -> None:
        stub = self._ours(step.stub).index
        self._objects.put("stubs", (stub,), (self._index(step.trunk), step.vid))
        self._netlink.attach_bpf(stub, "egress", self._objects.programs[MUX], MUX)

    @_run.register
    def _unset_mux(self, step: s.UnsetMux) -> None:
        self._objects.remove("stubs", self._index(step.stub))

    @_run.register
    def _set_demux(self, step: s.SetDemux) -> None:
        stub = self._ours(step.stub)
        self._objects.put("trunks", (self._index(step.trunk), step.vid), (stub.index, stub.master))

    @_run.register
    def _unset_demux(self, step: s.UnsetDemux) -> None:
        self._objects.remove("trunks", self._index(step.trunk), step.vid)

    @_run.register
    def _set_native(self, step: s.SetNative) -> None:
        self._objects.put("native", (self._index(step.trunk),), (step.vid,))

    @_run.register
    def _unset_native(self, step: s.UnsetNative) -> None:
        self._objects.remove("native", self._index(step.trunk))

    @_run.register
    def _attach_trunk(self, step: s.AttachTrunk) -> None:
        self._netlink.attach_bpf(self._index(step.trunk), "ingress", self._objects.programs[DEMUX], DEMUX)

    @_run.register
    def _detach_trunk(self, step: s.DetachTrunk) -> None:
        link = self._netlink.find(step.trunk)
        if link and self._runs(link.index, "ingress", DEMUX):
            self._netlink.detach_bpf(link.index, "ingress", DEMUX)

    @_run.register
    def _enslave(self, step: s.Enslave) -> None:
        link, bridge = self._ours(step.link), self._ours(step.bridge).index
        if link.master != bridge:
            self._netlink.set(link.index, master=bridge)
        self._tell_bridge(link.index, bridge)

    def _tell_bridge(self, stub: int, bridge: int) -> None:
        """The trunk program looks moved MACs up by bridge: keep what it knows about a stub true."""
        for key, segment in zip(*self._objects.rows("trunks"), strict=True):
            if segment["stub"] == stub and segment["bridge"] != bridge:
                self._objects.put("trunks", (int(key["ifindex"]), int(key["vid"])), (stub, bridge))

    @_run.register
    def _release(self, step: s.Release) -> None:
        link = self._ours(step.link)
        if link.master:
            self._netlink.set(link.index, master=0)

    @_run.register
    def _set_up(self, step: s.SetUp) -> None:
        self._netlink.set(self._index(step.link), up=True)

    @_run.register
    def _set_down(self, step: s.SetDown) -> None:
        if self._netlink.find(step.link) is not None:
            self._netlink.set(self._index(step.link), up=False)

    @_run.register
    def _set_mtu(self, step: s.SetMtu) -> None:
        self._netlink.set(self._ours(step.link).index, mtu=step.mtu)
