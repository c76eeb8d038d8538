"""Port groups to Networks, VLANs, subnets, pools and NADs, merged with what the cluster has already.

Nothing that exists is changed but by adding; what has to be guessed (a subnet from its addresses) is marked as assumed
and asked about.
"""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from bascule.estate.model import UNTAGGED
from bascule.migration.errors import MigrationInputError
from bascule.migration.options import Options
from bascule.migration.world import Seat, World
from bascule.resources.read import dig, items
from bascule.translate.names import digest

Doc = dict[str, Any]
DEFAULT_NETWORK = "dc1"
KUBECONFIG = "/var/run/multus/cni/net.d/calico-kubeconfig"
_SERVER_FIELDS = ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields")


@dataclass(frozen=True, slots=True)
class SubnetPlan:
    """`origin` tells where it is from: network, source, hypervisor, answer or assumed."""

    cidr: str
    gateway: str
    origin: str
    pool: str
    pool_exists: bool


@dataclass(frozen=True, slots=True)
class Segment:
    """One VLAN of the old side on the new: `nad` is `namespace/name`."""

    vlan: int
    network: str
    network_exists: bool
    vlan_exists: bool
    port_groups: tuple[str, ...]
    subnets: tuple[SubnetPlan, ...]
    nad: str
    nad_exists: bool
    nics: int


@dataclass(frozen=True)
class NetworkPlan:
    """`documents` are new or changed objects; `trunks` one row a node and Network with VLANs before and after."""

    segments: dict[int, Segment]
    documents: tuple[Doc, ...]
    trunks: tuple[Doc, ...]
    open: tuple[str, ...] = field(default=())


def plan_networks(world: World, options: Options) -> NetworkPlan:
    """The network side of a plan. Raises MigrationInputError when it is not known which Network is meant."""
    by_vlan: dict[int, list[Seat]] = defaultdict(list)
    for seat in world.seats:
        if seat.vlan:
            by_vlan[seat.vlan].append(seat)
    open_: list[str] = []
    documents: list[Doc] = []
    segments = {vid: _segment(world, options, vid, seats, documents, open_) for vid, seats in sorted(by_vlan.items())}
    networks = [_network(world, options, name, segments.values(), open_) for name in _names(segments.values())]
    changed = [each for each in networks if each is not None]
    return NetworkPlan(segments, (*changed, *documents), tuple(_trunks(world, segments.values())), tuple(open_))


def _names(segments: Iterable[Segment]) -> list[str]:
    return sorted({segment.network for segment in segments})


def _segment(
    world: World, options: Options, vid: int, seats: list[Seat], documents: list[Doc], open_: list[str]
) -> Segment:
    carrying = world.target.carrying.get(vid, [])
    name = carrying[0].name if carrying else _choose(world, options)
    subnets = []
    for at, (net, gateway, origin) in enumerate(_subnets(world, vid, seats, open_)):
        pool, exists = _pool(world, name, vid, net, at, documents, open_)
        subnets.append(SubnetPlan(str(net), gateway, origin, pool, exists))
    nad, nad_exists = _nad(world, options, name, vid, [each.pool for each in subnets], documents)
    return Segment(
        vid,
        name,
        any(network.name == name for network in world.target.networks),
        bool(carrying),
        tuple(sorted({seat.group.name for seat in seats if seat.group})),
        tuple(subnets),
        nad,
        nad_exists,
        len(seats),
    )


def _choose(world: World, options: Options) -> str:
    """The Network that a VLAN which none carries goes to."""
    names = [network.name for network in world.target.networks]
    if options.network:
        return options.network
    if len(names) > 1:
        cause = f"there are {', '.join(names)}, and some VLANs are in none of them"
        raise MigrationInputError("which Network do new VLANs go to?", cause, "--network NAME")
    return names[0] if names else DEFAULT_NETWORK


