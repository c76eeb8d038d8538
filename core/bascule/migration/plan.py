"""The migration plan: what becomes of every port group and VM, in which wave, and what has to be answered first.

`build` is a function of its input alone: the same estate, cluster, flows and options give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bascule.estate.model import Vm
from bascule.migration.names import target_names
from bascule.migration.options import Options
from bascule.migration.readiness import Assessment
from bascule.migration.segments import NetworkPlan, Segment, plan_networks
from bascule.migration.waves import Wave, plan_waves
from bascule.migration.world import Seat, World
from bascule.translate.names import is_value, plain, slug

SOLVED_BY_PLAN = frozenset({"vlan-in-network", "ip-in-pool", "pool-there", "nad-there", "trunk-on-nodes"})
"""Checks whose errors the plan's own documents mend."""
IDENTITY = frozenset({"ip-known", "mac-known"})
"""Checks without whose answer a VM would come up as another: unknown holds it back as an error does."""
WAVE_LABEL, LABEL = "bascule.dev/wave", "estate.bascule.dev/"
FORMAT = "bascule-plan/1"


@dataclass(frozen=True, slots=True)
class NicPlan:
    """One NIC: where it was, where it will be, and what it keeps. `ip` "" lets Calico choose; `dropped` are further
    addresses that cannot be kept."""

    name: str
    port_group: str
    network: str
    vlan: int
    nad: str
    mac: str
    ip: str
    dropped: tuple[str, ...]
    connected: bool


@dataclass(frozen=True, slots=True)
class VmPlan:
    """One VM; `wave` 0 and `held` why it is in none."""

    key: str
    name: str
    target: str
    wave: int
    nics: tuple[NicPlan, ...]
    labels: Mapping[str, str]
    held: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PolicyStep:
    """What "Carry the old firewall rules over" made: files with digest and number of objects, and labels by VM name."""

    files: tuple[tuple[str, str, int], ...] = ()
    labels: Mapping[str, Mapping[str, str]] | None = None


@dataclass(frozen=True)
class Plan:
    """`open` are questions that should be settled before anything is applied."""

    options: Options
    sources: tuple[str, ...]
    networks: NetworkPlan
    vms: tuple[VmPlan, ...]
    waves: tuple[Wave, ...]
    policy: PolicyStep
    open: tuple[str, ...]

    @property
    def moving(self) -> list[VmPlan]:
        """The VMs that are in a wave, wave by wave."""
        return sorted((vm for vm in self.vms if vm.wave), key=lambda vm: (vm.wave, vm.target))


def build(world: World, found: Assessment, options: Options, policy: PolicyStep | None = None) -> Plan:
    """Plan the move of a world that was assessed. Raises MigrationInputError when an option is missing."""
    policy = policy or PolicyStep()
    networks = plan_networks(world, options)
    names = target_names(world.vms)
    held = _held(world, found, networks, options)
    free = [vm for vm in world.vms if vm.key not in held]
    waves = plan_waves(world, free, options)
    wave_of = {key: wave.number for wave in waves for key in wave.vms}
    seats: dict[str, list[Seat]] = {}
    for seat in world.seats:
        seats.setdefault(seat.vm.key, []).append(seat)
    vms = tuple(
        VmPlan(
            vm.key,
            vm.name,
            names[vm.key],
            wave_of.get(vm.key, 0),
            tuple(_nic(seat, networks.segments) for seat in seats.get(vm.key, ()) if seat.vlan in networks.segments),
            _labels(vm, wave_of.get(vm.key, 0), options, policy),
            tuple(held.get(vm.key, ())),
        )
        for vm in world.vms
    )
    asked = [*networks.open, *(f"{each.text} ({each.id})" for each in found.questions if each.answer.startswith("unk"))]
    if world.talks is None:
        asked.append("no flows were recorded: waves follow VLANs and names, not who talks to whom")
    if not policy.files:
        asked.append(
            "no policies: without them every VM is open within its namespace's profile (plan build --policies)"
        )
    bare = [vm.name for vm in free if not vm.memory_mib]
    if bare:
        asked.append(f"memory of {len(bare)} VMs is not known ({bare[0]} …): KubeVirt refuses a VM without")
    sources = tuple(f"{source.name} {source.sha256[:12]}" for source in world.estate.sources)
    return Plan(options, sources, networks, vms, tuple(waves), policy, tuple(asked))


def _held(world: World, found: Assessment, networks: NetworkPlan, options: Options) -> dict[str, list[str]]:
    """Why a VM is in no wave: an error that the plan does not mend, an address, MAC or VLAN that nobody
    knows."""
    reasons: dict[str, list[str]] = {}
    taken = {vm.key for vm in world.vms if vm.name in options.take}
    for judged in found.judged:
        if judged.check.id in SOLVED_BY_PLAN:
            continue
        for result in judged.results:
            stops = result.verdict == "error" or judged.check.id in IDENTITY
            if stops and result.vm and result.vm not in taken:
                reasons.setdefault(result.vm, []).append(f"{judged.check.id}: {result.evidence}")
    for seat in world.seats:
        if seat.vlan not in networks.segments:
            why = f"vlan-known: {seat.name} has no VLAN that is known ({seat.nic.network or 'no network'})"
            reasons.setdefault(seat.vm.key, []).append(why)
    return reasons


def _nic(seat: Seat, segments: Mapping[int, Segment]) -> NicPlan:
    segment = segments[seat.vlan or 0]
    return NicPlan(
        f"net-{seat.nic.index}",
        seat.nic.network,
        segment.network,
        segment.vlan,
        segment.nad,
        seat.nic.mac,
        seat.nic.ips[0] if seat.nic.ips else "",
        (*seat.nic.ips[1:], *seat.nic.ips6),
        seat.nic.connected is not False,
    )


def _labels(vm: Vm, wave: int, options: Options, policy: PolicyStep) -> dict[str, str]:
    labels = {WAVE_LABEL: str(wave)} if wave else {}
    tags = dict(vm.tags)
    for name in options.labels:
        value = tags.get(name, "")
        if value:
            labels[LABEL + plain(name, 40)] = value if is_value(value) else slug(value)
    labels.update((policy.labels or {}).get(vm.name, {}))
    return dict(sorted(labels.items()))


def claims(plan: Plan) -> list[dict[str, Any]]:
    """Every address and MAC that the plan will claim."""
    return [
        {"vm": vm.target, "nic": nic.name, "network": nic.network, "vlan": nic.vlan, "ip": nic.ip, "mac": nic.mac}
        for vm in plan.moving
        for nic in vm.nics
    ]


def find(vms: Sequence[VmPlan], name: str) -> list[VmPlan]:
    """The VMs of that name: the old one, the new one, or the key."""
    return [vm for vm in vms if name in (vm.name, vm.target, vm.key)]
