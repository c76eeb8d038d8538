"""What is wrong with an address: two that claim it, a reservation it breaks, a stranger that uses it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bascule_console.store.claims import ASKED, HELD, PORT, Claim
from bascule_console.store.reserved import Plan
from bascule_console.store.sightings import Sighting

if TYPE_CHECKING:
    from bascule_console.store.addresses import Answer, Place


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one address's conflicts need to know of all others. `moving` are VMs with a migration in flight."""

    macs: Mapping[tuple[str, int | None, str], tuple[str, ...]]
    askers: Mapping[str, tuple[str, ...]]
    held: Mapping[tuple[str, str], frozenset[str]]
    moving: Mapping[str, str]
    plan: Plan

    @classmethod
    def of(cls, claims: list[Claim], moving: Mapping[str, str], plan: Plan) -> Evidence:
        """From every claim there is."""
        macs: dict[tuple[str, int | None, str], dict[str, None]] = {}
        askers: dict[str, dict[str, None]] = {}
        held: dict[tuple[str, str], set[str]] = {}
        for claim in claims:
            if claim.mac:
                macs.setdefault((claim.network, claim.vlan, claim.mac), {})[claim.vm] = None
            if claim.by == ASKED:
                askers.setdefault(claim.ip, {})[claim.vm] = None
            if claim.by == HELD:
                held.setdefault((claim.vm, claim.nic), set()).add(claim.ip)
        return cls(
            {key: tuple(owners) for key, owners in macs.items() if len(owners) > 1},
            {ip: tuple(owners) for ip, owners in askers.items() if len(owners) > 1},
            {key: frozenset(ips) for key, ips in held.items()},
            moving,
            plan,
        )


def conflicts(
    place: Place, claims: list[Claim], evidence: Evidence, reserved: str, seen: list[Sighting], answer: Answer | None
) -> list[str]:
    """Every conflict of one address as one sentence each, in the order of how the address lives."""
    found = [*_shared(place, claims, evidence), *_not_given(place, claims, evidence, reserved)]
    found += _two_ports(claims, evidence)
    found += _wire(claims, reserved, seen, answer)
    return list(dict.fromkeys(found))


def _shared(place: Place, claims: list[Claim], evidence: Evidence) -> list[str]:
    network, vlan, ip = place
    found = []
    vms = list(dict.fromkeys(claim.vm for claim in claims))
    if len(vms) > 1:
        found.append(f"claimed by {' and '.join(vms)}: IPAM gives an address once")
    elif claims and ip in evidence.askers:
        found.append(f"asked for by {' and '.join(evidence.askers[ip])}, on several VLANs: IPAM gives an address once")
    for mac in dict.fromkeys(claim.mac for claim in claims if claim.mac):
        owners = evidence.macs.get((network, vlan, mac), ())
        if owners:
            found.append(f"MAC {mac} is used by {' and '.join(owners)} on this VLAN: one of them is reachable")
    return found


def _not_given(place: Place, claims: list[Claim], evidence: Evidence, reserved: str) -> list[str]:
    network, vlan, ip = place
    found = []
    if claims and reserved:
        found.append(f"{claims[0].vm} claims a reserved address ({reserved})")
    if claims and evidence.plan.pool(ip) == "" and network:
        found.append(f"{claims[0].vm} claims an address in no L2 pool: its NIC cannot be attached")
    if claims and network in evidence.plan.networks and not evidence.plan.inside(network, vlan, ip):
        found.append(f"outside the subnets of VLAN {vlan} of {network}")
    for claim in claims:
        has = evidence.held.get((claim.vm, claim.nic), frozenset())
        if claim.by == ASKED and has and ip not in has:
            found.append(f"{claim.vm} asks for it but has {', '.join(sorted(has))}")
    return found


def _two_ports(claims: list[Claim], evidence: Evidence) -> list[str]:
    live = [claim for claim in claims if claim.by == PORT and claim.state == "live"]
    nodes = list(dict.fromkeys(claim.node for claim in live))
    if len(nodes) < 2 or any(claim.vm in evidence.moving for claim in live):
        return []
    return [f"live on {' and '.join(nodes)} at once, and no migration runs"]


def _wire(claims: list[Claim], reserved: str, seen: list[Sighting], answer: Answer | None) -> list[str]:
    """What the wire says against the claims. A next hop is a router's: whoever uses it is not judged."""
    if reserved == "next hop" and not claims:
        return []
    macs = {claim.mac for claim in claims if claim.mac}
    found = [f"{s.mac} uses it too, seen at {s.node}" for s in seen if macs and s.mac not in macs]
    running = any(claim.by == PORT or claim.state == "Running" for claim in claims)
    if answer is not None and answer.answers and claims and not running:
        found.append(f"something answers, but {claims[0].vm} does not run: it is in use elsewhere")
    return found