def _subnets(world: World, vid: int, seats: list[Seat], open_: list[str]) -> list[tuple[IPv4Network, str, str]]:
    network = next(iter(world.target.carrying.get(vid, [])), None)
    if network is not None and any(each.network for each in network.subnets_of(vid)):
        return [(net, gateway, "network") for net, gateway in world.subnets_of(vid, network, None)]
    if world.answers.subnets.get(vid, ("", ""))[0]:
        return [(net, gateway, "answer") for net, gateway in world.subnets_of(vid, None, None)]
    found = {net: gateway for seat in seats for net, gateway in seat.subnets}
    if found:
        return [(net, found[net], "source") for net in sorted(found)]
    own = _hypervisors(world, vid)
    addresses = sorted({ip for seat in seats for ip in seat.ips})
    if own and all(any(ip in net for net, _ in own) for ip in addresses):
        return [(net, gateway, "hypervisor") for net, gateway in own]
    nets = assumed(addresses)
    if not nets:
        open_.append(f"VLAN {vid}: no subnet is known and no VM has an address: subnets: {{{vid}: {{cidr: …}}}}")
    for net in nets:
        open_.append(f"VLAN {vid}: subnet {net} is assumed from {len(addresses)} addresses, its gateway is not known")
    return [(net, "", "assumed") for net in nets]


def _hypervisors(world: World, vid: int) -> list[tuple[IPv4Network, str]]:
    """Subnets of hypervisors' own addresses in port groups of the VLAN."""
    groups = {(group.server, group.name) for group in world.estate.port_groups if world.vlan_of(group) == vid}
    found = {
        IPv4Network(address.cidr): address.gateway
        for host in world.estate.hosts
        for address in host.addresses
        if address.cidr and (host.server, address.port_group) in groups
    }
    return [(net, gateway if gateway and IPv4Address(gateway) in net else "") for net, gateway in sorted(found.items())]


def assumed(addresses: list[IPv4Address]) -> list[IPv4Network]:
    """The subnet that addresses seem to be of: their common prefix, at least /24 wide and at most /16; else their
    /24s."""
    if not addresses:
        return []
    bits = (int(min(addresses)) ^ int(max(addresses))).bit_length()
    if bits <= 16:
        return [IPv4Network((int(min(addresses)), min(24, 32 - bits)), strict=False)]
    return sorted({IPv4Network((int(ip), 24), strict=False) for ip in addresses})


def _pool(
    world: World, network: str, vid: int, net: IPv4Network, at: int, documents: list[Doc], open_: list[str]
) -> tuple[str, bool]:
    for pool in world.target.pools:
        if pool.l2 and pool.network == net:
            return pool.name, True
    for pool in world.target.pools:
        if pool.network and pool.network.overlaps(net):
            open_.append(f"VLAN {vid}: IPPool {pool.name} ({pool.cidr}) overlaps {net}: one of them stays unusable")
    name = f"{network}-vlan-{vid}" + (f"-{at + 1}" if at else "")
    if any(pool.name == name for pool in world.target.pools):
        name = f"{name}-{digest(str(net))}"
    spec = {
        "cidr": str(net),
        "blockSize": max(26, net.prefixlen),
        "allowedUses": ["L2Workload"],
        "disableBGPExport": True,
        "ipipMode": "Never",
        "vxlanMode": "Never",
        "natOutgoing": False,
        "nodeSelector": "all()",
    }
    documents.append({"apiVersion": "projectcalico.org/v3", "kind": "IPPool", "metadata": {"name": name}, "spec": spec})
    return name, False


def _nad(
    world: World, options: Options, network: str, vid: int, pools: list[str], documents: list[Doc]
) -> tuple[str, bool]:
    existing = world.target.nad_for(options.namespace, network, vid)
    if existing:
        return existing.name, True
    name = f"vlan-{vid}"
    if any(nad.name == f"{options.namespace}/{name}" for nad in world.target.nads):
        name = f"{network}-vlan-{vid}"
    config = {
        "cniVersion": "0.3.1",
        "name": name,
        "type": "calico",
        "network": network,
        "vlan": vid,
        "datastore_type": "kubernetes",
        "ipam": {"type": "calico-ipam", "ipv4_pools": pools},
        "policy": {"type": "k8s"},
        "kubernetes": {"kubeconfig": KUBECONFIG},
    }
    meta = {"name": name, "namespace": options.namespace}
    spec = {"config": json.dumps(config, indent=2)}
    kind = "NetworkAttachmentDefinition"
    documents.append({"apiVersion": "k8s.cni.cncf.io/v1", "kind": kind, "metadata": meta, "spec": spec})
    return f"{options.namespace}/{name}", False


