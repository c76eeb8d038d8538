"""Pings from the old host: they tell when a VM is up, and leave the ARP entry by which libvirt knows its address."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Collection

from bascule_agent.netlink import in_netns

_ECHO = struct.pack("!BBHHH", 8, 0, 0xF7FF, 0, 0)
_EVERY_S = 0.2


def wait_until_answering(netns: str, addresses: Collection[str], timeout: float) -> dict[str, float]:
    """Ping all from `netns` until each has answered or `timeout` seconds passed; seconds to the answer, by address."""
    started = time.monotonic()
    seen: dict[str, float] = {}
    with in_netns(netns, _open) as ping:
        while len(seen) < len(addresses) and time.monotonic() < started + timeout:
            for address in set(addresses) - set(seen):
                ping.sendto(_ECHO, (address, 0))
            asked = time.monotonic()
            while (left := asked + _EVERY_S - time.monotonic()) > 0 and len(seen) < len(addresses):
                sender = _answer(ping, left)
                if sender in addresses:
                    seen.setdefault(sender, time.monotonic() - started)
    return seen


def _open() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)


def _answer(ping: socket.socket, timeout: float) -> str:
    """Who answered, "" when nobody did or what came was no echo reply."""
    ping.settimeout(timeout)
    try:
        packet, (sender, _) = ping.recvfrom(2048)
    except (TimeoutError, OSError):
        return ""
    header = (packet[0] & 15) * 4
    return str(sender) if packet[header] == 0 else ""
