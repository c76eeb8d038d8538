"""The lab's network namespaces, and the one thread in which all of the lab's netlink calls run.

One thread, because netlink blocks, must not run inside an asyncio loop, and is then ordered: what one coroutine
builds is there when the next one asks.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import hashlib
import socket
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from bascule_agent.netlink import Netlink, create_netns, delete_netns, in_netns, list_netns, quiet_sysctls, sysctl

P = ParamSpec("P")
T = TypeVar("T")

_SIOCETHTOOL, _ETHTOOL_STXCSUM, _ETHTOOL_STSO = 0x8946, 0x17, 0x1F
_worker = ThreadPoolExecutor(1, thread_name_prefix="lab-netlink")
_open: dict[str, Netlink] = {}


async def net(fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function in the lab's netlink thread and return its result."""
    return await asyncio.get_running_loop().run_in_executor(_worker, lambda: fn(*args, **kwargs))


def link_in(netns: str) -> Netlink:
    """The open netlink of a namespace. Blocking; only for functions that run under `net`."""
    if netns not in _open:
        _open[netns] = Netlink(netns)
    return _open[netns]


def make(netns: str) -> Netlink:
    """A new namespace: no IPv6, no netfilter on bridges, loopback up. Blocking. Raises NetlinkError."""
    create_netns(netns)
    quiet_sysctls(netns)
    handle = link_in(netns)
    handle.set(1, up=True)
    return handle


def remove(netns: str) -> None:
    """Delete a namespace and close what we hold of it; no error when it is gone. Blocking."""
    close(netns)
    delete_netns(netns)


def close(netns: str) -> None:
    """Close our netlink in a namespace, which would keep it alive. Blocking."""
    handle = _open.pop(netns, None)
    if handle:
        handle.close()


def like_a_nic(netns: str, interface: str) -> None:
    """Make a veth's end behave as a plain Ethernet port at the guests' side of the wire. Blocking.

    It segments and checksums what it sends (a veth passes 64 KB super-frames on, which no wire carries and which
    counters count as one), and it asks again after 0.1 s, not 1 s, for a neighbour that configures itself just now.
    """
    # per interface: a namespace other than the first has no `default` to set
    sysctl(netns, {f"net/ipv4/neigh/{interface}/retrans_time_ms": 100})
    in_netns(netns, lambda: _offloads_off(interface))


def _offloads_off(interface: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in (_ETHTOOL_STXCSUM, _ETHTOOL_STSO):
            value = ctypes.create_string_buffer(struct.pack("II", command, 0))
            request = struct.pack("16sQ16x", interface.encode(), ctypes.addressof(value))
            fcntl.ioctl(control, _SIOCETHTOOL, request)


def fixed_mac(*words: str) -> str:
    """A locally administered MAC made from `words`: a bridge without one takes its ports', and changes with them."""
    digest = hashlib.sha256("/".join(words).encode()).digest()
    return f"02:b5:{digest[0]:02x}:{digest[1]:02x}:{digest[2]:02x}:{digest[3]:02x}"


__all__ = ["close", "fixed_mac", "in_netns", "like_a_nic", "link_in", "list_netns", "make", "net", "remove"]
