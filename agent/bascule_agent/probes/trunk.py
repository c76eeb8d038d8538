"""Tagged ARP probes on a trunk: ask an address in a VLAN, see which VLAN the answer comes in on.

RFC 5227 probes (sender address 0.0.0.0) from locally administered MACs of our own, so that no neighbour's cache and no
VM's entry changes. The MAC says which question an answer belongs to: `02:b5`, 16 bits of node and link, 4 bits of kind,
12 bits of VLAN. A raw socket sees the answer before any tc program or bridge does, so the probe works whatever owns the
trunk, and changes nothing of it: the MACs are added to the link's unicast filter for as long as the socket lives.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import select
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from bascule_agent.probes.errors import ProbeSocketError

BROADCAST = b"\xff" * 6
ETH_P_ALL = 3
SOL_PACKET, PACKET_ADD_MEMBERSHIP, PACKET_AUXDATA, PACKET_MR_UNICAST = 263, 1, 8, 3
SO_ATTACH_FILTER = 26
_VLAN_VALID = 0x10
_ARP = struct.Struct("!HHBBH6s4s6s4s")
ATTEMPTS, WAIT_SECONDS = 3, 0.2
KINDS = 16


@dataclass(frozen=True)
class Ask:
    """One question: who has `target` in `vlan`? `tag` is the VID to send with, None for untagged; `kind` (0 to 15)
    tells questions about one VLAN apart; `size` pads to that many bytes behind the Ethernet header; `to` is a known MAC
    to ask directly, "" for everybody."""

    vlan: int
    tag: int | None
    target: str
    kind: int = 0
    size: int = 0
    to: str = ""


@dataclass(frozen=True)
class Reply:
    """The answer to an Ask: `tag` it came in with (None: untagged), the answerer's MAC."""

    ask: Ask
    tag: int | None
    mac: str


@dataclass(frozen=True)
class Asked:
    """What became of a round: replies, and the asks that were larger than the link takes."""

    replies: tuple[Reply, ...]
    too_large: tuple[Ask, ...] = ()

    def of(self, ask: Ask) -> Reply | None:
        """The reply to an ask."""
        return next((reply for reply in self.replies if reply.ask == ask), None)


def ask(node: str, link: str, asks: Sequence[Ask], attempts: int = ATTEMPTS, wait: float = WAIT_SECONDS) -> Asked:
    """Ask everything at once, what is not answered again, `attempts` times with `wait` seconds between. Blocking; ends
    as soon as all is answered. In the caller's network namespace. Raises ProbeSocketError, also when the link is down
    or gone."""
    if not asks:
        return Asked(())
    with contextlib.closing(Asker(node, link)) as asker:
        return asker.round(asks, attempts, wait)


