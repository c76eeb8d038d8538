"""The dead-man process: takes a change back when the agent dies or falls silent in the middle of it.

    python -m bascule_agent.apply.deadman --fd N --record FILE --pins DIR

It waits on a socket pair from the agent. `arm` brings the steps and the time; it locks the record, writes the steps and
answers `ready`; only then does the agent begin. `confirm` ends the change. `rollback`, the timer, or the end of the
socket take every step back. Imported are the netlink facade, the segment drivers and pure code only: no gRPC, no
Kubernetes client, no numpy; what hurt the agent should not hurt this process. It has a session of its own and ignores
SIGTERM and SIGINT, so that what ends the agent politely does not end it.
"""

from __future__ import annotations

import argparse
import json
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bascule.hostplan.steps import Step
from bascule.trunks.change import decode
from bascule_agent.apply.announce import Place, announce
from bascule_agent.apply.pinned import Pinned
from bascule_agent.apply.undo import Record, roll_back
from bascule_agent.netlink import Netlink
from bascule_agent.segments import Segments

LOCK_SECONDS = 30.0
LINE_BYTES = 1 << 20


class DeadMan:
    """One process's state: idle, or armed with steps until a deadline (monotonic)."""

    def __init__(self, sock: socket.socket, record: Record, execute: Callable[[Step], None]) -> None:
        self._sock, self._record, self._execute = sock, record, execute
        self._buffer = b""
        self._steps: list[Step] = []
        self._announce: list[Place] = []
        self._armed = False
        self._deadline = 0.0

    def run(self) -> None:
        """Until the agent's end of the socket closes."""
        self._tell({"up": True}, 0)
        while True:
            self._sock.settimeout(max(0.001, self._deadline - time.monotonic()) if self._armed else None)
            try:
                data = self._sock.recv(LINE_BYTES)
            except TimeoutError:
                self._undo("timer")
                continue
            except OSError:
                data = b""
            if not data:
                self._undo("agent gone")
                return
            self._buffer += data
            while b"\n" in self._buffer:
                line, self._buffer = self._buffer.split(b"\n", 1)
                self._heard(json.loads(line))

    def _heard(self, message: dict[str, Any]) -> None:
        number = int(message["n"])
        match message["do"]:
            case "arm":
                self._record.lock(LOCK_SECONDS)
                self._record.write(message["steps"])
                self._steps = [decode(each) for each in message["steps"]]
                self._announce = [(str(link), int(tag), str(mac)) for link, tag, mac in message["announce"]]
                self._deadline, self._armed = time.monotonic() + float(message["seconds"]), True
                self._tell({"ready": True}, number)
            case "confirm":
                decided = self._armed
                self._end()
                self._tell({"confirmed": decided}, number)
            case "rollback":
                self._undo("asked", number)

    def _undo(self, why: str, number: int = 0) -> None:
        """Take everything back; what could not be is told and logged. `number` is the call that asked for it."""
        if not self._armed:
            if number:
                self._tell({"rolled_back": "before", "problems": []}, number)
            return
        problems = roll_back(self._steps, self._execute)
        announce(self._announce)
        for problem in problems:
            print(f"dead-man: {problem}", file=sys.stderr, flush=True)
        print(f"dead-man: rolled back {len(self._steps)} steps ({why})", file=sys.stderr, flush=True)
        self._end()
        self._tell({"rolled_back": why, "problems": problems}, number)

    def _end(self) -> None:
        self._armed, self._steps = False, []
        self._record.write([])
        self._record.unlock()

    def _tell(self, message: dict[str, Any], number: int) -> None:
        try:
            self._sock.settimeout(None)
            self._sock.sendall(json.dumps(message | {"n": number}).encode() + b"\n")
        except OSError:
            return  # the agent is gone: the end of the socket is read next


def main() -> int:
    """The process."""
    parser = argparse.ArgumentParser(prog="bascule-deadman")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--record", type=Path, required=True)
    parser.add_argument("--pins", type=Path, required=True)
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    record = Record(arguments.record)
    with socket.socket(fileno=arguments.fd) as sock, Netlink() as netlink:
        pinned = Pinned(arguments.pins)
        driver = Segments(netlink, pinned)
        DeadMan(sock, record, driver.execute).run()
        pinned.close()
    record.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
