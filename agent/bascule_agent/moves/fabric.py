"""What the trunk carries of a moving VM, and the agent's own word when the VM's announcement is missing.

A packet socket on the trunk sees frames with the VM's MAC go out (the VM speaks here) and come in (somebody still
speaks elsewhere). A port that has opened while no RARP or gratuitous ARP has left is a VM that the fabric still looks
for at its old place: then the agent announces it, by one gratuitous ARP in its name. That is harmless when the VM has
been heard in the same moment, and the record says who spoke.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from bascule_agent.probes.errors import ProbeSocketError
from bascule_agent.probes.icmp import SO_TIMESTAMPNS, kernel_time
from bascule_agent.probes.trunk import PACKET_AUXDATA, SOL_PACKET, attach_filter, vid_of

ETH_P_ALL, PACKET_OUTGOING = 3, 4
ETH_ARP, ETH_RARP, ETH_IPV4, ETH_8021Q = 0x0806, 0x8035, 0x0800, 0x8100
FOREIGN_LISTED, SPOKEN_LISTED = 50, 20
_WAIT = 0.1
_ARP = struct.Struct("!HHBBH6s4s6s4s")


@dataclass(slots=True)
class Seen:
    """Times are CLOCK_REALTIME ns by the kernel."""

    first_out_ns: int | None = None
    announced_ns: int | None = None
    announced_by: str = ""
    announced_kind: str = ""
    guest_announced: bool = False
    spoken: list[dict[str, Any]] = field(default_factory=list)
    foreign: list[dict[str, Any]] = field(default_factory=list)


class FabricWatch:
    """One VM's MAC on one trunk, in the network namespace of the constructing thread. Raises ProbeSocketError.

    `tag` is the VLAN's tag on the trunk, None where it is native; `speak` is False where the data plane is another's.
    """

    def __init__(self, trunk: str, tag: int | None, mac: str, ip: str, speak: bool) -> None:
        self.link, self.tag = trunk, tag
        self._mac, self._ip, self._speak = bytes.fromhex(mac.replace(":", "")), ip, speak
        self._seen, self._lock = Seen(), threading.Lock()
        self._stop = threading.Event()
        self._socket = _open(trunk, self._mac)
        self._thread = threading.Thread(target=self._read, name=f"fabric {mac}", daemon=True)
        self._thread.start()

    def announce(self) -> int | None:
        """Announce the VM unless it has done so itself; the time of our frame, None when none was needed or none could
        be sent."""
        with self._lock:
            if self._seen.guest_announced or not self._speak or not self._ip:
                return None
            at = time.time_ns()
            try:
                self._socket.send(gratuitous(self._mac, self._ip, self.tag))
            except OSError:
                return None
            if self._seen.announced_ns is None:
                self._seen.announced_ns, self._seen.announced_by = at, "agent"
                self._seen.announced_kind = "garp"
            return at

    def told(self, vlan: int, first_frame_ns: int | None) -> dict[str, Any]:
        """The record's key `fabric`."""
        with self._lock:
            seen = self._seen
            delay = None
            if seen.announced_ns is not None and first_frame_ns is not None:
                delay = round((seen.announced_ns - first_frame_ns) / 1e6, 3)
            return {
                "link": self.link,
                "vlan": vlan,
                "first_frame_ns": first_frame_ns,
                "first_out_ns": seen.first_out_ns,
                "announced_ns": seen.announced_ns,
                "announced_by": seen.announced_by,
                "announced_kind": seen.announced_kind,
                "announce_delay_ms": delay,
                "spoken": list(seen.spoken),
                "foreign": list(seen.foreign),
            }

    def close(self) -> None:
        """End the thread and close the socket; at most 0.1 s, call it off the event loop."""
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def _read(self) -> None:
        while not self._stop.is_set():
            try:
                data, control, _, address = self._socket.recvmsg(64, 256)
            except TimeoutError:
                continue
            except OSError:
                self._stop.wait(_WAIT)  # the link went down: it may come back
                continue
            if vid_of(control) == self.tag and len(data) >= 14:
                self._note(data, kernel_time(control) or time.time_ns(), address[2] == PACKET_OUTGOING)

    def _note(self, data: bytes, at_ns: int, outgoing: bool) -> None:
        kind = kind_of(data)
        with self._lock:
            seen = self._seen
            if not outgoing:
                # Before the VM spoke here, frames from elsewhere are the VM at its old place.
                if seen.first_out_ns is not None and len(seen.foreign) < FOREIGN_LISTED:
                    seen.foreign.append({"at_ns": at_ns, "kind": kind, "dst": data[:6].hex(":")})
                return
            if seen.first_out_ns is None:
                seen.first_out_ns = at_ns
            if kind in ("rarp", "garp"):
                seen.guest_announced = True
                if len(seen.spoken) < SPOKEN_LISTED:
                    seen.spoken.append({"at_ns": at_ns, "kind": kind})
                if seen.announced_ns is None:
                    seen.announced_ns, seen.announced_by, seen.announced_kind = at_ns, "guest", kind


def kind_of(frame: bytes) -> str:
    """`rarp`, `garp` (an ARP that names one address twice), `arp`, `ip` or the EtherType in hex."""
    ethertype = int.from_bytes(frame[12:14], "big")
    if ethertype == ETH_ARP and len(frame) >= 42:
        return "garp" if frame[28:32] == frame[38:42] != b"\0\0\0\0" else "arp"
    return {ETH_RARP: "rarp", ETH_ARP: "arp", ETH_IPV4: "ip"}.get(ethertype, f"{ethertype:04x}")


def gratuitous(mac: bytes, ip: str, tag: int | None) -> bytes:
    """A gratuitous ARP request (RFC 5944 4.6) in the VM's name, tagged for the trunk."""
    head = b"" if tag is None else struct.pack("!HH", ETH_8021Q, tag)
    address = socket.inet_aton(ip)
    body = _ARP.pack(1, 0x0800, 6, 4, 1, mac, address, b"\0" * 6, address)
    return b"\xff" * 6 + mac + head + b"\x08\x06" + body.ljust(46, b"\0")


def _open(link: str, mac: bytes) -> socket.socket:
    sock = None
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        high, low = int.from_bytes(mac[:4], "big"), int.from_bytes(mac[4:], "big")
        program = (
            (0x20, 0, 0, 6),
            (0x15, 0, 3, high),
            (0x28, 0, 0, 10),
            (0x15, 0, 1, low),
            (0x06, 0, 0, 0xFFFF),
            (0x06, 0, 0, 0),
        )
        attach_filter(sock, program)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        sock.bind((link, ETH_P_ALL))
        sock.settimeout(_WAIT)
        return sock
    except OSError as error:
        if sock is not None:
            sock.close()
        raise ProbeSocketError(
            f"the trunk {link} cannot be watched", cause=error.strerror or str(error), fix="the link must be there"
        ) from error
