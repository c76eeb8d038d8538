"""Links by our own hand: read, made, changed, deleted (struct ifinfomsg and the IFLA_* attributes of if_link.h)."""

from __future__ import annotations

import struct
from typing import Any

from bascule_agent.netlink.request import (
    CREATE,
    EXCL,
    Requests,
    attribute,
    chosen,
    nested,
    text,
    u8,
    u16,
    u32,
)
from bascule_agent.netlink.types import BridgeSettings, Link

_NEWLINK, _DELLINK, _GETLINK, _SETLINK = 16, 17, 18, 19
_INFO = struct.Struct("=BxHiII")
_IFF_UP = 1
_ADDRESS, _IFNAME, _MTU, _LINK, _MASTER, _LINKINFO, _IFALIAS = 1, 3, 4, 5, 10, 18, 20
_NET_NS_FD, _EXT_MASK, _CARRIER, _NETNSID = 28, 29, 33, 37
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_BR_FORWARD_DELAY, _BR_STP, _BR_FILTERING, _BR_PROTOCOL, _BR_SNOOPING, _BR_PVID = 1, 5, 7, 8, 23, 39
_SKIP_STATS = u32(_EXT_MASK, 8)  # RTEXT_FILTER_SKIP_STATS: half of a link's message, and it changes all the time
_PROTOCOLS = {0x8100: "802.1Q", 0x88A8: "802.1ad"}
_WANTED = frozenset((_ADDRESS, _IFNAME, _MTU, _LINK, _MASTER, _LINKINFO, _IFALIAS, _CARRIER, _NETNSID))
_INFO_WANTED = frozenset((_INFO_KIND, _INFO_DATA))
_BRIDGE_WANTED = frozenset((_BR_FILTERING, _BR_PROTOCOL, _BR_PVID))


def _header(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return _INFO.pack(0, 0, index, flags, change)


def mac_bytes(mac: str) -> bytes:
    """`02:b5:…` as six bytes."""
    return bytes.fromhex(mac.replace(":", ""))


class RawLinks:
    """Link operations on one socket. Errors are NetlinkError with the kernel's errno."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._known: dict[bytes, Link] = {}

    def all(self) -> list[Link]:
        """Every link. A message that says the same as in the last dump is not decoded again."""
        bodies = self._requests.dump(_GETLINK, _header() + _SKIP_STATS, _NEWLINK, "list links")
        known = self._known
        self._known = {body: known.get(body) or decode(body) for body in bodies}
        return list(self._known.values())

    def get(self, ref: str | int) -> Link:
        """The link of that name or index."""
        index, name = (ref, b"") if isinstance(ref, int) else (0, text(_IFNAME, ref))
        return decode(self._requests.get(_GETLINK, _header(index) + name + _SKIP_STATS, f"read link {ref}"))

    def add_bridge(self, name: str, mac: str, filtering: bool | None) -> None:
        """A bridge as the facade says."""
        options = [u32(_BR_FORWARD_DELAY, 0), u8(_BR_SNOOPING, 0), u32(_BR_STP, 0), u16(_BR_PVID, 0)]
        if filtering is not None:
            options.append(u8(_BR_FILTERING, int(filtering)))
        info = nested(_LINKINFO, attribute(_INFO_KIND, b"bridge"), nested(_INFO_DATA, *options))
        body = _header() + text(_IFNAME, name) + attribute(_ADDRESS, mac_bytes(mac)) + info
        self._requests.change(_NEWLINK, CREATE | EXCL, body, f"add bridge {name}")

    def add_veth(self, name: str, peer: str, mac: str, peer_mac: str, mtu: int, peer_fd: int | None) -> None:
        """A veth pair; "" and 0 leave the choice to the kernel; `peer_fd` is the peer's namespace."""
        far = _header() + _end(peer, peer_mac, mtu) + (b"" if peer_fd is None else u32(_NET_NS_FD, peer_fd))
        data = nested(_INFO_DATA, attribute(_VETH_PEER, far))
        info = nested(_LINKINFO, attribute(_INFO_KIND, b"veth"), data)
        body = _header() + _end(name, mac, mtu) + info
        self._requests.change(_NEWLINK, CREATE | EXCL, body, f"add veth {name}")

    def set(self, index: int, up: bool | None, change: dict[str, Any]) -> None:
        """Change what is given: master, alias, mtu, mac, name, netns_fd."""
        makers = {
            "master": lambda v: u32(_MASTER, v),
            "alias": lambda v: attribute(_IFALIAS, v.encode()),
            "mtu": lambda v: u32(_MTU, v),
            "mac": lambda v: attribute(_ADDRESS, mac_bytes(v)),
            "name": lambda v: text(_IFNAME, v),
            "netns_fd": lambda v: u32(_NET_NS_FD, v),
        }
        flags = (int(bool(up)), _IFF_UP) if up is not None else (0, 0)
        body = _header(index, *flags) + b"".join(makers[key](value) for key, value in change.items())
        self._requests.change(_SETLINK, 0, body, f"set link {index}")

    def delete(self, index: int) -> None:
        """Delete the link."""
        self._requests.change(_DELLINK, 0, _header(index), f"delete link {index}")


def _end(name: str, mac: str, mtu: int) -> bytes:
    return (
        text(_IFNAME, name) + (attribute(_ADDRESS, mac_bytes(mac)) if mac else b"") + (u32(_MTU, mtu) if mtu else b"")
    )


def decode(body: bytes) -> Link:
    """RTM_NEWLINK to a Link."""
    _, _, index, flags, _ = _INFO.unpack_from(body)
    attrs = chosen(body, _INFO.size, _WANTED)
    info = chosen(attrs.get(_LINKINFO, b""), 0, _INFO_WANTED)
    kind = _string(info.get(_INFO_KIND, b""))
    netnsid = attrs.get(_NETNSID)
    return Link(
        index=index,
        name=_string(attrs.get(_IFNAME, b"")),
        kind=kind,
        alias=_string(attrs.get(_IFALIAS, b"")),
        up=bool(flags & _IFF_UP),
        carrier=attrs.get(_CARRIER, b"\0") != b"\0",
        mtu=_number(attrs.get(_MTU)) or 0,
        mac=attrs.get(_ADDRESS, b"").hex(":"),
        master=_number(attrs.get(_MASTER)) or 0,
        peer_index=_number(attrs.get(_LINK)) or 0,
        peer_netnsid=None if netnsid is None else int.from_bytes(netnsid, "little", signed=True),
        bridge=_bridge(chosen(info.get(_INFO_DATA, b""), 0, _BRIDGE_WANTED)) if kind == "bridge" else None,
    )


def _bridge(data: dict[int, bytes]) -> BridgeSettings:
    filtering, protocol = _number(data.get(_BR_FILTERING)), data.get(_BR_PROTOCOL)
    word = None if protocol is None else int.from_bytes(protocol, "big")
    return BridgeSettings(
        vlan_filtering=None if filtering is None else bool(filtering),
        vlan_protocol=None if word is None else _PROTOCOLS.get(word, f"0x{word:04x}"),
        default_pvid=_number(data.get(_BR_PVID)),
    )


def _string(value: bytes) -> str:
    return value.partition(b"\0")[0].decode(errors="replace")


def _number(value: bytes | None) -> int | None:
    return None if value is None else int.from_bytes(value, "little")
