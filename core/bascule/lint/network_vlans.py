"""Rules on a Network's VLANs and subnets."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Any

from bascule.lint.finding import Problem, show
from bascule.lint.registry import rule
from bascule.lint.world import NETWORK, Document, World
from bascule.resources.network import VLAN_MAX, VLAN_MIN, Route, Subnet, ipv4_network
from bascule.resources.read import dig, integer, items

VLANS, HOSTS = "spec.l2Bridge.vlans", "spec.l2Bridge.hostConfig"


@rule("network-vlan-id", NETWORK)
def vlan_id(document: Document, world: World) -> Iterator[Problem]:
    """A VLAN id, range end or native VLAN that is not 1 to 4094 (0 and 4095 are reserved by 802.1Q)."""
    for field, value in _written_ids(document.raw):
        if value is not None and not VLAN_MIN <= value <= VLAN_MAX:
            yield Problem(field, f"VLAN {show(value)} is not 1 to 4094", show(value), "Use a VLAN id from 1 to 4094.")


@rule("network-vlan-range", NETWORK)
def vlan_range(document: Document, world: World) -> Iterator[Problem]:
    """A VLAN range whose start is above its end."""
    for position, entry in enumerate(items(dig(document.raw, "spec", "l2Bridge", "vlans"))):
        start, end = (integer(dig(entry, "vlan", "range", key)) for key in ("start", "end"))
        if start is not None and end is not None and start > end:
            field = f"{VLANS}[{position}].vlan.range"
            yield Problem(field, "the range is empty: start is above end", f"{show(start)}..{show(end)}", "Swap them.")


@rule("network-vlan-duplicate", NETWORK)
def vlan_duplicate(document: Document, world: World) -> Iterator[Problem]:
    """Two entries for one VLAN: the second one's subnets are silently lost (CORE-13455)."""
    first: dict[int, int] = {}
    for position, entry in enumerate(document.network.vlans):
        again = [vid for vid in entry.ids if vid in first]
        if again:
            lost = ", ".join(subnet.cidr for subnet in entry.subnets) or "none"
            yield Problem(
                f"{VLANS}[{position}].vlan",
                f"VLAN {again[0]} is in vlans[{first[again[0]]}] already: this entry's subnets are lost (CORE-13455)",
                f"repeated: {_few(again)}; subnets lost: {lost}",
                f"Put the subnets into vlans[{first[again[0]]}] and remove VLAN {again[0]} here.",
            )
        for vid in entry.ids:
            first.setdefault(vid, position)


@rule("network-cidr", NETWORK)
def cidr(document: Document, world: World) -> Iterator[Problem]:
    """A subnet or a route's destination that is no CIDR."""
    for field, subnet in subnets(document):
        if subnet.network is None and not _is_ipv6(subnet.cidr):
            yield Problem(f"{field}.cidr", "not a CIDR", show(subnet.cidr), "Write it as 10.110.0.0/24.")
    for field, _, route in _routes(document):
        if route.destination and ipv4_network(route.destination) is None:
            fix = "Write it as 0.0.0.0/0 or 10.0.0.0/8."
            yield Problem(f"{field}.destination", "not an IPv4 CIDR", show(route.destination), fix)


@rule("network-cidr-ipv6", NETWORK)
def cidr_ipv6(document: Document, world: World) -> Iterator[Problem]:
    """An IPv6 subnet: accepted by the API, dropped by the data plane (CORE-13455)."""
    for field, subnet in subnets(document):
        if _is_ipv6(subnet.cidr):
            message = "IPv6 is accepted by the API but dropped on L2 networks (CORE-13455)"
            yield Problem(f"{field}.cidr", message, show(subnet.cidr), "Use an IPv4 subnet.")


@rule("network-cidr-size", NETWORK)
def cidr_size(document: Document, world: World) -> Iterator[Problem]:
    """A subnet that is everything (0.0.0.0/0) or one address (/32): accepted but nonsensical (CORE-13455)."""
    for field, subnet in subnets(document):
        if subnet.network and subnet.network.prefixlen in (0, 32):
            yield Problem(
                f"{field}.cidr",
                f"/{subnet.network.prefixlen} is no subnet of a VLAN (CORE-13455)",
                show(subnet.cidr),
                "Write the subnet that the VLAN's machines use.",
            )


