"""One TCP session with the guest's echo service (port 7): a numbered line on an absolute schedule, each to come back.

One session and never a second: what is asked is whether this connection survives the move. A stall only delays lines;
a reset, an end of file or a timeout ends the session, and its reason is reported.
"""

from __future__ import annotations

import errno
import socket
import struct
import threading
import time
from dataclasses import replace

from bascule_agent.probes.ledger import Drained, Ledger
from bascule_agent.probes.schedule import Schedule

PORT = 7
CONNECT_SECONDS = 5.0
_WAIT = 0.1


class TcpEchoProber:
    """Connects in its own thread; the socket is made at construction, in that thread's network namespace."""

    def __init__(self, address: str, interval_ms: float, port: int = PORT) -> None:
        self._peer = (address, port)
        self._interval_ns = round(interval_ms * 1e6)
        self._ledger = Ledger()
        self._sending = threading.Event()
        self._dead = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._main = threading.Thread(target=self._run, name=f"echo-tx {address}", daemon=True)
        self._receiver = threading.Thread(target=self._receive_loop, name=f"echo-rx {address}", daemon=True)

    def start(self) -> None:
        """Connect, then send a line every interval."""
        self._main.start()

    @property
    def finished(self) -> bool:
        """The session is over and will report nothing more."""
        return self._dead.is_set() and not self._main.is_alive() and not self._receiver.is_alive()

    def stop_sending(self) -> None:
        """Send no more lines; those that are out may still come back."""
        self._sending.set()

    def drain(self) -> Drained:
        """What was sent and came back since the last call; `error` says why the session died."""
        return replace(self._ledger.drain(), retransmits=self._retransmits())

    def _retransmits(self) -> int:
        """tcpi_total_retrans of the session (linux/tcp.h: at 100); 0 once the socket is closed."""
        try:
            return int(
                struct.unpack_from("I", self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 100)[0]
            )
        except (OSError, struct.error):
            return 0

    def stop(self) -> None:
        """End the threads and close; at most 0.2 s unless it is still connecting (5 s); call it off the event loop."""
        self._sending.set()
        self._dead.set()
        for thread in (self._main, self._receiver):
            if thread.ident is not None:
                thread.join()
        self._socket.close()

    def _run(self) -> None:
        try:
            self._socket.settimeout(CONNECT_SECONDS)
            self._socket.connect(self._peer)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.settimeout(_WAIT)
        except OSError as error:
            self._die(f"not connected: {_reason(error)}")
            return
        self._receiver.start()
        self._send_loop()

    def _send_loop(self) -> None:
        schedule = Schedule(self._interval_ns)
        seq, rest = 0, b""
        while not self._sending.is_set() and not self._dead.is_set():
            try:
                if rest:
                    rest = rest[self._send(rest) :]
                if not rest:
                    seq += 1
                    line = b"%d\n" % seq
                    self._ledger.sent(seq, time.time_ns())
                    done = self._send(line)
                    rest = line[done:]
                    if done == 0:  # the stall has filled the buffer: this line never left, its slot is skipped
                        self._ledger.withdraw(seq)
                        seq, rest = seq - 1, b""
            except OSError as error:
                self._die(_reason(error))
                return
            time.sleep(schedule.next_delay())

    def _send(self, data: bytes) -> int:
        try:
            return self._socket.send(data, socket.MSG_DONTWAIT)
        except (BlockingIOError, TimeoutError):
            return 0

    def _receive_loop(self) -> None:
        buffer = b""
        while not self._dead.is_set():
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            except OSError as error:
                self._die(_reason(error))
                return
            received_ns = time.time_ns()
            if not data:
                self._die("closed by the peer")
                return
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                if not line.isdigit():
                    self._die("the peer's echo is not what was sent")
                    return
                self._ledger.answered(int(line), received_ns)

    def _die(self, why: str) -> None:
        if not self._dead.is_set():
            self._ledger.failed(why)
            self._dead.set()


def _reason(error: OSError) -> str:
    if error.errno in (errno.ECONNRESET, errno.EPIPE):
        return "reset by the peer"
    if isinstance(error, TimeoutError):
        return "timed out"
    return error.strerror or str(error)
