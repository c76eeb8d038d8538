"""A pure model of a node that executes steps: the plan's tests hold it against this, and against a kernel elsewhere.

It is strict where the kernel is (a name taken, a link missing, a bridge with ports, a port in two bridges), so a plan
that would fail on a node fails here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from bascule.errors import BasculeError
from bascule.hostplan import steps as s
from bascule.hostplan import vlan_aware_model
from bascule.hostplan.observed import Observed, ObservedLink

FIRST_NEW = 10_000


class SimulationError(BasculeError):
    """A step that this node could not execute."""


def run(steps: Iterable[s.Step], observed: Observed) -> Observed:
    """The node after the steps. Raises SimulationError for a step that cannot be executed."""
    for step in steps:
        if type(step) in vlan_aware_model.HANDLERS:
            try:
                observed = vlan_aware_model.HANDLERS[type(step)](observed, step)
            except vlan_aware_model.Impossible as why:
                raise SimulationError(f"{step}: {why}") from None
        else:
            observed = _HANDLERS[type(step)](observed, step)
    return observed


def _link(observed: Observed, name: str, step: s.Step) -> ObservedLink:
    link = observed.by_name.get(name)
    if link is None:
        raise SimulationError(f"{step}: no link {name}")
    return link


def _index(observed: Observed, name: str, step: s.Step) -> int:
    index = observed.index_of(name)
    if index is None:
        raise SimulationError(f"{step}: no link {name}")
    return index


def _change(observed: Observed, link: ObservedLink, **values: Any) -> Observed:
    links = tuple(replace(link, **values) if each.index == link.index else each for each in observed.links)
    return replace(observed, links=links)


def _add(observed: Observed, step: s.Step, *links: ObservedLink) -> Observed:
    for link in links:
        if link.name in observed.by_name:
            raise SimulationError(f"{step}: {link.name} exists")
    return replace(observed, links=(*observed.links, *links))


def _next_index(observed: Observed) -> int:
    """Above every index in sight and above FIRST_NEW, as the kernel counts on and does not reuse one at once: an index
    that only a map named, and that a step took out of it, must not become a new link's."""
    entries = [*observed.demux, *((t, i, 0) for i, t, _ in observed.mux), *((t, 0, 0) for t, _ in observed.native)]
    used = {link.index for link in observed.links} | {t for t, _, _ in entries} | {i for _, _, i in entries}
    return max(used | {i for _, i, _ in entries} | observed.attached | {FIRST_NEW}) + 1


def _create_bridge(observed: Observed, step: s.CreateBridge) -> Observed:
    link = ObservedLink(_next_index(observed), step.name, "bridge", step.alias, mtu=step.mtu, mac=step.mac)
    return _add(observed, step, link)


def _delete_bridge(observed: Observed, step: s.DeleteBridge) -> Observed:
    link = _link(observed, step.name, step)
    if link.up or any(each.master == link.index for each in observed.links):
        raise SimulationError(f"{step}: it is up or has ports")
    return replace(observed, links=tuple(each for each in observed.links if each.index != link.index))


def _create_stub(observed: Observed, step: s.CreateStub) -> Observed:
    peer = _next_index(observed)
    return _add(
        observed,
        step,
        ObservedLink(peer, step.peer, "veth", step.peer_alias, mtu=step.mtu, peer=peer + 1),
        ObservedLink(peer + 1, step.stub, "veth", step.stub_alias, mtu=step.mtu, peer=peer),
    )


def _delete_stub(observed: Observed, step: s.DeleteStub) -> Observed:
    link = _link(observed, step.stub, step)
    gone = {link.index, link.peer}
    return replace(observed, links=tuple(each for each in observed.links if each.index not in gone))


def _set_mux(observed: Observed, step: s.SetMux) -> Observed:
    stub = _index(observed, step.stub, step)
    others = {entry for entry in observed.mux if entry[0] != stub}
    return replace(observed, mux=frozenset(others | {(stub, _index(observed, step.trunk, step), step.vid)}))


def _unset_mux(observed: Observed, step: s.UnsetMux) -> Observed:
    stub = _index(observed, step.stub, step)
    return replace(observed, mux=frozenset(entry for entry in observed.mux if entry[0] != stub))


def _set_demux(observed: Observed, step: s.SetDemux) -> Observed:
    key = (_index(observed, step.trunk, step), step.vid)
    others = {entry for entry in observed.demux if entry[:2] != key}
    return replace(observed, demux=frozenset(others | {(*key, _index(observed, step.stub, step))}))


def _unset_demux(observed: Observed, step: s.UnsetDemux) -> Observed:
    key = (_index(observed, step.trunk, step), step.vid)
    return replace(observed, demux=frozenset(entry for entry in observed.demux if entry[:2] != key))


def _set_native(observed: Observed, step: s.SetNative) -> Observed:
    trunk = _index(observed, step.trunk, step)
    others = {entry for entry in observed.native if entry[0] != trunk}
    return replace(observed, native=frozenset(others | {(trunk, step.vid)}))


def _unset_native(observed: Observed, step: s.UnsetNative) -> Observed:
    trunk = _index(observed, step.trunk, step)
    return replace(observed, native=frozenset(entry for entry in observed.native if entry[0] != trunk))


def _attach(observed: Observed, step: s.AttachTrunk) -> Observed:
    return replace(observed, attached=observed.attached | {_index(observed, step.trunk, step)})


def _detach(observed: Observed, step: s.DetachTrunk) -> Observed:
    return replace(observed, attached=observed.attached - {_index(observed, step.trunk, step)})


def _enslave(observed: Observed, step: s.Enslave) -> Observed:
    link, bridge = _link(observed, step.link, step), _index(observed, step.bridge, step)
    if link.master:
        raise SimulationError(f"{step}: it is a port of {observed.name_of(link.master)} already")
    return _change(observed, link, master=bridge)


def _release(observed: Observed, step: s.Release) -> Observed:
    return _change(observed, _link(observed, step.link, step), master=0)


def _set_up(observed: Observed, step: s.SetUp) -> Observed:
    return _change(observed, _link(observed, step.link, step), up=True)


def _set_down(observed: Observed, step: s.SetDown) -> Observed:
    return _change(observed, _link(observed, step.link, step), up=False)


def _set_mtu(observed: Observed, step: s.SetMtu) -> Observed:
    return _change(observed, _link(observed, step.link, step), mtu=step.mtu)


_HANDLERS: dict[type[s.Step], Callable[[Observed, Any], Observed]] = {
    s.CreateBridge: _create_bridge,
    s.DeleteBridge: _delete_bridge,
    s.CreateStub: _create_stub,
    s.DeleteStub: _delete_stub,
    s.SetMux: _set_mux,
    s.UnsetMux: _unset_mux,
    s.SetDemux: _set_demux,
    s.UnsetDemux: _unset_demux,
    s.SetNative: _set_native,
    s.UnsetNative: _unset_native,
    s.AttachTrunk: _attach,
    s.DetachTrunk: _detach,
    s.Enslave: _enslave,
    s.Release: _release,
    s.SetUp: _set_up,
    s.SetDown: _set_down,
    s.SetMtu: _set_mtu,
}
