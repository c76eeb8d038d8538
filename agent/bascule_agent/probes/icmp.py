"""ICMP echo on a raw socket: sent on an absolute schedule by one thread, answers taken by another.

Two threads, because sleeping to a deadline and blocking in recvmsg are each exact, and a poll with a timeout is not
(milliseconds). The answer's time is the kernel's (SO_TIMESTAMPNS), so a busy interpreter does not show as latency.
The payload carries a token and the full number of the probe: an answer is ours, and matched, beyond the 16-bit wrap.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import threading
import time
from dataclasses import replace

from bascule_agent.probes.arptable import neighbour_of
from bascule_agent.probes.errors import ProbeSocketError
from bascule_agent.probes.ledger import Drained, Ledger
from bascule_agent.probes.schedule import Schedule

SO_TIMESTAMPNS = 35
SO_ATTACH_FILTER = 26
_HEADER = struct.Struct("!BBHHH")
_PAYLOAD = struct.Struct("!8sQ")
_RECEIVE_WAIT = 0.1


class IcmpProber:
    """Echo requests to one IPv4 address; the socket lives in the network namespace of the constructing thread."""

    def __init__(self, address: str, interval_ms: float) -> None:
        self._address = address
        self._interval_ns = round(interval_ms * 1e6)
        self._token = os.urandom(8)
        self._ident = struct.unpack("!H", self._token[:2])[0]
        self._ledger = Ledger()
        self._sending = threading.Event()
        self._receiving = threading.Event()
        self._socket = _open(self._ident)
        self._threads = [
            threading.Thread(target=self._send_loop, name=f"icmp-tx {address}", daemon=True),
            threading.Thread(target=self._receive_loop, name=f"icmp-rx {address}", daemon=True),
        ]

    def start(self) -> None:
        """Begin to send at once."""
        for thread in reversed(self._threads):
            thread.start()

    @property
    def finished(self) -> bool:
        """Never by itself: only `stop` ends it."""
        return False

    def stop_sending(self) -> None:
        """Send no more; answers to what is out are still taken."""
        self._sending.set()

    def drain(self) -> Drained:
        """What was sent and answered since the last call, and whom this namespace takes the address for."""
        return replace(self._ledger.drain(), neighbour=neighbour_of(self._socket, self._address))

    def stop(self) -> None:
        """End both threads and close the socket; takes at most 0.2 s, call it off the event loop."""
        self._sending.set()
        self._receiving.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()
        self._socket.close()

    def _send_loop(self) -> None:
        schedule = Schedule(self._interval_ns)
        seq = 0
        while not self._sending.is_set():
            seq += 1
            packet = self._request(seq)
            self._ledger.sent(seq, time.time_ns())
            try:
                self._socket.sendto(packet, (self._address, 0))
            except OSError as error:  # not sent is lost: the path is down, and that is what is being measured
                self._ledger.failed(f"send: {error.strerror}")
            # Event.wait would wake by a timed lock; time.sleep is clock_nanosleep and exact.
            time.sleep(schedule.next_delay())

    def _receive_loop(self) -> None:
        while not self._receiving.is_set():
            try:
                packet, control, _, _ = self._socket.recvmsg(256, 64)
            except TimeoutError:
                continue
            except OSError as error:
                self._ledger.failed(f"receive: {error.strerror}")
                self._receiving.wait(_RECEIVE_WAIT)
                continue
            received_ns = kernel_time(control) or time.time_ns()
            seq = self._match(packet)
            if seq is not None:
                self._ledger.answered(seq, received_ns)

    def _request(self, seq: int) -> bytes:
        payload = _PAYLOAD.pack(self._token, seq)
        bare = _HEADER.pack(8, 0, 0, self._ident, seq & 0xFFFF) + payload
        return _HEADER.pack(8, 0, _checksum(bare), self._ident, seq & 0xFFFF) + payload

    def _match(self, packet: bytes) -> int | None:
        start = (packet[0] & 0x0F) * 4 + _HEADER.size
        if len(packet) < start + _PAYLOAD.size or socket.inet_ntoa(packet[12:16]) != self._address:
            return None
        token, seq = _PAYLOAD.unpack_from(packet, start)
        return int(seq) if token == self._token else None


def _open(ident: int) -> socket.socket:
    try:
        sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    except PermissionError as error:
        raise ProbeSocketError(
            "no raw socket for ICMP probes", cause=error.strerror or "", fix="run the agent with CAP_NET_RAW"
        ) from error
    _attach_filter(sock, ident)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.settimeout(_RECEIVE_WAIT)
    return sock


def _attach_filter(sock: socket.socket, ident: int) -> None:
    """Take only echo replies with our identifier: a raw socket otherwise gets every ICMP message of the namespace."""
    program = (
        (0xB1, 0, 0, 0),  # X = length of the IP header
        (0x50, 0, 0, 0),  # A = ICMP type
        (0x15, 0, 3, 0),  # an echo reply, or drop
        (0x48, 0, 0, 4),  # A = identifier
        (0x15, 0, 1, ident),
        (0x06, 0, 0, 0xFFFF),
        (0x06, 0, 0, 0),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(code)))


def kernel_time(control: list[tuple[int, int, bytes]]) -> int | None:
    """When the kernel took the frame (SCM_TIMESTAMPNS), CLOCK_REALTIME ns; None when it did not say."""
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack_from("@qq", data)
            return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return None


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return int(~(total + (total >> 16)) & 0xFFFF)
