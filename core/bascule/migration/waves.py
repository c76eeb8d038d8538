"""Waves: VMs that talk to each other move together, as far as a wave's room allows.

Conversations are edges weighted by bytes. The heaviest are joined first, while the group still fits into a wave; VMs
that share a disk are joined before all others. Groups fill waves one after another, those with the fewest ties to the
rest first, so that what is learnt is learnt where it costs least. Ties are broken by name, never by chance.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bascule.estate.model import Vm
from bascule.migration.options import Options
from bascule.migration.talk import pairs
from bascule.migration.world import World

_MOST_CROSSING = 20


@dataclass(frozen=True, slots=True)
class Wave:
    """`vms` are keys; `inside` bytes stay within the wave, `crossing` lists the heaviest pairs that will talk across
    the old and the new side until the other's wave: (VM name, VM name, bytes, the other's wave)."""

    number: int
    vms: tuple[str, ...]
    gib: int
    inside: int
    crossing: tuple[tuple[str, str, int, int], ...]


class _Groups:
    """Union-find with the room each group takes."""

    def __init__(self, vms: Sequence[Vm]) -> None:
        self._parent = {vm.key: vm.key for vm in vms}
        self._size = {vm.key: (1, vm.disk_mib) for vm in vms}

    def root(self, key: str) -> str:
        while self._parent[key] != key:
            self._parent[key] = self._parent[self._parent[key]]
            key = self._parent[key]
        return key

    def join(self, a: str, b: str, limit: tuple[int, int] | None) -> None:
        """Make two groups one, unless that would exceed `limit` (VMs, MiB)."""
        a, b = sorted((self.root(a), self.root(b)))
        if a == b:
            return
        vms, mib = (one + other for one, other in zip(self._size[a], self._size[b], strict=True))
        if limit and (vms > limit[0] or mib > limit[1]):
            return
        self._parent[b] = a
        self._size[a] = vms, mib

    def size(self, root: str) -> tuple[int, int]:
        return self._size[root]


def plan_waves(world: World, vms: Sequence[Vm], options: Options) -> list[Wave]:
    """Every VM of `vms` in one wave."""
    by_key = {vm.key: vm for vm in vms}
    edges = {
        (a, b): weight
        for (a, b), weight in pairs(world.talks or (), world.owners).items()
        if a in by_key and b in by_key
    }
    limit = options.wave_vms, options.wave_gib << 10
    groups = _Groups(vms)
    for a, b in _sharing(vms):
        groups.join(a, b, None)
    for a, b in sorted(edges, key=lambda edge: (-edges[edge], edge)):
        groups.join(a, b, limit)
    members: dict[str, list[str]] = defaultdict(list)
    for vm in vms:
        members[groups.root(vm.key)].append(vm.key)
    outside: dict[str, int] = defaultdict(int)
    for (a, b), weight in edges.items():
        if groups.root(a) != groups.root(b):
            outside[groups.root(a)] += weight
            outside[groups.root(b)] += weight
    vlan = {seat.vm.key: seat.vlan or 0 for seat in reversed(world.seats)}
    order = sorted(members, key=lambda root: (outside[root], vlan.get(root, 0), by_key[root].name, root))
    packed = _pack([(members[root], groups.size(root)) for root in order], limit)
    return _told(packed, by_key, edges)


def _sharing(vms: Iterable[Vm]) -> list[tuple[str, str]]:
    holder: dict[str, str] = {}
    found = []
    for vm in vms:
        for disk in vm.disks:
            if disk.path:
                first = holder.setdefault(disk.path, vm.key)
                if first != vm.key:
                    found.append((first, vm.key))
    return found


def _pack(groups: list[tuple[list[str], tuple[int, int]]], limit: tuple[int, int]) -> list[list[str]]:
    """First fit: each group into the first wave with room; waves that are full are not looked at again."""
    waves: list[tuple[list[str], list[int]]] = []
    first = 0
    for keys, (vms, mib) in groups:
        for keep, used in waves[first:]:
            if used[0] + vms <= limit[0] and used[1] + mib <= limit[1]:
                keep += keys
                used[0] += vms
                used[1] += mib
                break
        else:
            waves.append(([*keys], [vms, mib]))
        while first < len(waves) and (waves[first][1][0] >= limit[0] or waves[first][1][1] >= limit[1]):
            first += 1
    return [keys for keys, _ in waves]


def _told(packed: list[list[str]], by_key: dict[str, Vm], edges: dict[tuple[str, str], int]) -> list[Wave]:
    wave_of = {key: number for number, keys in enumerate(packed, 1) for key in keys}
    inside: dict[int, int] = defaultdict(int)
    crossing: dict[int, list[tuple[str, str, int, int]]] = defaultdict(list)
    for (a, b), weight in edges.items():
        if wave_of[a] == wave_of[b]:
            inside[wave_of[a]] += weight
        else:
            crossing[wave_of[a]].append((by_key[a].name, by_key[b].name, weight, wave_of[b]))
            crossing[wave_of[b]].append((by_key[b].name, by_key[a].name, weight, wave_of[a]))
    return [
        Wave(
            number,
            tuple(sorted(keys, key=lambda key: (by_key[key].name, key))),
            -(-sum(by_key[key].disk_mib for key in keys) // 1024),
            inside[number],
            tuple(sorted(crossing[number], key=lambda each: (-each[2], each))[:_MOST_CROSSING]),
        )
        for number, keys in enumerate(packed, 1)
    ]
