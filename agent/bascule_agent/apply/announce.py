"""Tell the switches where this node's VMs are after their way to the wire changed.

A switch goes on sending a VM's frames to the port where it last heard the VM, for minutes, and a VM that only answers
is then never heard again. So a RARP request with the VM's own MAC, as hypervisors send it, goes out in the VM's own
VLAN for every live port: after a change, and after one was taken back. Used by the agent and by the dead-man process.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterable

from bascule.hostplan.observed import Observed

Place = tuple[str, int, str]
"""(link to send on, tag or 0 for none, the VM's MAC)."""

AGAIN_SECONDS = 0.2
_RARP = struct.Struct("!HHBBH6s4s6s4s")


def places(observed: Observed, ports: Iterable[tuple[int, int, str]]) -> list[Place]:
    """Where to say it: `ports` are (bridge's ifindex, VLAN, MAC) of the live ones. With per_vlan the stub, whose
    program adds the tag; with vlan_aware each trunk that carries the VLAN in that bridge."""
    stubs = {link.master: link.name for link in observed.links if link.owner and link.owner.role == "s"}
    untagged = {(member.port, member.vid) for member in observed.vlans if member.untagged}
    found: list[Place] = []
    for bridge, vid, mac in ports:
        if bridge in stubs:
            found.append((stubs[bridge], 0, mac))
        for row in observed.carried:
            if (row.bridge, row.vid) == (bridge, vid):
                found.append((observed.name_of(row.trunk), 0 if (row.trunk, vid) in untagged else vid, mac))
    return sorted(found)


def announce(where: Iterable[Place], again: float = AGAIN_SECONDS) -> None:
    """Say it, and once more `again` seconds later: a link that has just come up may lose the first. Blocking, in the
    caller's network namespace. A link that is gone or down is passed over."""
    wanted = list(where)
    if not wanted:
        return
    _say(wanted)
    time.sleep(again)
    _say(wanted)


def _say(where: Iterable[Place]) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
        for link, tag, mac in where:
            with contextlib.suppress(OSError):
                sock.sendto(frame(mac, tag), (link, 0))


def frame(mac: str, tag: int = 0) -> bytes:
    """A RARP request for its own address (RFC 903), tagged unless `tag` is 0."""
    own = bytes.fromhex(mac.replace(":", ""))
    body = _RARP.pack(1, 0x0800, 6, 4, 3, own, b"\0" * 4, own, b"\0" * 4)
    head = b"\xff" * 6 + own + (struct.pack("!HH", 0x8100, tag) if tag else b"") + b"\x80\x35"
    return (head + body).ljust(60, b"\0")