class Asker:
    """The socket of one link; `round` as often as wanted."""

    def __init__(self, node: str, link: str) -> None:
        self._link = link
        self._prefix = b"\x02\xb5" + hashlib.sha256(f"{node}/{link}".encode()).digest()[:2]
        self._known: set[bytes] = set()
        self._socket = _open(link, self._prefix)

    def close(self) -> None:
        """Close; the link forgets our MACs."""
        self._socket.close()

    def round(self, asks: Sequence[Ask], attempts: int = ATTEMPTS, wait: float = WAIT_SECONDS) -> Asked:
        """As `ask`."""
        open_: dict[bytes, Ask] = {self._mac(each): each for each in asks}
        replies: list[Reply] = []
        too_large: list[Ask] = []
        for _ in range(attempts):
            for mac, each in list(open_.items()):
                if not self._send(mac, each):
                    too_large.append(open_.pop(mac))
            for reply in self._receive(open_, wait):
                replies.append(reply)
            if not open_:
                break
            # An address known by MAC may have moved to another machine: ask everybody the next time.
            open_ = {mac: replace(each, to="") if each.to else each for mac, each in open_.items()}
        return Asked(tuple(_as_asked(replies, asks)), tuple(too_large))

    def _mac(self, each: Ask) -> bytes:
        return self._prefix + struct.pack("!H", (each.kind % KINDS) << 12 | each.vlan)

    def _send(self, mac: bytes, each: Ask) -> bool:
        if mac not in self._known:
            self._listen_to(mac)
        dst = bytes.fromhex(each.to.replace(":", "")) if each.to else BROADCAST
        body = _ARP.pack(1, 0x0800, 6, 4, 1, mac, b"\0" * 4, b"\0" * 6, socket.inet_aton(each.target))
        tag = b"" if each.tag is None else struct.pack("!HH", 0x8100, each.tag)
        frame = dst + mac + tag + b"\x08\x06" + body.ljust(max(each.size, 46), b"\0")
        try:
            self._socket.send(frame)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                return False
            if error.errno != errno.ENOBUFS:  # a full queue is a lost frame, which the next attempt sends again
                raise _refused(self._link, error) from error
        return True

    def _listen_to(self, mac: bytes) -> None:
        request = struct.pack("iHH8s", socket.if_nametoindex(self._link), PACKET_MR_UNICAST, 6, mac)
        self._socket.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, request)
        self._known.add(mac)

    def _receive(self, open_: dict[bytes, Ask], wait: float) -> Iterator[Reply]:
        deadline = time.monotonic() + wait
        while open_ and (left := deadline - time.monotonic()) > 0:
            if not select.select([self._socket], [], [], left)[0]:
                return
            for data, tag in _frames(self._socket, self._link):
                reply = _reply(data, tag, open_)
                if reply is not None:
                    yield reply


def _as_asked(replies: Iterable[Reply], asks: Sequence[Ask]) -> Iterator[Reply]:
    """Replies to the asks as they were given, whatever was tried on the way."""
    given = {(each.vlan, each.kind): each for each in asks}
    for reply in replies:
        yield replace(reply, ask=given[reply.ask.vlan, reply.ask.kind])


def _reply(data: bytes, tag: int | None, open_: dict[bytes, Ask]) -> Reply | None:
    if len(data) < 42 or data[12:14] != b"\x08\x06":
        return None
    _, _, _, _, operation, sender, sender_ip, target, _ = _ARP.unpack_from(data, 14)
    wanted = open_.get(target)
    if operation != 2 or wanted is None or socket.inet_ntoa(sender_ip) != wanted.target:
        return None
    del open_[target]
    return Reply(wanted, tag, sender.hex(":"))


def _frames(sock: socket.socket, link: str) -> Iterator[tuple[bytes, int | None]]:
    while True:
        try:
            data, ancillary, _, _ = sock.recvmsg(2048, 128)
        except BlockingIOError:
            return
        except OSError as error:
            raise _refused(link, error) from error
        yield data, vid_of(ancillary)


def vid_of(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """The VID of a received frame (PACKET_AUXDATA); None for untagged. VID 0 is a priority tag, so untagged."""
    for level, kind, value in ancillary:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, tci = struct.unpack_from("IIIHHH", value)
            return (tci & 0xFFF or None) if status & _VLAN_VALID else None
    return None


def attach_filter(sock: socket.socket, program: Sequence[tuple[int, int, int, int]]) -> None:
    """Put a classic BPF filter on a socket (struct sock_fprog)."""
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(code)))


def _open(link: str, prefix: bytes) -> socket.socket:
    """A socket that takes only what is sent to our MACs: on a busy trunk nothing else may wake it."""
    sock = None
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        wanted = int.from_bytes(prefix, "big")
        attach_filter(sock, ((0x20, 0, 0, 0), (0x15, 0, 1, wanted), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0)))
        sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        sock.bind((link, ETH_P_ALL))
        sock.setblocking(False)
        return sock
    except OSError as error:
        if sock is not None:
            sock.close()
        raise _refused(link, error) from error


def _refused(link: str, error: OSError) -> ProbeSocketError:
    return ProbeSocketError(
        f"no probe on {link}", cause=error.strerror or str(error), fix="the link must be there and up; CAP_NET_RAW"
    )
