"""VLAN memberships of bridges and their ports, and whether a link's MAC was set: what pyroute2 tells slowly or not.

Memberships are read in the compressed form (ranges), so that a trunk with 4094 VLANs is two entries, not 4094.
`addr_assign_type` is told by sysfs alone, and a mounted sysfs shows the namespace it was mounted in; a detached mount
of the caller's namespace needs neither a directory nor a mount namespace.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator

from bascule_agent.netlink.request import Requests, attributes, u32
from bascule_agent.netlink.types import PortVlan

_RTM_NEWLINK, _RTM_GETLINK, _AF_BRIDGE = 16, 18, 7
_IFLA_AF_SPEC, _IFLA_EXT_MASK, _IFLA_BRIDGE_VLAN_INFO = 26, 29, 2
_BRVLAN_COMPRESSED = 4  # RTEXT_FILTER_BRVLAN_COMPRESSED
_PVID, _UNTAGGED, _RANGE_BEGIN, _RANGE_END = 2, 4, 8, 16  # BRIDGE_VLAN_INFO_*
_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432
_CREATE, _CLOEXEC = 6, 1
_NET_ADDR_SET = 3
_libc = ctypes.CDLL(None, use_errno=True)


def read_vlans(requests: Requests, index: int = 0) -> list[PortVlan]:
    """The memberships of every bridge and bridge port, or of one link; a bridge's own (`self`) ones stand under its own
    index."""
    body = struct.pack("BxHiII", _AF_BRIDGE, 0, 0, 0, 0) + u32(_IFLA_EXT_MASK, _BRVLAN_COMPRESSED)
    found = []
    for message in requests.dump(_RTM_GETLINK, body, _RTM_NEWLINK, "read VLANs of bridge ports"):
        (link,) = struct.unpack_from("i", message, 4)
        if index in (0, link):
            spec = dict(attributes(message[16:])).get(_IFLA_AF_SPEC, b"")
            found += list(_entries(link, spec))
    return found


def _entries(link: int, spec: bytes) -> Iterator[PortVlan]:
    first = 0
    for kind, value in attributes(spec):
        if kind != _IFLA_BRIDGE_VLAN_INFO:
            continue
        flags, vid = struct.unpack_from("HH", value)
        if flags & _RANGE_BEGIN:
            first = vid
            continue
        start = first if flags & _RANGE_END else vid
        for each in range(start, vid + 1):
            yield PortVlan(link, each, bool(flags & _PVID), bool(flags & _UNTAGGED))


def mac_is_set(name: str) -> bool | None:
    """Was this link's MAC set by somebody (addr_assign_type 3)? None when sysfs does not tell."""
    try:
        mount = _sysfs()
        try:
            fd = os.open(f"class/net/{name}/addr_assign_type", os.O_RDONLY | os.O_CLOEXEC, dir_fd=mount)
        finally:
            os.close(mount)
        with os.fdopen(fd) as stream:
            return int(stream.read()) == _NET_ADDR_SET
    except (OSError, ValueError):
        return None


def _sysfs() -> int:
    context = _checked(_libc.syscall(_FSOPEN, b"sysfs", _CLOEXEC))
    try:
        _checked(_libc.syscall(_FSCONFIG, context, _CREATE, None, None, 0))
        return _checked(_libc.syscall(_FSMOUNT, context, _CLOEXEC, 0))
    finally:
        os.close(context)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(result)
