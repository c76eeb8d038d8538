"""Who a frame's two ends are: the port's own VM, and the peer by address across all ports known.

Names are scoped: an address means something on its Network and VLAN only, because the same address may exist in two
VLANs. Across VLANs (through a router) an address names a VM only when it is the only one with it. What nothing knows
stays raw: the address as text, the MAC for frames without one.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bascule.resources.network import Network


@dataclass(frozen=True)
class PortId:
    """Identity of one port of one node, as FlowBatch.Port carries it; `mac` lower-case, `ip` dotted or empty."""

    node: str
    ifindex: int
    vm: str = ""
    namespace: str = ""
    nic: str = ""
    network: str = ""
    vlan: int = 0
    mac: str = ""
    ip: str = ""


@dataclass(frozen=True)
class Gateway:
    """A route's next hop on one VLAN of a Network."""

    network: str
    vlan: int
    ip: str

    @property
    def name(self) -> str:
        return f"gateway {self.network}/{self.vlan}"


class Names:
    """Lookup of peers; immutable once made, so a viewer swaps one for the next."""

    def __init__(self, ports: Iterable[PortId] = (), gateways: Iterable[Gateway] = ()) -> None:
        self.ports: dict[tuple[str, int], PortId] = {}
        self._scoped: dict[tuple[str, int, str], str] = {}
        self._by_ip: dict[str, set[str]] = defaultdict(set)
        for gateway in gateways:
            self._scoped[gateway.network, gateway.vlan, gateway.ip] = gateway.name
            self._by_ip[gateway.ip].add(gateway.name)
        for port in ports:
            self.ports[port.node, port.ifindex] = port
            if port.vm:
                self._add(port)

    def _add(self, port: PortId) -> None:
        for key in (port.ip, port.mac):
            if key:
                self._scoped[port.network, port.vlan, key] = port.vm
        if port.ip:
            self._by_ip[port.ip].add(port.vm)

    def port(self, node: str, ifindex: int) -> PortId:
        """The port a record points at; one without a VM when the node did not name it."""
        return self.ports.get((node, ifindex)) or PortId(node, ifindex)

    def peer(self, network: str, vlan: int, ip: str, mac: str) -> str:
        """The name of an end seen on (network, vlan): VM, gateway, or the raw address (MAC without one).

        `ip` is "" for frames without an IPv4 address. A MAC never names an end that has an address of its own: behind
        a router every address shares the router's MAC.
        """
        if not ip:
            return self._scoped.get((network, vlan, mac), mac)
        scoped = self._scoped.get((network, vlan, ip))
        if scoped:
            return scoped
        everywhere = self._by_ip.get(ip, set())
        return next(iter(everywhere)) if len(everywhere) == 1 else ip


def gateways_of(networks: Iterable[Mapping[str, Any]]) -> list[Gateway]:
    """The next hops in Network documents (`spec.l2Bridge.vlans[].subnets[].routes[].action.nextHop`).

    A range entry's next hop is taken for every VLAN of the range. What is no IPv4 address is left out: lint names it.
    """
    found = []
    for network in map(Network.of, networks):
        for entry in network.vlans:
            for hop in filter(_is_ipv4, (route.next_hop for route in entry.routes)):
                found += [Gateway(network.name, vid, hop) for vid in entry.ids]
    return found


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True
