"""The way this node itself is reached: a Network must not take it away unless somebody typed the node's name."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from bascule.hostplan.observed import Observed, ObservedLink
from bascule.hostplan.outcome import NetworkOutcome
from bascule.resources.network import HostConfig, Network

ALLOW_ANNOTATION = "bascule.dev/management-path"
"""On a Network: names of nodes, with commas, where the operator confirmed that it may use the management path."""


def allowed(network: Network, node: str) -> bool:
    """Did somebody type this node's name for this Network?"""
    names = network.meta.annotations.get(ALLOW_ANNOTATION, "").split(",")
    return node in {name.strip() for name in names}


def guard(
    network: Network, config: HostConfig, observed: Observed, node: str
) -> tuple[Observed, NetworkOutcome | None]:
    """What the Network may see of the node, and why it is refused, if it is: without the operator's word the node's own
    VLAN is out of bounds; with it neither that nor the default route counts."""
    if allowed(network, node):
        return replace(observed, links=tuple(replace(each, default_route=False) for each in observed.links)), None
    why = own_vlan(network, config, observed)
    if not why:
        return observed, None
    return observed, NetworkOutcome.refuse(
        network.name, "ManagementPath", f"{why}: it could cut the node off; bascule trunks attach --confirm-name {node}"
    )


def way_out(trunk: ObservedLink, observed: Observed) -> str:
    """The link with a default route that is the trunk or stands on it (a VLAN device, a macvlan), or ""."""
    found = _above(trunk, observed)
    return next((link.name for link in observed.links if link.index in found and link.default_route), "")


def own_vlan(network: Network, config: HostConfig, observed: Observed) -> str:
    """Why the Network holds the VLAN of the node itself: an address of the node in one of its subnets, or on a link
    that stands on its trunk; "" when nothing says so (CORE-13399)."""
    trunk = observed.by_name.get(config.trunk.interface) if config.trunk else None
    above = _above(trunk, observed) - {trunk.index} if trunk else set()
    for index, cidr in sorted(observed.addresses):
        address = IPv4Address(cidr.partition("/")[0])
        if address.is_loopback:
            continue
        if index in above:
            return f"the node's own address {address} is on {observed.name_of(index)}, which stands on the trunk"
        for entry in network.vlans:
            for subnet in entry.subnets:
                if subnet.network and subnet.network.prefixlen and address in subnet.network:
                    vid = entry.ids.start if len(entry.ids) else 0
                    return f"the node's own address {address} lies in {subnet.network}, the subnet of VLAN {vid}"
    return ""


def _above(trunk: ObservedLink, observed: Observed) -> set[int]:
    found, grown = {trunk.index}, True
    while grown:
        above = {link.index for link in observed.links if link.kind != "veth" and link.peer in found}
        grown = not above <= found
        found |= above
    return found
