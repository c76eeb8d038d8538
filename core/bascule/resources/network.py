"""The projectcalico.org/v3 Network with spec.l2Bridge (reference/calico-l2.md section 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from bascule.resources.meta import Meta
from bascule.resources.read import dig, integer, items, mapping, text
from bascule.selectors import parse

VLAN_MIN, VLAN_MAX = 1, 4094


@dataclass(frozen=True, slots=True)
class Route:
    destination: str
    next_hop: str


@dataclass(frozen=True, slots=True)
class Subnet:
    """`cidr` as written; `network` is None when it is not an IPv4 CIDR."""

    cidr: str
    network: IPv4Network | None
    routes: tuple[Route, ...]

    @property
    def prefix_length(self) -> int | None:
        return self.network.prefixlen if self.network else None


@dataclass(frozen=True, slots=True)
class VlanEntry:
    """One item of spec.l2Bridge.vlans; `ids` holds only valid VLAN ids (1..4094), whatever was written."""

    ids: range
    subnets: tuple[Subnet, ...]

    @property
    def routes(self) -> tuple[Route, ...]:
        return tuple(route for subnet in self.subnets for route in subnet.routes)


@dataclass(frozen=True, slots=True)
class Bridge:
    """`managed` (built by the data plane, `stp`) or an existing bridge called `name`; neither when malformed."""

    managed: bool
    name: str
    stp: bool


@dataclass(frozen=True, slots=True)
class Trunk:
    interface: str
    native_vlan: int | None


@dataclass(frozen=True, slots=True)
class HostConfig:
    node_selector: str
    bridge: Bridge
    trunk: Trunk | None

    def selects(self, node_labels: Mapping[str, str]) -> bool:
        """Does it apply to a node with these labels? Raises SelectorError when the selector does not parse."""
        return parse(self.node_selector).matches(node_labels)


@dataclass(frozen=True, slots=True)
class Network:
    """`l2` is false for a Network of another type (vrf), which then has neither VLANs nor host configs."""

    meta: Meta
    l2: bool
    host_configs: tuple[HostConfig, ...]
    vlans: tuple[VlanEntry, ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Network:
        bridge = dig(document, "spec", "l2Bridge")
        return cls(
            meta=Meta.of(document),
            l2=isinstance(bridge, Mapping),
            host_configs=tuple(_host_config(entry) for entry in items(dig(bridge, "hostConfig"))),
            vlans=tuple(_vlan_entry(entry) for entry in items(dig(bridge, "vlans"))),
        )

    @property
    def name(self) -> str:
        return self.meta.name

    def carried_vlans(self) -> frozenset[int]:
        """The union of all ids and ranges; a trunk carries all of it."""
        return frozenset(vid for entry in self.vlans for vid in entry.ids)

    def config_for(self, node_labels: Mapping[str, str]) -> HostConfig | None:
        """First match wins, nothing is merged. Raises SelectorError when a selector tried does not parse."""
        return next((config for config in self.host_configs if config.selects(node_labels)), None)

    def subnets_of(self, vid: int) -> tuple[Subnet, ...]:
        """The VLAN's subnets; of two entries with one id only the first counts (CORE-13455)."""
        return next((entry.subnets for entry in self.vlans if vid in entry.ids), ())


def ipv4_network(cidr: str) -> IPv4Network | None:
    """The CIDR as a network (host bits ignored), None when it is not one; a prefix length is required."""
    if "/" not in cidr:
        return None
    try:
        return IPv4Network(cidr, strict=False)
    except ValueError:
        return None


def vlan_ids(vlan: Any) -> range:
    """The valid ids of a `vlan` field ({id} or {range: {start, end}}), empty when there is none."""
    single = integer(dig(vlan, "id"))
    start, end = integer(dig(vlan, "range", "start")), integer(dig(vlan, "range", "end"))
    if single is not None:
        start = end = single
    if start is None or end is None:
        return range(0)
    return range(max(start, VLAN_MIN), min(end, VLAN_MAX) + 1)


def _vlan_entry(entry: Any) -> VlanEntry:
    return VlanEntry(vlan_ids(dig(entry, "vlan")), tuple(_subnet(subnet) for subnet in items(dig(entry, "subnets"))))


def _subnet(subnet: Any) -> Subnet:
    cidr = text(dig(subnet, "cidr"))
    routes = tuple(
        Route(text(dig(route, "destination")), text(dig(route, "action", "nextHop")))
        for route in items(dig(subnet, "routes"))
    )
    return Subnet(cidr, ipv4_network(cidr), routes)


def _host_config(entry: Any) -> HostConfig:
    managed = dig(entry, "bridge", "managedBridge")
    stp = dig(managed, "stp")
    bridge = Bridge(
        managed=isinstance(managed, Mapping),
        name=text(dig(entry, "bridge", "existingBridge", "name")),
        stp=stp is True or stp == "Enabled",
    )
    port = mapping(dig(entry, "hostConnections", 0, "trunkPort"))
    interface = text(dig(port, "interface", "name"))
    trunk = Trunk(interface, integer(port.get("nativeVLAN"))) if interface else None
    return HostConfig(text(dig(entry, "nodeSelector")), bridge, trunk)
