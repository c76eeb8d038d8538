"""Whom this network namespace takes an address for: its own ARP entry, asked by ioctl on a socket that lives there.

A gateway that keeps an old entry is a known way to lose a VM after a move (ovn-kubernetes#6947), and only the gateway's
own table shows it.
"""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct

_SIOCGARP, _SIOCGIFCONF = 0x8954, 0x8912
_COMPLETE = 0x02


def neighbour_of(sock: socket.socket, address: str) -> str:
    """The MAC of the entry, "" for none or one that is not complete. `struct arpreq` wants the link: each is asked."""
    for link in _links(sock):
        request = struct.pack("HH4s8x16xi16x16s", socket.AF_INET, 0, socket.inet_aton(address), 0, link)
        try:
            answer = fcntl.ioctl(sock.fileno(), _SIOCGARP, request)
        except OSError:
            continue
        if struct.unpack_from("i", answer, 32)[0] & _COMPLETE:
            return answer[18:24].hex(":")
    return ""


def _links(sock: socket.socket) -> list[bytes]:
    """Names of the links that have an IPv4 address here (`struct ifconf`, 40 bytes an entry)."""
    room = ctypes.create_string_buffer(40 * 64)
    try:
        answer = fcntl.ioctl(sock.fileno(), _SIOCGIFCONF, struct.pack("iP", len(room), ctypes.addressof(room)))
    except OSError:
        return []
    used = struct.unpack_from("i", answer)[0]
    return [room.raw[at : at + 16] for at in range(0, used, 40)]
