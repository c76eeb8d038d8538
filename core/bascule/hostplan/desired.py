"""Which segments this node should have, and what it says about each Network.

A segment is one VLAN of one Network. It exists here only while a port here needs it; a Network is Ready without any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from bascule.hostplan import claims, management, names, vlan_aware
from bascule.hostplan.observed import Observed
from bascule.hostplan.outcome import NetworkOutcome
from bascule.hostplan.owned import Owned
from bascule.hostplan.vlan_aware import AwareBridge
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
    """What the node should look like (all sorted) and the outcome of every Network, by name.

    `segments` and `trunks` are the per_vlan driver's, `bridges` the vlan_aware driver's.
    """

    segments: tuple[Segment, ...] = ()
    trunks: tuple[TrunkUse, ...] = ()
    outcomes: tuple[NetworkOutcome, ...] = ()
    bridges: tuple[AwareBridge, ...] = ()


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
    aware = {name: config for name, config in configs.items() if vlan_aware.wanted(by_name[name], config)}
    owned = Owned.of(observed)
    segments: list[Segment] = []
    trunks: set[TrunkUse] = set()
    bridges: list[AwareBridge] = []
    for name, config in configs.items():
        network, needs = by_name[name], wanted.get(name, [])
        seen, refusal = management.guard(network, config, observed, node_name)
        refusal = refusal or claims.refuse(name, config, holders, seen, aware)
        if refusal is not None:
            outcomes.append(refusal)
        elif name in aware:
            bridge, outcome = _bridge(network, config, needs, node_name, observed)
            bridges += [bridge] if bridge else []
            outcomes.append(outcome)
        else:
            built, problem = _segments(network, config, needs, node_name, owned)
            segments += built
            if config.trunk and built:
                trunks.add(TrunkUse(config.trunk.interface, _native(network, config)))
            outcomes.append(problem or _ready(name, config, [segment.vid for segment in built]))
    outcomes += [
        NetworkOutcome.refuse(name, "NetworkNotFound", f"no such Network, but {_ports(needs)} needs it")
        for name, needs in wanted.items()
        if name not in by_name
    ]
    return Desired(
        tuple(sorted(segments)), tuple(sorted(trunks, key=lambda t: t.name)), tuple(sorted(outcomes)), tuple(bridges)
    )


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
    built: list[Segment] = []
    vids, problem = _carried(network, needs)
    for vid in vids:
        taken = owned.name_conflict(network.name, vid, with_stub=bool(trunk))
        if taken:
            problem = problem or _name_taken(network.name, taken, f"VLAN {vid}")
        else:
            built.append(Segment(network.name, vid, trunk, mtu, names.bridge_mac(node, network.name, vid)))
    return built, problem


def _bridge(
    network: Network, config: HostConfig, needs: list[Need], node: str, observed: Observed
) -> tuple[AwareBridge | None, NetworkOutcome]:
    """The one bridge of a Network of the vlan_aware driver, None when nothing needs it or it cannot be."""
    vids, problem = _carried(network, needs)
    bridge = vlan_aware.desired_bridge(network.name, config, vids, _native(network, config), node, observed)
    if bridge is not None:
        link = observed.by_name.get(bridge.name)
        if link and not bridge.existing and vlan_aware.managed(observed).get(network.name) != link:
            return None, _name_taken(network.name, link.name, "its bridge")
        if refusal := vlan_aware.refuse_vlans(bridge, observed):
            return None, refusal
    return bridge, problem or _ready(network.name, config, vids)


def _carried(network: Network, needs: list[Need]) -> tuple[list[int], NetworkOutcome | None]:
    """The VLANs needed here that the Network carries, sorted, and the refusal of the first it does not."""
    carried = network.carried_vlans()
    vids = sorted({need.vid for need in needs})
    wrong = [vid for vid in vids if vid not in carried]
    if not wrong:
        return vids, None
    here = [need for need in needs if need.vid == wrong[0]]
    why = f"VLAN {wrong[0]} is not among its VLANs, but {_ports(here)} needs it"
    return [vid for vid in vids if vid in carried], NetworkOutcome.refuse(network.name, "VlanNotCarried", why)


def _name_taken(network: str, link: str, what: str) -> NetworkOutcome:
    return NetworkOutcome.refuse(
        network, "NameTaken", f"link {link} has the name for {what} but not our alias: delete or rename it"
    )


def _native(network: Network, config: HostConfig) -> int | None:
    """The native VLAN; one that the Network does not carry is ignored, the trunk then stays strictly tagged."""
    native = config.trunk.native_vlan if config.trunk else None
    return native if native in network.carried_vlans() else None


def _ready(name: str, config: HostConfig, vids: list[int]) -> NetworkOutcome:
    where = f"trunk {config.trunk.interface}" if config.trunk else "no trunk (hostConnections is missing)"
    where = f"bridge {config.bridge.name}, {where}" if config.bridge.name else where
    vlans = ", ".join(str(vid) for vid in vids)
    return NetworkOutcome(name, True, "Ready", f"{name}: {where}, " + (f"VLANs {vlans}" if vlans else "no VLAN needed"))


def _ports(needs: list[Need]) -> str:
    nads = sorted({need.nad for need in needs if need.nad})
    return f"a port of {', '.join(nads)}" if nads else "a port"
