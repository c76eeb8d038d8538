"""The steps of the vlan_aware driver on the model of simulate.py, with what a kernel does by itself: a new port gets
the bridge's default PVID, and a port that leaves loses its memberships."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bascule.hostplan import vlan_aware_steps as a
from bascule.hostplan.observed import Observed, ObservedLink
from bascule.hostplan.vlan_aware_facts import BridgeFacts, Carried, Joined, Member, Watched


class Impossible(Exception):
    """What a kernel would refuse; simulate.py makes an error of it that names the step."""


def _link(observed: Observed, name: str) -> ObservedLink:
    link = observed.by_name.get(name)
    if link is None:
        raise Impossible(f"no link {name}")
    return link


def _index(observed: Observed, name: str) -> int:
    index = observed.index_of(name)
    if index is None:
        raise Impossible(f"no link {name}")
    return index


def _create(observed: Observed, step: a.CreateAware) -> Observed:
    if step.name in observed.by_name:
        raise Impossible(f"{step.name} exists")
    rows = {index for row in observed.carried for index in (row.trunk, row.bridge)}
    rows |= {index for row in observed.joined for index in row}
    rows |= {index for row in observed.watched for index in row[:2]}
    index = max({link.index for link in observed.links} | rows, default=0) + 1
    link = ObservedLink(index, step.name, "bridge", step.alias, mtu=step.mtu, mac=step.mac)
    facts = BridgeFacts(index, True, "802.1Q", 0, True)
    return replace(observed, links=(*observed.links, link), bridges=observed.bridges | {facts})


def _delete(observed: Observed, step: a.DeleteAware) -> Observed:
    link = _link(observed, step.name)
    if link.up or any(each.master == link.index for each in observed.links):
        raise Impossible("it is up or has ports")
    links = tuple(each for each in observed.links if each != link)
    facts = frozenset(each for each in observed.bridges if each.bridge != link.index)
    return replace(observed, links=links, bridges=facts)


def _join(observed: Observed, step: a.JoinTrunk) -> Observed:
    trunk, bridge = _link(observed, step.trunk), _link(observed, step.bridge)
    if trunk.master:
        raise Impossible(f"it is a port of {observed.name_of(trunk.master)} already")
    pvid = any(each.bridge == bridge.index and each.default_pvid for each in observed.bridges)
    if pvid and trunk.up:
        raise Impossible("untagged frames would cross for a moment")
    links = tuple(replace(each, master=bridge.index) if each == trunk else each for each in observed.links)
    return replace(observed, links=links, joined=observed.joined | {Joined(trunk.index, bridge.index)})


def _leave(observed: Observed, step: a.LeaveTrunk) -> Observed:
    trunk, bridge = _index(observed, step.trunk), _index(observed, step.bridge)
    links = tuple(
        replace(each, master=0) if (each.index, each.master) == (trunk, bridge) else each for each in observed.links
    )
    gone = links != observed.links
    vlans = frozenset(entry for entry in observed.vlans if not (gone and entry.port == trunk))
    return replace(observed, links=links, vlans=vlans, joined=observed.joined - {Joined(trunk, bridge)})


def _add(observed: Observed, step: a.AddVlan) -> Observed:
    trunk, bridge = _link(observed, step.trunk), _link(observed, step.bridge)
    if trunk.master != bridge.index:
        raise Impossible(f"it is no port of {bridge.name}")
    new = Member(trunk.index, step.vid, step.native, step.native)
    others = {entry for entry in observed.vlans if entry[:2] != new[:2]}
    if step.native:
        others = {entry._replace(pvid=False) if entry.port == trunk.index else entry for entry in others}
    row = Carried(trunk.index, step.vid, bridge.index, True)
    return replace(observed, vlans=frozenset(others | {new}), carried=observed.carried | {row})


def _drop(observed: Observed, step: a.DropVlan) -> Observed:
    trunk, bridge = _index(observed, step.trunk), _index(observed, step.bridge)
    link = observed.by_index.get(trunk)
    inside = link is not None and link.master == bridge
    vlans = frozenset(entry for entry in observed.vlans if not (inside and entry[:2] == (trunk, step.vid)))
    carried = frozenset(row for row in observed.carried if row[:3] != (trunk, step.vid, bridge))
    return replace(observed, vlans=vlans, carried=carried)


def _watch(observed: Observed, step: a.WatchTrunk) -> Observed:
    trunk, bridge = _link(observed, step.trunk), _link(observed, step.bridge)
    if trunk.master != bridge.index:
        raise Impossible(f"it is no port of {bridge.name}")
    if any(watch.trunk == trunk.index for watch in observed.watched) or trunk.index in observed.attached:
        raise Impossible("another program of ours is on it")
    return replace(observed, watched=observed.watched | {Watched(trunk.index, bridge.index, step.native)})


def _unwatch(observed: Observed, step: a.UnwatchTrunk) -> Observed:
    trunk, bridge = _index(observed, step.trunk), _index(observed, step.bridge)
    return replace(observed, watched=observed.watched - {Watched(trunk, bridge, step.native)})


HANDLERS: dict[type[Any], Callable[[Observed, Any], Observed]] = {
    a.CreateAware: _create,
    a.DeleteAware: _delete,
    a.JoinTrunk: _join,
    a.LeaveTrunk: _leave,
    a.AddVlan: _add,
    a.DropVlan: _drop,
    a.WatchTrunk: _watch,
    a.UnwatchTrunk: _unwatch,
}
