"""pyroute2's messages turned into our dataclasses."""

from __future__ import annotations

from typing import Any

from bascule_agent.netlink.types import Address, BridgeSettings, FdbEntry, Link, Neighbour, Route

NUD_REACHABLE, NUD_NOARP, NUD_PERMANENT = 0x02, 0x40, 0x80
NTF_MASTER, NTF_STICKY = 0x04, 0x40
AF_BRIDGE = 7
_IFF_UP = 1
_PROTOCOLS = {0x8100: "802.1Q", 0x88A8: "802.1ad"}


def attributes(message: Any) -> dict[str, Any]:
    """The attributes of a message by name (the last one wins)."""
    return dict(message.get("attrs") or [])


def link(message: Any) -> Link:
    """RTM_NEWLINK or RTM_DELLINK to a Link."""
    attrs = attributes(message)
    info = attributes(attrs.get("IFLA_LINKINFO") or {})
    kind = info.get("IFLA_INFO_KIND", "")
    return Link(
        index=message["index"],
        name=attrs.get("IFLA_IFNAME", ""),
        kind=kind,
        alias=attrs.get("IFLA_IFALIAS", ""),
        up=bool(message["flags"] & _IFF_UP),
        carrier=bool(attrs.get("IFLA_CARRIER", 0)),
        mtu=attrs.get("IFLA_MTU", 0),
        mac=attrs.get("IFLA_ADDRESS", ""),
        master=attrs.get("IFLA_MASTER", 0),
        peer_index=attrs.get("IFLA_LINK") or 0,
        peer_netnsid=attrs.get("IFLA_LINK_NETNSID"),
        bridge=_bridge(attributes(info.get("IFLA_INFO_DATA") or {})) if kind == "bridge" else None,
    )


def _bridge(data: dict[str, Any]) -> BridgeSettings:
    filtering, protocol = data.get("IFLA_BR_VLAN_FILTERING"), data.get("IFLA_BR_VLAN_PROTOCOL")
    return BridgeSettings(
        vlan_filtering=None if filtering is None else bool(filtering),
        vlan_protocol=None if protocol is None else _PROTOCOLS.get(protocol, f"0x{protocol:04x}"),
        default_pvid=data.get("IFLA_BR_VLAN_DEFAULT_PVID"),
    )


def fdb(message: Any) -> FdbEntry:
    """RTM_NEWNEIGH or RTM_DELNEIGH of family AF_BRIDGE to an FdbEntry."""
    attrs = attributes(message)
    state = message["state"]
    return FdbEntry(
        mac=attrs.get("NDA_LLADDR", ""),
        index=message["ifindex"],
        master=attrs.get("NDA_MASTER", 0),
        static=bool(state & NUD_NOARP),
        local=bool(state & NUD_PERMANENT),
        sticky=bool(message["flags"] & NTF_STICKY),
        vlan=attrs.get("NDA_VLAN", 0),
    )


def neighbour(message: Any) -> Neighbour:
    """RTM_NEWNEIGH of family AF_INET to a Neighbour."""
    attrs = attributes(message)
    return Neighbour(
        index=message["ifindex"],
        ip=attrs.get("NDA_DST", ""),
        mac=attrs.get("NDA_LLADDR", ""),
        permanent=bool(message["state"] & NUD_PERMANENT),
    )


def address(message: Any) -> Address:
    """RTM_NEWADDR to an Address."""
    attrs = attributes(message)
    local = attrs.get("IFA_LOCAL") or attrs.get("IFA_ADDRESS", "")
    return Address(index=message["index"], address=local, prefixlen=message["prefixlen"])


def route(message: Any) -> Route:
    """RTM_NEWROUTE to a Route."""
    attrs = attributes(message)
    dst = attrs.get("RTA_DST", "0.0.0.0")
    return Route(dst=f"{dst}/{message['dst_len']}", via=attrs.get("RTA_GATEWAY", ""), index=attrs.get("RTA_OIF", 0))
