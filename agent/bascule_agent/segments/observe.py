"""The links of a node as bascule.hostplan wants them: all that can be known without pins."""

from __future__ import annotations

from collections.abc import Iterable

from bascule.hostplan.observed import ObservedLink
from bascule_agent.netlink import Link, Netlink


def observe_links(netlink: Netlink, links: Iterable[Link] | None = None) -> tuple[ObservedLink, ...]:
    """Every link of the namespace (or these, just read), marked when a default route leaves through it."""
    ways_out = {route.index for route in netlink.routes() if route.dst == "0.0.0.0/0"}
    return tuple(
        ObservedLink(
            index=link.index,
            name=link.name,
            kind=link.kind,
            alias=link.alias,
            up=link.up,
            carrier=link.carrier,
            mtu=link.mtu,
            mac=link.mac,
            master=link.master,
            peer=link.peer_index if link.peer_netnsid is None else 0,
            default_route=link.index in ways_out,
        )
        for link in (netlink.links() if links is None else links)
    )


def observe_addresses(netlink: Netlink) -> frozenset[tuple[int, str]]:
    """The node's own IPv4 addresses, as (ifindex, CIDR)."""
    return frozenset((each.index, f"{each.address}/{each.prefixlen}") for each in netlink.addresses())
