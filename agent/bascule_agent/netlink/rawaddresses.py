"""IPv4 addresses and routes read by our own hand (struct ifaddrmsg, struct rtmsg): a pass reads both."""

from __future__ import annotations

import socket
import struct

from bascule_agent.netlink.request import Requests, chosen
from bascule_agent.netlink.types import Address, Route

_AF_INET = 2
_NEWADDR, _GETADDR, _NEWROUTE, _GETROUTE = 20, 22, 24, 26
_IFADDR, _RTMSG = struct.Struct("=BBBBI"), struct.Struct("=BBBBBBBBI")
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_DST, _OIF, _GATEWAY, _TABLE = 1, 4, 5, 15
_MAIN = 254


def read_addresses(requests: Requests) -> list[Address]:
    """Every IPv4 address."""
    found = []
    for body in requests.dump(_GETADDR, _IFADDR.pack(_AF_INET, 0, 0, 0, 0), _NEWADDR, "list addresses"):
        _, length, _, _, index = _IFADDR.unpack_from(body)
        attrs = chosen(body, _IFADDR.size, {_IFA_ADDRESS, _IFA_LOCAL})
        found.append(Address(index, _dotted(attrs.get(_IFA_LOCAL) or attrs.get(_IFA_ADDRESS, b"")), length))
    return found


def read_routes(requests: Requests) -> list[Route]:
    """The IPv4 routes of the main table."""
    found = []
    for body in requests.dump(_GETROUTE, _RTMSG.pack(_AF_INET, *(0,) * 8), _NEWROUTE, "list routes"):
        _, length, _, _, small, *_ = _RTMSG.unpack_from(body)
        attrs = chosen(body, _RTMSG.size, {_DST, _OIF, _GATEWAY, _TABLE})
        table = int.from_bytes(attrs[_TABLE], "little") if _TABLE in attrs else small
        if table == _MAIN:
            dst, via = _dotted(attrs.get(_DST, b"")) or "0.0.0.0", _dotted(attrs.get(_GATEWAY, b""))
            found.append(Route(f"{dst}/{length}", via, int.from_bytes(attrs.get(_OIF, b""), "little")))
    return found


def _dotted(value: bytes) -> str:
    return socket.inet_ntoa(value) if len(value) == 4 else ""
