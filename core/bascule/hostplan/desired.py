"""Which segments this node should have, and what it says about each Network.

A segment is one VLAN of one Network. It exists here only while a port here needs it; a Network is Ready without any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from bascule.hostplan import claims, names
from bascule.hostplan.observed import Observed
from bascule.hostplan.outcome import NetworkOutcome
from bascule.hostplan.owned import Owned
from bascule.resources.network import HostConfig, Network
from bascule.resources.pod import PodNic
from bascule.selectors import SelectorError

DEFAULT_MTU = 1500


class Need(NamedTuple):
    """A port of this node needs a VLAN of a Network; `nad` (`namespace/name`) says in messages which port that is."""

    network: str
    vid: int
    nad: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One VLAN to build here. `trunk` is "" when the Network connects none; `mtu` is the trunk's, in bytes."""

    network: str
    vid: int
    trunk: str
    mtu: int
    mac: str


@dataclass(frozen=True, slots=True, order=True)
class TrunkUse:
    """A trunk that carries at least one segment; `native` is the VLAN of its untagged frames, if any."""

    name: str
    native: int | None


@dataclass(frozen=True, slots=True)
class Desired:
    """What the node should look like (`segments`, `trunks`, sorted) and the outcome of every Network, by name."""

    segments: tuple[Segment, ...] = ()
    trunks: tuple[TrunkUse, ...] = ()
    outcomes: tuple[NetworkOutcome, ...] = ()


def needs_of(nics: Iterable[PodNic]) -> frozenset[Need]:
    """What the ports of this node need."""
    return frozenset(Need(nic.network, nic.vlan, nic.nad) for nic in nics)


def desire(
    networks: Iterable[Network],
    node_name: str,
    node_labels: Mapping[str, str],
    needed: Iterable[Need],
    observed: Observed,
) -> Desired:
    """What this node should look like. Never raises: what cannot be done is the Network's outcome."""
    wanted: dict[str, list[Need]] = {}
    for need in sorted(set(needed)):
        wanted.setdefault(need.network, []).append(need)
    by_name = {network.name: network for network in networks if network.l2}
    configs, outcomes = _select(by_name, node_labels, wanted)
    holders = claims.trunk_holders(configs, observed)
    owned = Owned.of(observed)
    segments: list[Segment] = []
    trunks: set[TrunkUse] = set()
    for name, config in configs.items():
        refusal = claims.refuse(name, config, holders, observed)
        if refusal is not None:
            outcomes.append(refusal)
            continue
        built, problem = _segments(by_name[name], config, wanted.get(name, []), node_name, owned)
        segments += built
        if config.trunk and built:
            trunks.add(TrunkUse(config.trunk.interface, _native(by_name[name], config)))
        outcomes.append(problem or _ready(name, config, built))
    outcomes += [
        NetworkOutcome.refuse(name, "NetworkNotFound", f"no such Network, but {_ports(needs)} needs it")
        for name, needs in wanted.items()
        if name not in by_name
    ]
    return Desired(tuple(sorted(segments)), tuple(sorted(trunks, key=lambda t: t.name)), tuple(sorted(outcomes)))


def _select(
    networks: Mapping[str, Network], labels: Mapping[str, str], wanted: Mapping[str, list[Need]]
) -> tuple[dict[str, HostConfig], list[NetworkOutcome]]:
    """The hostConfig of every Network that selects this node, by name, and the outcome of the others."""
    configs: dict[str, HostConfig] = {}
    outcomes = []
    for name, network in sorted(networks.items()):
        try:
            config = network.config_for(labels)
        except SelectorError as error:
            outcomes.append(NetworkOutcome.refuse(name, "BadSelector", str(error)))
            continue
        if config is not None:
            configs[name] = config
            continue
        needs = wanted.get(name)
        suffix = f", but {_ports(needs)} needs it: give the VM a nodeSelector that matches" if needs else ""
        outcomes.append(NetworkOutcome.refuse(name, "NotSelected", f"no hostConfig selects this node{suffix}"))
    return configs, outcomes


def _segments(
    network: Network, config: HostConfig, needs: list[Need], node: str, owned: Owned
) -> tuple[list[Segment], NetworkOutcome | None]:
    """The segments that can be built, and the first reason why one cannot."""
    trunk = config.trunk.interface if config.trunk else ""
    link = owned.observed.by_name.get(trunk)
    mtu = link.mtu if link else DEFAULT_MTU
    carried = network.carried_vlans()
    built: list[Segment] = []
    problem = None
    for vid in sorted({need.vid for need in needs}):
        here = [need for need in needs if need.vid == vid]
        taken = owned.name_conflict(network.name, vid, with_stub=bool(trunk))
        if vid not in carried:
            reason, why = "VlanNotCarried", f"VLAN {vid} is not among its VLANs, but {_ports(here)} needs it"
        elif taken:
            reason = "NameTaken"
            why = f"link {taken} has the name for VLAN {vid} but not our alias: delete or rename it"
        else:
            built.append(Segment(network.name, vid, trunk, mtu, names.bridge_mac(node, network.name, vid)))
            continue
        problem = problem or NetworkOutcome.refuse(network.name, reason, why)
    return built, problem


def _native(network: Network, config: HostConfig) -> int | None:
    """The native VLAN; one that the Network does not carry is ignored, the trunk then stays strictly tagged."""
    native = config.trunk.native_vlan if config.trunk else None
    return native if native in network.carried_vlans() else None


def _ready(name: str, config: HostConfig, built: list[Segment]) -> NetworkOutcome:
    where = f"trunk {config.trunk.interface}" if config.trunk else "no trunk (hostConnections is missing)"
    vlans = ", ".join(str(segment.vid) for segment in built)
    return NetworkOutcome(name, True, "Ready", f"{name}: {where}, " + (f"VLANs {vlans}" if vlans else "no VLAN needed"))


def _ports(needs: list[Need]) -> str:
    nads = sorted({need.nad for need in needs if need.nad})
    return f"a port of {', '.join(nads)}" if nads else "a port"
