"""ARP heartbeats: ask one address who it is, from a link that may have no address of its own.

RFC 5227 probes (sender address 0.0.0.0), so that no neighbour's cache and no VM's entry changes; sent to the VM's MAC
where it is known, so that a heartbeat takes the way that the forwarding tables give, wakes no other guest, and notices
when they point to a port that the VM has left. An ARP answer has no number: it belongs to the newest probe that is
still out. Losses are counted right by that; a round trip longer than an interval is shown too short, and the order of
late answers is not known. A link that goes away ends the prober: whoever asks may begin anew by another way.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path

from bascule_agent.probes.errors import ProbeError, ProbeSocketError
from bascule_agent.probes.icmp import SO_TIMESTAMPNS, kernel_time
from bascule_agent.probes.ledger import Drained, Ledger
from bascule_agent.probes.schedule import Schedule
from bascule_agent.probes.trunk import PACKET_ADD_MEMBERSHIP, PACKET_MR_UNICAST, SOL_PACKET, attach_filter

ETH_P_ALL = 3
_ARP = struct.Struct("!HHBBH6s4s6s4s")
_BROADCAST = b"\xff" * 6
_SIOCGIFHWADDR = 0x8927
_RECEIVE_WAIT = 0.1
_GONE = (errno.ENETDOWN, errno.ENODEV, errno.ENXIO)


@dataclass(frozen=True, slots=True)
class Way:
    """Where to ask: a link, and the tag to ask with. Untagged on a bridge of the VLAN or a native trunk."""

    link: str
    tag: int | None = None


class ArpProber:
    """ARP requests for one IPv4 address; the socket lives in the network namespace of the constructing thread."""

    def __init__(self, address: str, interval_ms: float, way: Way | None = None, mac: str = "") -> None:
        """`way` None: the link that routes to the address directly; ProbeError when there is none."""
        self._address, self._to = socket.inet_aton(address), _mac(mac)
        self._interval_ns = round(interval_ms * 1e6)
        self._way = way or Way(_link_to(address))
        self._socket, self._own = _open(self._way, self._address)
        self._ledger = Ledger()
        self._out: deque[tuple[int, int]] = deque(maxlen=20_000)
        self._macs: set[bytes] = set()
        self._last = 0
        self._gone = False
        self._lock = threading.Lock()
        self._sending, self._receiving = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._send_loop, name=f"arp-tx {address}", daemon=True),
            threading.Thread(target=self._receive_loop, name=f"arp-rx {address}", daemon=True),
        ]

    def start(self) -> None:
        """Begin to ask at once."""
        for thread in reversed(self._threads):
            thread.start()

    @property
    def finished(self) -> bool:
        """The link has gone."""
        return self._gone

    def stop_sending(self) -> None:
        """Ask no more; answers to what is out are still taken."""
        self._sending.set()

    def drain(self) -> Drained:
        """What was asked and answered since the last call, and by whom."""
        with self._lock:
            macs, self._macs = sorted(self._macs), set()
        return replace(self._ledger.drain(), answered_by=tuple(mac.hex(":") for mac in macs))

    def stop(self) -> None:
        """End both threads and close the socket; takes at most 0.2 s, call it off the event loop."""
        self._sending.set()
        self._receiving.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        self._socket.close()

    def _send_loop(self) -> None:
        schedule, seq = Schedule(self._interval_ns), 0
        frame = request(self._own, self._to, self._address, self._way.tag)
        while not self._sending.is_set():
            seq += 1
            now = time.time_ns()
            with self._lock:
                self._out.append((seq, now))
            self._ledger.sent(seq, now)
            try:
                self._socket.send(frame)
            except OSError as error:  # not sent is lost: the path is down, and that is what is being measured
                self._ledger.failed(f"send: {error.strerror}")
            time.sleep(schedule.next_delay())

    def _receive_loop(self) -> None:
        while not self._receiving.is_set():
            try:
                data, control, _, _ = self._socket.recvmsg(128, 128)
            except TimeoutError:
                continue
            except OSError as error:
                self._ledger.failed(f"{self._way.link}: {error.strerror}")
                self._gone = self._gone or error.errno in _GONE
                self._receiving.wait(_RECEIVE_WAIT)
                continue
            received_ns = kernel_time(control) or time.time_ns()
            if data[:6] == self._own:
                with self._lock:
                    self._macs.add(data[22:28])
                self._ledger.answered(self._newest(received_ns), received_ns)

    def _newest(self, received_ns: int) -> int:
        """The probe that an answer of now belongs to; one that was answered already when none is out."""
        with self._lock:
            # The receiver may be a little behind: a probe sent after the answer came is not the one.
            later = [self._out.pop() for _ in range(len(self._out)) if self._out and self._out[-1][1] > received_ns]
            if self._out:
                self._last = self._out.pop()[0]
            self._out.extend(reversed(later))
            return self._last


def request(own: bytes, to: bytes, address: bytes, tag: int | None) -> bytes:
    """The Ethernet frame of one probe, padded to the least length."""
    head = b"" if tag is None else struct.pack("!HH", 0x8100, tag)
    body = _ARP.pack(1, 0x0800, 6, 4, 1, own, b"\0" * 4, b"\0" * 6, address)
    return to + own + head + b"\x08\x06" + body.ljust(46, b"\0")


def _mac(text: str) -> bytes:
    try:
        found = bytes.fromhex(text.replace(":", "")) if text else _BROADCAST
    except ValueError:
        found = b""
    if len(found) != 6:
        raise ProbeError(f"mac {text!r} is no MAC address", fix="give one, such as 52:54:00:00:6e:01, or none")
    return found


def _link_to(address: str) -> str:
    """The link that this namespace reaches the address by without a router, by the longest prefix."""
    wanted = struct.unpack("<I", socket.inet_aton(address))[0]
    best: tuple[int, str] = (-1, "")
    for line in Path("/proc/thread-self/net/route").read_text().splitlines()[1:]:
        name, destination, gateway, _, _, _, _, mask, *_ = line.split()
        bits = int(mask, 16)
        if int(gateway, 16) == 0 and wanted & bits == int(destination, 16):
            best = max(best, (bits.bit_count(), name))
    if not best[1]:
        raise ProbeError(
            f"{address} is on no link of this vantage point", cause="ARP does not pass routers", fix="probe by icmp"
        )
    return best[1]


def _open(way: Way, address: bytes) -> tuple[socket.socket, bytes]:
    sock = None
    try:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        wanted = int.from_bytes(address, "big")
        program = (
            (0x28, 0, 0, 12),
            (0x15, 0, 5, 0x0806),
            (0x28, 0, 0, 20),
            (0x15, 0, 3, 2),  # an answer
            (0x20, 0, 0, 28),
            (0x15, 0, 1, wanted),  # by the address that was asked
            (0x06, 0, 0, 0xFFFF),
            (0x06, 0, 0, 0),
        )
        attach_filter(sock, program)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.bind((way.link, ETH_P_ALL))
        sock.settimeout(_RECEIVE_WAIT)
        own = _own_mac(sock, way)
    except OSError as error:
        if sock is not None:
            sock.close()
        raise ProbeSocketError(
            f"no ARP probe on {way.link}", cause=error.strerror or str(error), fix="the link must be there; CAP_NET_RAW"
        ) from error
    return sock, own


def _own_mac(sock: socket.socket, way: Way) -> bytes:
    """The link's own MAC where answers are for that link; with a tag, one of our own that the link listens to."""
    if way.tag is None:
        answer = fcntl.ioctl(sock.fileno(), _SIOCGIFHWADDR, struct.pack("16s24x", way.link.encode()))
        return answer[18:24]
    own = b"\x02\xb6" + hashlib.sha256(f"{socket.gethostname()}/{way.link}/{way.tag}".encode()).digest()[:4]
    membership = struct.pack("iHH8s", socket.if_nametoindex(way.link), PACKET_MR_UNICAST, 6, own)
    sock.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, membership)
    return own
