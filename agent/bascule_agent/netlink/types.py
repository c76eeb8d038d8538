"""What the kernel says about links, addresses, neighbours and bridge entries, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass

from bascule.errors import BasculeError


class NetlinkError(BasculeError):
    """The kernel refused a request, or the thing asked for is not there; `code` is the errno (0 when not from it)."""

    def __init__(self, message: str, cause: str = "", fix: str = "", code: int = 0) -> None:
        super().__init__(message, cause, fix)
        self.code = code


@dataclass(frozen=True)
class BridgeSettings:
    """What a bridge is set to; None where this kernel does not tell. `vlan_protocol` as iproute2 writes it."""

    vlan_filtering: bool | None = None
    vlan_protocol: str | None = None
    default_pvid: int | None = None


@dataclass(frozen=True)
class PortVlan:
    """One VLAN membership of a bridge port, or of a bridge itself (`index` is then the bridge)."""

    index: int
    vid: int
    pvid: bool
    untagged: bool


@dataclass(frozen=True)
class Link:
    """One interface. `peer_index` is IFLA_LINK (a veth's peer, in `peer_netnsid`'s namespace when that is not None);
    `bridge` is set for bridges only."""

    index: int
    name: str
    kind: str
    alias: str
    up: bool
    carrier: bool
    mtu: int
    mac: str
    master: int
    peer_index: int
    peer_netnsid: int | None
    bridge: BridgeSettings | None = None


@dataclass(frozen=True)
class Address:
    """One IPv4 address on a link."""

    index: int
    address: str
    prefixlen: int


@dataclass(frozen=True)
class Route:
    """One IPv4 unicast route of the main table; `dst` is a CIDR, `0.0.0.0/0` for the default."""

    dst: str
    via: str
    index: int


@dataclass(frozen=True)
class FdbEntry:
    """One forwarding entry of a bridge: `index` is the port; `static` entries never age and are not learned; `vlan` is
    0 where the bridge does not filter VLANs (a filtering one keeps entries of VLAN 0 too)."""

    mac: str
    index: int
    master: int
    static: bool
    local: bool
    sticky: bool
    vlan: int = 0


@dataclass(frozen=True)
class Neighbour:
    """One IPv4 neighbour (ARP) entry."""

    index: int
    ip: str
    mac: str
    permanent: bool


@dataclass(frozen=True)
class LinkEvent:
    """A link appeared or changed (`gone` False), or went away."""

    link: Link
    gone: bool


@dataclass(frozen=True)
class FdbEvent:
    """A bridge entry appeared or moved (`gone` False), or went away."""

    entry: FdbEntry
    gone: bool


@dataclass(frozen=True)
class Touched:
    """Something that hangs on a link came, changed or went: a tc filter, a qdisc, flags of a bridge port."""

    index: int


@dataclass(frozen=True)
class Overrun:
    """The kernel dropped events because the reader was too slow: read the state again."""