def _network(world: World, options: Options, name: str, segments: Iterable[Segment], open_: list[str]) -> Doc | None:
    """The Network as it will be, None when nothing has to be added."""
    mine = [segment for segment in segments if segment.network == name]
    added = [_entry(segment) for segment in mine if not segment.vlan_exists]
    existing = next((each for each in world.target.documents.get("Network", ()) if _called(each) == name), None)
    if existing is not None and not isinstance(dig(existing, "spec", "l2Bridge"), Mapping):
        cause = f"Network {name} is of another type, and a Network's type cannot change"
        raise MigrationInputError("the VLANs cannot go there", cause, "--network NAME with an l2Bridge, or a new name")
    if existing is not None:
        document = copy.deepcopy(dict(existing))
        document.pop("status", None)
        document["metadata"] = {k: v for k, v in document["metadata"].items() if k not in _SERVER_FIELDS}
        bare = [segment for segment in mine if segment.vlan_exists and _fill(document, segment)]
        document["spec"]["l2Bridge"]["vlans"] = [*items(dig(document, "spec", "l2Bridge", "vlans")), *added]
        return document if added or bare else None
    native = next((world.vlan_of(group) for group in world.used_groups if group.vlan.kind == UNTAGGED), None)
    host: Doc = {"nodeSelector": options.node_selector, "bridge": {"managedBridge": {"stp": "Disabled"}}}
    if options.trunk:
        port: Doc = {"interface": {"name": options.trunk}}
        if native and any(segment.vlan == native for segment in mine):
            port["nativeVLAN"] = native
        host["hostConnections"] = [{"trunkPort": port}]
    else:
        open_.append(f"Network {name} is new and has no trunk: --trunk INTERFACE, or bascule trunks attach later")
    spec = {"l2Bridge": {"hostConfig": [host], "vlans": added}}
    return {"apiVersion": "projectcalico.org/v3", "kind": "Network", "metadata": {"name": name}, "spec": spec}


def _called(document: Any) -> str:
    return str(dig(document, "metadata", "name"))


def _entry(segment: Segment) -> Doc:
    subnets = []
    for each in segment.subnets:
        subnet: Doc = {"cidr": each.cidr}
        if each.gateway:
            subnet["routes"] = [{"destination": "0.0.0.0/0", "action": {"nextHop": each.gateway}}]
        subnets.append(subnet)
    return {"vlan": {"id": segment.vlan}, **({"subnets": subnets} if subnets else {})}


def _fill(document: Doc, segment: Segment) -> bool:
    """Give a VLAN that the Network has without a subnet the one that was found."""
    for entry in items(dig(document, "spec", "l2Bridge", "vlans")):
        if dig(entry, "vlan", "id") == segment.vlan and not entry.get("subnets") and segment.subnets:
            entry.update(_entry(segment))
            return True
    return False


def _trunks(world: World, segments: Iterable[Segment]) -> list[Doc]:
    """One row a node and Network: which VLANs its trunk carries now, and which it has to carry."""
    wanted: dict[str, set[int]] = defaultdict(set)
    for segment in segments:
        wanted[segment.network].add(segment.vlan)
    carried = {network.name: network.carried_vlans() for network in world.target.networks}
    rows = []
    for network, vids in sorted(wanted.items()):
        for node, (interface, native) in sorted(world.target.trunks.get(network, {}).items()):
            before = carried.get(network, frozenset())
            rows.append(
                {
                    "node": node,
                    "network": network,
                    "interface": interface,
                    "native": native,
                    "before": sorted(before),
                    "added": sorted(vids - before),
                }  # fmt: skip
            )
    return rows
