"""Witnesses that are not Bascule: AF_PACKET captures and hand-made frames in a namespace."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

from bascule_agent.netlink import in_netns

_SOL_PACKET, _AUXDATA, _VLAN_VALID, _OUTGOING = 263, 8, 0x10, 4
_ALL, _RCVBUFFORCE = 3, 33


@dataclass(frozen=True)
class Seen:
    """One captured frame: its VLAN tag if it had one, whether this side sent it, its bytes."""

    vid: int | None
    outgoing: bool
    data: bytes


class Capture:
    """Everything on one interface of a namespace, not promiscuous, from the moment it is made."""

    def __init__(self, netns: str, interface: str) -> None:
        self._socket = in_netns(netns, lambda: _open(interface))

    def frames(self, match: Callable[[bytes], bool] = lambda data: True) -> list[Seen]:
        """What came since the last call."""
        found = []
        while True:
            try:
                data, ancillary, _, address = self._socket.recvmsg(70_000, 256)
            except BlockingIOError:
                return found
            if match(data):
                found.append(Seen(_vid(ancillary), address[2] == _OUTGOING, data))

    def close(self) -> None:
        """Stop capturing."""
        self._socket.close()

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _open(interface: str) -> socket.socket:
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL))
    raw.bind((interface, 0))
    raw.setblocking(False)
    raw.setsockopt(_SOL_PACKET, _AUXDATA, 1)
    raw.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, 64 << 20)
    return raw


def _vid(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, value in ancillary:
        if (level, kind) == (_SOL_PACKET, _AUXDATA):
            status, _, _, _, _, tci, _ = struct.unpack("IIIHHHH", value)
            if status & _VLAN_VALID:
                return int(tci & 0xFFF)
    return None


class PacketSender:
    """Sends whole frames out of an interface of a namespace."""

    def __init__(self, netns: str, interface: str) -> None:
        def make() -> socket.socket:
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            raw.bind((interface, 0))
            return raw

        self._socket = in_netns(netns, make)

    def send(self, frame: bytes) -> None:
        """One frame."""
        self._socket.send(frame)

    def __enter__(self) -> PacketSender:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def mac(text: str) -> bytes:
    """A MAC's six bytes."""
    return bytes.fromhex(text.replace(":", ""))


def checksum(data: bytes) -> int:
    """The Internet checksum of an even number of bytes."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp(src_mac: str, dst_mac: str, src: str, dst: str, ports: tuple[int, int], payload: bytes) -> bytes:
    """An untagged UDP frame without UDP checksum."""
    body = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 1, 0, 64, 17, 0, socket.inet_aton(src), socket.inet_aton(dst)
    )
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return mac(dst_mac) + mac(src_mac) + b"\x08\x00" + head + body


def settle(seconds: float = 0.2) -> None:
    """Give frames time to arrive where they should not."""
    time.sleep(seconds)
