"""rtnetlink dumps by our own hand, for what pyroute2 does not decode, or decodes too slowly.

One socket a dump, opened in the caller's namespace.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

from bascule_agent.netlink.types import NetlinkError

_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_REQUEST_DUMP = 0x301


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type without its flag bits, value) of a run of attributes; stops at a malformed one."""
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("HH", data, at)
        if length < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + length]
        at += (length + 3) & ~3


def dump(request: int, body: bytes, answer: int, what: str) -> Iterator[bytes]:
    """The bodies of all messages of type `answer` to a dump request. Raises NetlinkError when the kernel refuses."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as sock:
        sock.bind((0, 0))
        sock.send(struct.pack("IHHII", 16 + len(body), request, _REQUEST_DUMP, 1, 0) + body)
        for kind, found in _messages(sock):
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR:
                (code,) = struct.unpack_from("i", found)
                raise NetlinkError(what, cause=os.strerror(-code), code=-code)
            if kind == answer:
                yield found


def _messages(sock: socket.socket) -> Iterator[tuple[int, bytes]]:
    while True:
        data = sock.recv(1 << 17)
        at = 0
        while at < len(data):
            length, kind = struct.unpack_from("IH", data, at)
            yield kind, data[at + 16 : at + length]
            at += (length + 3) & ~3
