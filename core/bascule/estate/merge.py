"""Several sources to one estate: the same VM, port group, switch or host of two sources becomes one object.

The earlier source counts; a later one fills in what the earlier leaves empty, and where both say something different
that is a conflict, shown and not resolved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from bascule.estate.document import plain
from bascule.estate.model import Conflict, Estate, Host, Nic, PortGroup, Switch, Vlan, Vm

_IDENTITY = ("key", "place", "index", "server", "id", "hosts", "port_group")
_EMPTY = ("", 0, (), None, False, Vlan())
T = TypeVar("T", Vm, Nic, PortGroup, Switch, Host)


def merge(estates: Sequence[Estate]) -> Estate:
    """One estate of all, in the order of the sources."""
    if len(estates) == 1:
        return estates[0]
    conflicts: list[Conflict] = [each for estate in estates for each in estate.conflicts]
    groups, group_keys = _groups(estates, conflicts)
    return Estate(
        sources=tuple(each for estate in estates for each in estate.sources),
        vms=tuple(_vms(estates, group_keys, conflicts)),
        port_groups=tuple(groups),
        switches=tuple(_plainly([each for estate in estates for each in estate.switches], conflicts)),
        hosts=tuple(_plainly([each for estate in estates for each in estate.hosts], conflicts)),
        rejected=tuple(dict.fromkeys(each for estate in estates for each in estate.rejected)),
        conflicts=tuple(dict.fromkeys(conflicts)),
    )


def _plainly(found: Iterable[T], conflicts: list[Conflict]) -> list[T]:
    """Objects whose key alone says that they are the same."""
    kept: dict[str, T] = {}
    for each in found:
        assert not isinstance(each, Nic)
        kept[each.key] = _joined(kept[each.key], each, each.name, conflicts) if each.key in kept else each
    return list(kept.values())


def _groups(estates: Sequence[Estate], conflicts: list[Conflict]) -> tuple[list[PortGroup], dict[tuple[int, str], str]]:
    """Port groups: the same key, or the same name where one source knows neither switch nor server."""
    kept: dict[str, PortGroup] = {}
    keys: dict[tuple[int, str], str] = {}
    for number, estate in enumerate(estates):
        by_name: dict[str, list[str]] = defaultdict(list)
        for key, group in kept.items():
            by_name[group.name].append(key)
        for group in estate.port_groups:
            same = group.key if group.key in kept else ""
            if not same and (not (group.server or group.switch) or len(by_name[group.name]) == 1):
                loose = [
                    key
                    for key in by_name[group.name]
                    if not (group.server and kept[key].server and group.server != kept[key].server)
                    and not (group.switch and kept[key].switch and group.switch != kept[key].switch)
                ]
                same = loose[0] if len(loose) == 1 else ""
            keys[number, group.key] = same or group.key
            if same:
                kept[same] = _joined(kept[same], group, f"port group {group.name}", conflicts)
            else:
                kept[group.key] = group
    return list(kept.values()), keys


def _vms(estates: Sequence[Estate], groups: dict[tuple[int, str], str], conflicts: list[Conflict]) -> list[Vm]:
    kept: dict[str, Vm] = {}
    for number, estate in enumerate(estates):
        by: dict[tuple[str, str], list[str]] = defaultdict(list)
        for key, vm in kept.items():
            for word, value in (("uuid", vm.uuid), ("name", vm.name)):
                if value:
                    by[word, value].append(key)
        for vm in estate.vms:
            nics = tuple(replace(nic, port_group=groups.get((number, nic.port_group), "")) for nic in vm.nics)
            vm = replace(vm, nics=nics)
            same = _same(vm, kept, by)
            if same:
                kept[same] = _joined_vm(kept[same], vm, conflicts)
            else:
                kept[vm.key] = vm
    return list(kept.values())


def _same(vm: Vm, kept: dict[str, Vm], by: dict[tuple[str, str], list[str]]) -> str:
    """The VM that an earlier source has already: by key, by uuid, by a name that is the only one there."""
    if vm.key in kept:
        return vm.key
    for word, value in (("uuid", vm.uuid), ("name", vm.name)):
        found = by.get((word, value), []) if value else []
        if len(found) != 1:
            continue
        other = kept[found[0]]
        if word == "name" and vm.uuid and other.uuid and vm.uuid != other.uuid:
            continue
        if vm.server and other.server and vm.server != other.server:
            continue
        return other.key
    return ""


def _joined_vm(kept: Vm, other: Vm, conflicts: list[Conflict]) -> Vm:
    joined = _joined(kept, replace(other, nics=(), disks=(), addresses=(), tags=()), f"VM {kept.name}", conflicts)
    nics = list(kept.nics)
    free = set(range(len(nics)))
    for nic in other.nics:
        at = _same_nic(nic, nics, free, len(other.nics))
        if at < 0:
            nics.append(replace(nic, index=len(nics)))
        else:
            free.discard(at)
            nics[at] = _joined(nics[at], nic, f"VM {kept.name} NIC {at}", conflicts)
    tags = {**dict(other.tags), **dict(kept.tags)}
    disks = kept.disks or other.disks
    addresses = tuple(dict.fromkeys((*kept.addresses, *other.addresses)))
    return replace(joined, nics=tuple(nics), disks=disks, addresses=addresses, tags=tuple(tags.items()))


def _same_nic(nic: Nic, nics: Sequence[Nic], free: set[int], number: int) -> int:
    """Which of the earlier NICs this is: by MAC, by port group, by being the only one; -1 for none."""
    for at in sorted(free):
        if nic.mac and nics[at].mac == nic.mac:
            return at
    for at in sorted(free):
        if nic.port_group and nics[at].port_group == nic.port_group and not (nic.mac and nics[at].mac):
            return at
    only = number == 1 and len(nics) == 1 and 0 in free
    return 0 if only else -1


def _joined(kept: T, other: T, name: str, conflicts: list[Conflict]) -> T:
    """`kept`, with what it leaves empty from `other`; what differs is a conflict."""
    changes: dict[str, Any] = {}
    for each in fields(kept):
        old, new = getattr(kept, each.name), getattr(other, each.name)
        if old == new or new in _EMPTY:
            continue
        if old in _EMPTY and each.name != "key":
            changes[each.name] = new
        elif each.name not in _IDENTITY:
            conflicts.append(Conflict(name, each.name, _text(old), kept.place, _text(new), other.place))
    return replace(kept, **changes) if changes else kept


def _text(value: Any) -> str:
    if isinstance(value, Vlan):
        return value.text
    if isinstance(value, tuple):
        return ", ".join(each if isinstance(each, str) else str(plain(each)) for each in value)
    return str(value)
