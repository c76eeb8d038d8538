"""Blast radius: what hangs on the links that a plan touches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from bascule.hostplan.desired import Desired
from bascule.hostplan.observed import Observed
from bascule.hostplan.steps import Step
from bascule.resources.pod import PodNic
from bascule.trunks.change import touched

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Flows of the last minute of the VMs concerned."""

    flows: int = 0
    packets: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Blast:
    """Whom a plan can hurt: VMs as `namespace/name`, VLANs as `network/vid`, links by name."""

    vms: tuple[str, ...]
    vlans: tuple[str, ...]
    links: tuple[str, ...]
    traffic: Traffic = Traffic()

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


def places(steps: Iterable[Step], desired: Desired, observed: Observed) -> frozenset[Place]:
    """The segments whose bridge, stub or trunk entry the steps touch, and, where a trunk's program comes or goes or a
    trunk is set up or down, all of that trunk."""
    steps = tuple(steps)
    names = touched(step for step in steps if not _only_entry(step))
    hit = {
        (owner.network, owner.vid) for link in observed.links if (owner := link.owner) and link.name in touched(steps)
    }
    for trunk, vid, stub in observed.demux:
        link = observed.by_index.get(stub)
        if link and link.owner and observed.name_of(trunk) in names:
            hit.add((link.owner.network, vid))
    hit |= {(segment.network, segment.vid) for segment in desired.segments if segment.trunk in names}
    return frozenset(hit)


def blast(
    steps: Iterable[Step], desired: Desired, observed: Observed, nics: Iterable[PodNic], traffic: Traffic | None = None
) -> Blast:
    """The blast radius of steps for the ports of a node."""
    steps = tuple(steps)
    hit = places(steps, desired, observed)
    vms = sorted({f"{nic.namespace}/{nic.vm}" for nic in nics if (nic.network, nic.vlan) in hit})
    vlans = tuple(f"{network}/{vid}" for network, vid in sorted(hit))
    return Blast(tuple(vms), vlans, tuple(sorted(touched(steps))), traffic or Traffic())


def _only_entry(step: Step) -> bool:
    """Does the step change one VLAN's entry of its trunk and nothing else of it?"""
    return bool(getattr(step, "stub", "")) or bool(getattr(step, "vid", 0))
