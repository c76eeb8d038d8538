"""The agent's end of the dead-man process: started once, kept ready, armed for each change. Blocking; the Worker's."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bascule.hostplan.steps import Step
from bascule.trunks.change import encode
from bascule_agent.apply.announce import Place
from bascule_agent.errors import AgentError

log = logging.getLogger("bascule_agent")

START_SECONDS = 15.0
ANSWER_SECONDS = 15.0


class Guard:
    """One dead-man process at a time; a dead one is replaced when the next change begins."""

    def __init__(self, record: Path, pins: Path) -> None:
        self._record, self._pins = record, pins
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._buffer = b""
        self._asked = 0

    @property
    def pid(self) -> int:
        """The process's pid, 0 while there is none."""
        return self._process.pid if self._process and self._process.poll() is None else 0

    def start(self) -> None:
        """Start the process, if none lives, and wait until it is up (AgentError)."""
        if self.pid and self._socket is not None:
            return
        self.close()
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "bascule_agent.apply.deadman", f"--fd={theirs.fileno()}"]
        command += [f"--record={self._record}", f"--pins={self._pins}"]
        with theirs:
            self._process = subprocess.Popen(command, pass_fds=(theirs.fileno(),), start_new_session=True)
        self._socket, self._buffer = ours, b""
        self._answer(0, START_SECONDS)

    def arm(self, steps: Sequence[Step], seconds: float, announce: Sequence[Place] = ()) -> None:
        """Hand over the steps of a change; returns once the process is ready to take them back (AgentError). Then it
        will also announce the VMs there."""
        self.start()
        given = [encode(step) for step in steps]
        self._call({"do": "arm", "steps": given, "seconds": seconds, "announce": list(announce)})

    def confirm(self) -> bool:
        """End the change; False when it was taken back already (the timer). AgentError when the process is dead."""
        return bool(self._call({"do": "confirm"})["confirmed"])

    def rollback(self) -> tuple[str, list[str]]:
        """Take the change back; why it was, when it was already, and what could not be (AgentError)."""
        answer = self._call({"do": "rollback"})
        return str(answer["rolled_back"]), [str(each) for each in answer["problems"]]

    def close(self) -> None:
        """Close our end: an idle process ends, an armed one takes its change back first and then ends."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(ANSWER_SECONDS)
            self._process = None

    def _call(self, message: dict[str, Any]) -> dict[str, Any]:
        if self._socket is None:
            raise AgentError("the dead-man process is not there")
        self._asked += 1
        try:
            self._socket.settimeout(ANSWER_SECONDS)
            self._socket.sendall(json.dumps(message | {"n": self._asked}).encode() + b"\n")
        except OSError as error:
            raise AgentError("the dead-man process is gone", cause=str(error)) from error
        return self._answer(self._asked)

    def _answer(self, number: int, seconds: float = ANSWER_SECONDS) -> dict[str, Any]:
        """The answer to call `number`; a rollback by timer, which answers nothing, may lie before it."""
        sock = self._socket
        if sock is None:
            raise AgentError("the dead-man process is not there")
        sock.settimeout(seconds)
        while True:
            while b"\n" not in self._buffer:
                try:
                    data = sock.recv(1 << 20)
                except OSError as error:
                    raise AgentError("the dead-man process does not answer", cause=str(error)) from error
                if not data:
                    raise AgentError("the dead-man process died", fix="look at the agent's log")
                self._buffer += data
            line, self._buffer = self._buffer.split(b"\n", 1)
            message: dict[str, Any] = json.loads(line)
            if message["n"] == number and ("up" in message) == (number == 0):
                return message
            log.warning("dead-man: %s", message)
