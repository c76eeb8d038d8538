"""A stand-in for a guest: a namespace instead of a VM, for tests that must be fast and for machines without QEMU.

The launcher's own pod interface carries the VM's MAC and address. Its kernel answers ICMP, a small process TCP echo.
A "migration" moves the address to the target's namespace and announces it there by RARP, as QEMU does; it has no
memory to move, so TCP sessions do not survive it. `exec` runs on this machine's files, in the launcher's namespace,
where the NIC is called `pod…` and not eth0.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from pathlib import Path

from bascule_lab.config import LabConfig
from bascule_lab.guests.errors import GuestError
from bascule_lab.guests.guest import UNCONTROLLED, Guest, HoldPoint, MoveControl, MoveEvent, MoveResult
from bascule_lab.guests.plumbing import PodPort
from bascule_lab.guests.spec import GuestSpec
from bascule_lab.nodes import netns
from bascule_lab.processes import ECHO_MODULE

MODE = "StandIn"
CANCELLED = "the migration was cancelled"
READY_TIMEOUT_S = 20.0
HOLD_POLL_S = 0.02
STOP_TIMEOUT_S = 3.0
_ETH_P_RARP = 0x8035


class StandInGuest:
    """A namespace-only guest; see guest.Guest."""

    kind = "stand-in"
    qmp_path: Path | None = None
    serial_path: Path | None = None

    def __init__(self, config: LabConfig, spec: GuestSpec, port: PodPort) -> None:
        self.spec = spec
        self.port = port
        self._path = config.guests / f"{spec.name}-{port.netns.rpartition('-')[2]}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The echo process's pid; 0 before the start."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Whether the echo process is there."""
        return self._process is not None and self._process.poll() is None

    async def start_clone(self) -> None:
        """Start the echo process and configure the NIC. Raises GuestError, NetlinkError."""
        await self._spawn()
        await netns.net(self._configure)

    async def start_cold(self) -> None:
        """As `start_clone`: a stand-in reads no disk, and takes the address that its pod was given."""
        await self.start_clone()

    async def start_incoming(self, address: str) -> str:
        """Start the echo process without an address; returns a uri that only a stand-in understands."""
        await self._spawn()
        return f"stand-in:{address}"

    async def _spawn(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = [sys.executable, "-m", ECHO_MODULE, "--guest", str(self._path), "--every", f"{self.spec.talk_every_s:g}"]
        for peer in self.spec.peers:
            line += ["--peer", peer]

        def start() -> subprocess.Popen[bytes]:
            with self._path.with_suffix(".log").open("wb") as log:
                return subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)

        self._process = await asyncio.to_thread(netns.in_netns, self.port.netns, start)
        output = self._process.stdout
        assert output is not None
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                ready = await asyncio.to_thread(output.readline)
        except TimeoutError:
            ready = b""
        if ready != b"ready\n":
            await self.kill()
            said = self._path.with_suffix(".log").read_text(errors="replace").strip()[-300:]
            raise GuestError(f"{self.spec.name}: the stand-in did not start", said or "it said nothing")

    def _configure(self) -> None:
        inside = netns.link_in(self.port.netns)
        index = inside.link(self.port.interface).index
        inside.set(index, mac=self.spec.mac)
        inside.add_address(index, f"{self.spec.ip}/{self.spec.prefix}")
        if self.spec.gateway:
            inside.add_route("default", via=self.spec.gateway)

    def _unconfigure(self) -> None:
        flush = ["ip", "address", "flush", "dev", self.port.interface]
        netns.in_netns(self.port.netns, lambda: subprocess.run(flush, check=True))

    def _announce(self) -> None:
        netns.in_netns(self.port.netns, self._send_rarp)

    def _send_rarp(self) -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind((self.port.interface, _ETH_P_RARP))
            raw.send(rarp(self.spec.mac))

    async def migrate_to(self, target: Guest, uri: str, control: MoveControl = UNCONTROLLED) -> MoveResult:
        """Move the address to `target`; takes about 20 ms, in which the guest is nowhere."""
        if not isinstance(target, StandInGuest):
            raise GuestError(f"{self.spec.name} is a stand-in and cannot move to a {target.kind}")
        started = time.time_ns()
        failure = await self._hold("precopy", target, control)
        if failure:
            return self._not_moved(failure, started, self.running, failure == CANCELLED)
        await netns.net(self._unconfigure)
        stopped = time.time_ns()
        control.switched()
        await netns.net(target._configure)
        resumed = time.time_ns()
        await netns.net(target._announce)
        failure = await self._hold("postcopy", target, control)
        if failure:
            return self._not_moved(failure, started, False, False)
        ended = time.time_ns()
        return MoveResult(
            ok=True,
            mode=MODE,
            events=(
                MoveEvent("source", "MIGRATION", "active", started),
                MoveEvent("source", "STOP", "", stopped),
                MoveEvent("target", "RESUME", "", resumed),
                MoveEvent("target", "MIGRATION", "completed", ended),
                MoveEvent("source", "MIGRATION", "completed", ended),
            ),
            downtime_ms=(resumed - stopped) / 1e6,
            total_ms=(ended - started) / 1e6,
        )

    async def _hold(self, at: HoldPoint, target: StandInGuest, control: MoveControl) -> str:
        """Wait where the move is held; "" to go on, else why it ends here."""
        while True:
            gone = [side for side, guest in (("source", self), ("target", target)) if not guest.running]
            if gone:
                return f"the {' and the '.join(gone)} process died"
            if at == "precopy" and control.cancelled():
                return CANCELLED
            if not control.held(at):
                return ""
            await asyncio.sleep(HOLD_POLL_S)

    @staticmethod
    def _not_moved(failure: str, started: int, source_runs: bool, cancelled: bool) -> MoveResult:
        events = (MoveEvent("source", "MIGRATION", "active", started),)
        return MoveResult(False, MODE, events, None, None, failure, source_runs=source_runs, cancelled=cancelled)

    async def exec(self, command: str, timeout: float = 30.0) -> tuple[int, bytes]:
        """Run a shell command in the launcher's namespace, killed after `timeout` seconds (exit code 137)."""

        def run() -> tuple[int, bytes]:
            shell = ["sh", "-c", command]
            try:
                done = subprocess.run(shell, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
            except subprocess.TimeoutExpired as error:
                return 137, error.output or b""
            return done.returncode, done.stdout

        return await asyncio.to_thread(netns.in_netns, self.port.netns, run)

    async def answers(self, timeout: float = 5.0) -> bool:
        """Whether the process runs."""
        return self.running

    async def quit(self) -> None:
        """End the process."""
        await self._end(hard=False)

    async def kill(self) -> None:
        """Kill the process, and take its address away: a crashed guest does not answer pings."""
        await self._end(hard=True)
        if self.port.netns in netns.list_netns(self.port.netns):
            await netns.net(self._unconfigure)

    async def _end(self, hard: bool) -> None:
        process = self._process
        if not process:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill() if hard else process.terminate()
        try:
            await asyncio.to_thread(process.wait, STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)
        if process.stdout:
            process.stdout.close()


def rarp(mac: str) -> bytes:
    """The frame that QEMU announces a migrated NIC with: a reverse ARP request for itself (RFC 903), 60 bytes."""
    own = bytes.fromhex(mac.replace(":", ""))
    header = b"\xff" * 6 + own + _ETH_P_RARP.to_bytes(2, "big")
    body = bytes.fromhex("0001080006040003") + own + bytes(4) + own + bytes(4)
    return (header + body).ljust(60, b"\0")
