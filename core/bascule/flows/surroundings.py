"""What stands around the VMs and has names too: next hops, NetworkSets, and the subnets that tell inside from outside.

All of it comes from documents of the cluster; what is no IPv4 address or net is left out here, because lint names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, summarize_address_range
from typing import Any

from bascule.resources.network import Network
from bascule.resources.policy_sets import NetworkSet


@dataclass(frozen=True)
class Gateway:
    """A route's next hop on one VLAN of a Network."""

    network: str
    vlan: int
    ip: str

    @property
    def name(self) -> str:
        return f"gateway {self.network}/{self.vlan}"


@dataclass(frozen=True)
class AddressSet:
    """A NetworkSet, or a GlobalNetworkSet (then `namespace` is "")."""

    name: str
    namespace: str
    nets: tuple[IPv4Network, ...]
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class VlanSubnet:
    """A subnet of one VLAN."""

    network: str
    vlan: int
    net: IPv4Network


@dataclass(frozen=True)
class Surroundings:
    """Everything but the ports."""

    gateways: tuple[Gateway, ...] = ()
    sets: tuple[AddressSet, ...] = ()
    subnets: tuple[VlanSubnet, ...] = ()


def surroundings_of(
    networks: Iterable[Mapping[str, Any]], network_sets: Iterable[Mapping[str, Any]] = ()
) -> Surroundings:
    """What Network, NetworkSet and GlobalNetworkSet documents name."""
    documents = [*networks]
    return Surroundings(
        tuple(gateways_of(documents)),
        tuple(address_set(document) for document in network_sets),
        tuple(subnets_of(documents)),
    )


def gateways_of(networks: Iterable[Mapping[str, Any]]) -> list[Gateway]:
    """The next hops in Network documents (`spec.l2Bridge.vlans[].subnets[].routes[].action.nextHop`).

    A range entry's next hop is taken for every VLAN of the range.
    """
    found = []
    for network in map(Network.of, networks):
        for entry in network.vlans:
            for hop in filter(_is_ipv4, (route.next_hop for route in entry.routes)):
                found += [Gateway(network.name, vid, hop) for vid in entry.ids]
    return found


def subnets_of(networks: Iterable[Mapping[str, Any]]) -> list[VlanSubnet]:
    """The subnets in Network documents, for every VLAN of a range."""
    return [
        VlanSubnet(network.name, vid, subnet.network)
        for network in map(Network.of, networks)
        for entry in network.vlans
        for subnet in entry.subnets
        if subnet.network is not None
        for vid in entry.ids
    ]


def address_set(document: Mapping[str, Any]) -> AddressSet:
    """One set of addresses; its IPv6 nets and domains are left out, no frame of a port has either."""
    read = NetworkSet.of(document)
    nets = [
        net
        for each in read.nets
        if each.version == 4
        for net in summarize_address_range(IPv4Address(each.first), IPv4Address(each.last))
    ]
    return AddressSet(read.name, read.namespace, tuple(nets), tuple(sorted(read.labels.items())))


def _is_ipv4(text: str) -> bool:
    try:
        IPv4Address(text)
    except ValueError:
        return False
    return True
