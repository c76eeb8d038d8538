"""What an address may not or cannot be used for: subnets' edges, next hops, IPReservations, pools. Pure.

Rules: reference/calico-l2.md 1.4 and 2.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Any

from bascule.resources.ippool import IPPool
from bascule.resources.network import Network, ipv4_network
from bascule.resources.read import dig, items, text
from bascule_console.store.inventory import Inventory
from bascule_console.store.vms import NETWORKS

POOLS, RESERVATIONS = "ippools", "ipreservations"


def ipv4(address: str) -> IPv4Address | None:
    """The address, None when it is none."""
    try:
        return IPv4Address(address)
    except AddressValueError:
        return None


class Plan:
    """The address plan that Networks, IPPools and IPReservations of an inventory make."""

    def __init__(self, inventory: Inventory) -> None:
        self.networks = {network.name: network for network in map(Network.of, inventory.all(NETWORKS))}
        self._pools = [pool for pool in map(IPPool.of, inventory.all(POOLS)) if pool.network and pool.l2]
        # None at all: not served, not allowed or not listed yet; whichever, nothing can be said about pools.
        self._pools_known = bool(inventory.all(POOLS))
        self._reservations = list(_reservations(inventory.all(RESERVATIONS)))
        self._segments: dict[tuple[str, int | None], tuple[list[IPv4Network], dict[str, str]]] = {}

    def hops(self) -> Iterable[tuple[str, int, str]]:
        """Every (Network, VLAN, next hop)."""
        for network in self.networks.values():
            for entry in network.vlans:
                for hop in dict.fromkeys(route.next_hop for route in entry.routes):
                    if ipv4(hop):
                        yield from ((network.name, vid, hop) for vid in entry.ids)

    def segments(self, ip: str) -> list[tuple[str, int]]:
        """Every (Network, VLAN) that has a subnet with the address."""
        return [
            (network.name, vid)
            for network in self.networks.values()
            for vid in sorted(network.carried_vlans())
            if self.inside(network.name, vid, ip)
        ]

    def inside(self, network: str, vlan: int | None, ip: str) -> bool:
        """Does the address lie in a subnet of the VLAN?"""
        address = ipv4(ip)
        return address is not None and any(address in subnet for subnet in self._segment(network, vlan)[0])

    def reserved(self, network: str, vlan: int | None, ip: str) -> str:
        """Why IPAM never gives the address to a VM, "" when it may."""
        address = ipv4(ip)
        if address is None:
            return ""
        subnets, hops = self._segment(network, vlan)
        if ip in hops:
            return "next hop"
        for subnet in subnets:
            if subnet.prefixlen < 31 and address == subnet.network_address:
                return "network address"
            if subnet.prefixlen < 31 and address == subnet.broadcast_address:
                return "broadcast address"
        return next((f"IPReservation {name}" for name, cidr in self._reservations if address in cidr), "")

    def pool(self, ip: str) -> str | None:
        """The L2 pool that has the address, "" when none does, None when pools are not known."""
        address = ipv4(ip)
        found = next((p.name for p in self._pools if address is not None and p.network and address in p.network), "")
        return found if found or self._pools_known else None

    def _segment(self, network: str, vlan: int | None) -> tuple[list[IPv4Network], dict[str, str]]:
        key = (network, vlan)
        if key not in self._segments:
            found = self.networks.get(network)
            subnets = found.subnets_of(vlan) if found and vlan is not None else ()
            hops = {route.next_hop: subnet.cidr for subnet in subnets for route in subnet.routes}
            self._segments[key] = ([s.network for s in subnets if s.network], hops)
        return self._segments[key]


def _reservations(documents: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, IPv4Network]]:
    for document in documents:
        for cidr in items(dig(document, "spec", "reservedCIDRs")):
            written = text(cidr)
            network = ipv4_network(written if "/" in written else f"{written}/32")
            if network is not None:
                yield text(dig(document, "metadata", "name")), network
