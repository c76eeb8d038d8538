"""Flags of bridge ports and forwarding entries by our own hand (IFLA_BRPORT_* of if_link.h, struct ndmsg)."""

from __future__ import annotations

import struct

from bascule_agent.netlink.rawlinks import mac_bytes
from bascule_agent.netlink.request import CREATE, NESTED, REPLACE, Requests, attribute, chosen, nested, u8, u16, u32
from bascule_agent.netlink.types import FdbEntry

AF_BRIDGE = 7
_NEWLINK, _GETLINK, _SETLINK = 16, 18, 19
_NEWNEIGH, _DELNEIGH, _GETNEIGH = 28, 29, 30
_IFINFO, _NDMSG = struct.Struct("=BxHiII"), struct.Struct("=BxxxiHBB")
_PROTINFO, _LINKINFO, _EXT_MASK, _SKIP_STATS = 12, 18, 29, 8
_SLAVE_KIND, _SLAVE_DATA = 4, 5
_LLADDR, _VLAN, _MASTER = 2, 5, 9
_REACHABLE, _NOARP, _PERMANENT = 0x02, 0x40, 0x80
_NTF_MASTER, _NTF_STICKY = 0x04, 0x40
_NAMES = (
    *("", "state", "priority", "cost", "mode", "guard", "protect", "fast_leave", "learning", "unicast_flood"),
    *("proxyarp", "learning_sync", "proxyarp_wifi", "root_id", "bridge_id", "designated_port", "designated_cost"),
    *("id", "no", "topology_change_ack", "config_pending", "message_age_timer", "forward_delay_timer", "hold_timer"),
    *("flush", "multicast_router", "pad", "mcast_flood", "mcast_to_ucast", "vlan_tunnel", "bcast_flood"),
    *("group_fwd_mask", "neigh_suppress", "isolated", "backup_port", "mrp_ring_open", "mrp_in_open"),
    *("mcast_eht_hosts_limit", "mcast_eht_hosts_cnt", "locked"),
)
"""IFLA_BRPORT_* in order, from 0."""
_SETTABLE = {name: kind for kind, name in enumerate(_NAMES) if name}
_READ = frozenset(range(1, len(_NAMES)))


class RawBridge:
    """Bridge ports of a namespace, over one socket."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def flags(self, index: int) -> dict[str, int]:
        """The settings of a bridge port by name, those that are numbers; {} when the link is no bridge port."""
        body = _IFINFO.pack(0, 0, index, 0, 0) + u32(_EXT_MASK, _SKIP_STATS)
        found = self._requests.get(_GETLINK, body, f"read bridge port {index}")
        info = chosen(chosen(found, _IFINFO.size, {_LINKINFO}).get(_LINKINFO, b""), 0, {_SLAVE_KIND, _SLAVE_DATA})
        if info.get(_SLAVE_KIND, b"").rstrip(b"\0") != b"bridge":
            return {}
        data = chosen(info.get(_SLAVE_DATA, b""), 0, _READ)
        return {_NAMES[kind]: int.from_bytes(value, "little") for kind, value in data.items() if len(value) <= 4}

    def set_flags(self, index: int, flags: dict[str, int]) -> None:
        """Set one-byte flags of a bridge port (KeyError for a name that is none)."""
        given = nested(_PROTINFO | NESTED, *(u8(_SETTABLE[name], value) for name, value in flags.items()))
        body = _IFINFO.pack(AF_BRIDGE, 0, index, 0, 0) + given
        self._requests.change(_SETLINK, 0, body, f"set bridge port {index} {flags}")

    def entries(self) -> list[FdbEntry]:
        """The forwarding entries of every bridge."""
        body = _NDMSG.pack(AF_BRIDGE, 0, 0, 0, 0)
        found = map(entry, self._requests.dump(_GETNEIGH, body, _NEWNEIGH, "list forwarding entries"))
        return [each for each in found if each.master]

    def replace(self, port: int, mac: str, vlan: int) -> None:
        """A static entry of the port's bridge."""
        body = _NDMSG.pack(AF_BRIDGE, port, _NOARP | _REACHABLE, _NTF_MASTER, 0) + _place(mac, vlan)
        self._requests.change(_NEWNEIGH, CREATE | REPLACE, body, f"set forwarding entry {mac} on link {port}")

    def remove(self, port: int, mac: str, vlan: int) -> None:
        """Remove an entry of the port's bridge."""
        body = _NDMSG.pack(AF_BRIDGE, port, 0, _NTF_MASTER, 0) + _place(mac, vlan)
        self._requests.change(_DELNEIGH, 0, body, f"delete forwarding entry {mac} on link {port}")


def _place(mac: str, vlan: int) -> bytes:
    return attribute(_LLADDR, mac_bytes(mac)) + (u16(_VLAN, vlan) if vlan else b"")


def entry(body: bytes) -> FdbEntry:
    """RTM_NEWNEIGH or RTM_DELNEIGH of family AF_BRIDGE."""
    _, index, state, flags, _ = _NDMSG.unpack_from(body)
    attrs = chosen(body, _NDMSG.size, {_LLADDR, _VLAN, _MASTER})
    return FdbEntry(
        mac=attrs.get(_LLADDR, b"").hex(":"),
        index=index,
        master=int.from_bytes(attrs.get(_MASTER, b""), "little"),
        static=bool(state & _NOARP),
        local=bool(state & _PERMANENT),
        sticky=bool(flags & _NTF_STICKY),
        vlan=int.from_bytes(attrs.get(_VLAN, b""), "little"),
    )
