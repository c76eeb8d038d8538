"""A real guest: one QEMU cloned from the template, booted from its disks, or waiting for a migration."""

from __future__ import annotations

import asyncio
import contextlib
import re
import subprocess
from dataclasses import replace
from pathlib import Path

from bascule_lab.config import LabConfig
from bascule_lab.guests import migration, plumbing, qemu
from bascule_lab.guests.errors import GuestError
from bascule_lab.guests.guest import UNCONTROLLED, Guest, MoveControl, MoveResult
from bascule_lab.guests.plumbing import PodPort
from bascule_lab.guests.qmp import Qmp
from bascule_lab.guests.serial import SerialClient
from bascule_lab.guests.spec import GuestSpec
from bascule_lab.guests.template import Template

QUIT_TIMEOUT_S = 5.0
ANSWER_AFTER_MOVE_S = 5.0
_INTERRUPTS_ON = 0x200


class QemuGuest:
    """One QEMU; `start_clone`, `start_cold` or `start_incoming` once, then the rest of `guest.Guest`."""

    kind = "qemu"

    def __init__(self, config: LabConfig, spec: GuestSpec, port: PodPort, template: Template) -> None:
        self.spec = spec
        self.port = port
        self._template = template
        self._sockets = config.guests / f"{spec.name}-{port.netns.rpartition('-')[2]}"
        self._process: subprocess.Popen[bytes] | None = None
        self._qmp = Qmp(self.qmp_path)
        self._serial_turn = asyncio.Lock()

    @property
    def qmp_path(self) -> Path:
        """The QMP socket."""
        return self._sockets.with_name(self._sockets.name + ".qmp")

    @property
    def serial_path(self) -> Path:
        """The serial port's socket, for `serial.SerialClient`; one client at a time."""
        return self._sockets.with_name(self._sockets.name + ".serial")

    @property
    def log_path(self) -> Path:
        """What QEMU printed."""
        return self._sockets.with_name(self._sockets.name + ".log")

    @property
    def pid(self) -> int:
        """QEMU's pid; 0 before the start."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Whether the QEMU process is there."""
        return self._process is not None and self._process.poll() is None

    async def start_clone(self) -> None:
        """Restore the template, copy on write, and configure it. Raises GuestError; nothing runs then."""
        await self._spawn(self._template.memory, incoming=True)
        try:
            await self._qmp.capabilities(x_ignore_shared=True)
            await self._qmp.execute("migrate-incoming", uri=f"exec:cat < {self._template.state}")
            async with SerialClient(self.serial_path) as port:
                await port.configure(self.spec.line())
        except BaseException:
            await self.kill()
            raise

    async def start_cold(self) -> None:
        """Boot from the disks; the kernel is the template's, which stands for a boot loader. Raises GuestError."""
        await self._spawn(None, incoming=False)

    async def start_incoming(self, address: str) -> str:
        """Wait for a migration at `address` (the node's on the migration network); returns the uri. GuestError."""
        await self._spawn(None, incoming=True)
        try:
            return await migration.listen(self._qmp, address)
        except BaseException:
            await self.kill()
            raise

    async def _spawn(self, memory: Path | None, incoming: bool) -> None:
        machine = qemu.Machine(
            vmlinux=self._template.vmlinux,
            initramfs=self._template.initramfs,
            sockets=self._sockets,
            tap_fd=await plumbing.bind(self.port),
            mac=self.spec.mac,
            memory=memory,
            incoming=incoming,
            disks=self.spec.disks,
        )
        self._process = await asyncio.to_thread(qemu.spawn, machine, self.port.node_netns)
        try:
            await self._qmp.connect(lambda: self.running)
        except GuestError as error:
            await self.kill()
            raise GuestError(f"{self.spec.name}: QEMU did not start", self._printed() or str(error)) from error

    def _printed(self) -> str:
        with contextlib.suppress(OSError):
            return self.log_path.read_text(errors="replace").strip()[-500:]
        return ""

    async def migrate_to(self, target: Guest, uri: str, control: MoveControl = UNCONTROLLED) -> MoveResult:
        """Immediate post-copy to `target`, a QemuGuest that waits at `uri`; the source keeps its QEMU, stopped.

        Afterwards `quit` the source (ok) or the target (not ok).
        """
        if not isinstance(target, QemuGuest):
            raise GuestError(f"{self.spec.name} cannot move to a {target.kind}", "a real guest needs a QEMU there")

        def dead() -> str:
            gone = [side for side, guest in (("source", self), ("target", target)) if not guest.running]
            return f"the {' and the '.join(gone)} QEMU died" if gone else ""

        result = await migration.move(self._qmp, target._qmp, uri, dead, control)
        if not result.ok:
            printed = "" if result.cancelled else target._printed()
            return replace(result, failure=f"{result.failure}; target QEMU said: {printed}") if printed else result
        if not await target.answers(ANSWER_AFTER_MOVE_S):
            return replace(result, silent=await target.diagnose())
        return result

    async def exec(self, command: str, timeout: float = 30.0) -> tuple[int, bytes]:
        """Run a shell command in the guest over its serial port. Raises GuestError when it is dead or silent."""
        if not self.running:
            raise GuestError(f"{self.spec.name} is dead", self._printed() or "its QEMU does not run")
        async with self._serial_turn, SerialClient(self.serial_path) as port:
            return await port.exec(command, timeout)

    async def answers(self, timeout: float = 5.0) -> bool:
        """Whether the guest answers on its serial port."""
        if not self.running:
            return False
        try:
            async with self._serial_turn, SerialClient(self.serial_path) as port:
                return await port.answers(timeout)
        except GuestError:
            return False

    async def diagnose(self) -> str:
        """Why a guest may be silent, by looking at its CPU three times from the hypervisor."""
        seen = []
        try:
            status = (await self._qmp.execute("query-status"))["status"]
            for _ in range(3):
                text = await self._qmp.execute("human-monitor-command", command_line="info registers")
                seen.append(parse_registers(text))
                await asyncio.sleep(0.1)
        except GuestError as error:
            return f"the hypervisor does not answer either: {error}"
        where = ", ".join(sorted({f"{address:#x}" for address, _, _ in seen}))
        if status == "running" and not any(halted or interrupts for _, halted, interrupts in seen):
            return (
                f"guest kernel stuck with interrupts off at {where}: a panic loop, not the network "
                "(QEMU's TCG is known to lose guest memory in precopy)"
            )
        return f"guest {status}, CPU at {where}: it runs, yet says nothing on its serial port"

    async def quit(self) -> None:
        """Tell QEMU to quit, kill it after five seconds, and reap it."""
        if self.running:
            with contextlib.suppress(GuestError):
                await self._qmp.execute("quit")
        await self._reap(QUIT_TIMEOUT_S)

    async def kill(self) -> None:
        """SIGKILL and reap."""
        await self._reap(0)

    async def _reap(self, patience: float) -> None:
        await self._qmp.close()
        process = self._process
        if not process:
            return
        try:
            await asyncio.to_thread(process.wait, patience)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)
        for path in (self.qmp_path, self.serial_path):
            path.unlink(missing_ok=True)


def parse_registers(text: str) -> tuple[int, bool, bool]:
    """(instruction pointer, halted, interrupts enabled) from QEMU's `info registers`."""
    address = re.search(r"RIP=([0-9a-f]+)", text)
    flags = re.search(r"RFL=([0-9a-f]+)", text)
    halted = re.search(r"HLT=(\d)", text)
    return (
        int(address[1], 16) if address else 0,
        bool(halted and halted[1] == "1"),
        bool(flags and int(flags[1], 16) & _INTERRUPTS_ON),
    )