@rule("network-cidr-host-bits", NETWORK)
def cidr_host_bits(document: Document, world: World) -> Iterator[Problem]:
    """A subnet with host bits set."""
    for field, subnet in subnets(document):
        address = subnet.cidr.partition("/")[0]
        if subnet.network and address != str(subnet.network.network_address):
            fix = f"Write {subnet.network}."
            yield Problem(f"{field}.cidr", "host bits are set: not the subnet's first address", show(subnet.cidr), fix)


@rule("network-subnet-overlap", NETWORK, "warning")
def subnet_overlap(document: Document, world: World) -> Iterator[Problem]:
    """Overlapping subnets of two VLANs: addresses of one may be handed out on the other."""
    found: list[tuple[IPv4Network, int, str]] = [
        (subnet.network, position, f"{VLANS}[{position}].subnets[{number}].cidr")
        for position, entry in enumerate(document.network.vlans)
        for number, subnet in enumerate(entry.subnets)
        if subnet.network
    ]
    widest: tuple[IPv4Network, int, str] | None = None
    for network, position, field in sorted(found):
        if widest and network.network_address <= widest[0].broadcast_address and position != widest[1]:
            message = f"overlaps the subnet of another VLAN, {widest[2]}"
            yield Problem(field, message, f"{network} and {widest[0]}", "Give each VLAN addresses of its own.")
        if widest is None or network.broadcast_address > widest[0].broadcast_address:
            widest = network, position, field


@rule("network-next-hop", NETWORK)
def next_hop(document: Document, world: World) -> Iterator[Problem]:
    """A route's nextHop that is no address, lies outside its subnet, or is the subnet's first or last address."""
    for field, subnet, route in _routes(document):
        if subnet.network is None:
            continue
        problem = _next_hop_problem(subnet.network, route)
        if problem:
            fix = f"Use the router's address in {subnet.network}."
            yield Problem(f"{field}.action.nextHop", problem, f"{show(route.next_hop)} in {subnet.cidr}", fix)


def subnets(document: Document) -> Iterator[tuple[str, Subnet]]:
    """(field path, subnet) of every subnet of a Network; one without a cidr is left to field-missing."""
    for position, entry in enumerate(document.network.vlans):
        for number, subnet in enumerate(entry.subnets):
            if subnet.cidr:
                yield f"{VLANS}[{position}].subnets[{number}]", subnet


def _routes(document: Document) -> Iterator[tuple[str, Subnet, Route]]:
    for field, subnet in subnets(document):
        for number, route in enumerate(subnet.routes):
            yield f"{field}.routes[{number}]", subnet, route


def _written_ids(raw: Any) -> Iterator[tuple[str, int | None]]:
    for position, entry in enumerate(items(dig(raw, "spec", "l2Bridge", "vlans"))):
        field = f"{VLANS}[{position}].vlan"
        yield f"{field}.id", integer(dig(entry, "vlan", "id"))
        yield f"{field}.range.start", integer(dig(entry, "vlan", "range", "start"))
        yield f"{field}.range.end", integer(dig(entry, "vlan", "range", "end"))
    for position, host in enumerate(items(dig(raw, "spec", "l2Bridge", "hostConfig"))):
        for number, connection in enumerate(items(dig(host, "hostConnections"))):
            field = f"{HOSTS}[{position}].hostConnections[{number}].trunkPort.nativeVLAN"
            yield field, integer(dig(connection, "trunkPort", "nativeVLAN"))


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Network(text, strict=False)
    except ValueError:
        return False
    return True


def _next_hop_problem(network: IPv4Network, route: Route) -> str:
    try:
        address = IPv4Address(route.next_hop)
    except ValueError:
        return "not an IPv4 address"
    if address not in network:
        return "outside its subnet: it cannot be a neighbour on the VLAN"
    edges = (network.network_address, network.broadcast_address)
    return "the subnet's first or last address" if network.prefixlen < 31 and address in edges else ""


def _few(vids: list[int]) -> str:
    return ", ".join(map(str, vids[:5])) + (f" and {len(vids) - 5} more" if len(vids) > 5 else "")
