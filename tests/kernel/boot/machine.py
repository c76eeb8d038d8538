"""One boot: the initramfs, QEMU's command line, and what comes out of the serial port, line by line.

TCG, because KVM under a hypervisor of the kind this runs on starts no stock kernel; one CPU, because a second gains
nothing under TCG (reference/dataplane.md section 7).
"""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.kernel.boot.kernel import TierKernel

from bascule_lab.guests.cpio import Archive
from bascule_lab.guests.errors import GuestError, KernelError

BINARY = "qemu-system-x86_64"
INIT = Path(__file__).with_name("init.sh")
MARK = "@tier "
# TSC is calibrated at boot, and on a loaded host wrongly (a clock 65 times too fast was seen): HPET is QEMU's own time
CLOCK = "clocksource=hpet tsc=unstable no_timer_check"
ARGUMENTS = f"console=ttyS0 quiet panic=-1 mitigations=off {CLOCK} nokaslr audit=0 apparmor=0"


@dataclass
class Boot:
    """What one boot said. `code` is the command's exit code, None when it never ended; `stages`: guest seconds."""

    code: int | None = None
    broken: str = ""
    stages: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


def initramfs(kernel: TierKernel, command: str) -> bytes:
    """busybox, the modules, init and the command to run. Raises KernelError when there is no static busybox."""
    busybox = shutil.which("busybox")
    if busybox is None:
        raise KernelError("no busybox on this machine", fix="apt-get install busybox-static")
    archive = Archive()
    for name in ("bin", "dev", "m", "n", "ov", "proc", "r", "sys"):
        archive.directory(name)
    archive.character_device("dev/console", 5, 1)
    archive.file("bin/busybox", Path(busybox).read_bytes(), 0o755)
    for module in kernel.modules:
        archive.file(f"m/{module.name}", module.read_bytes())
    archive.file("m/order", "\n".join(module.name for module in kernel.modules).encode() + b"\n")
    archive.file("command", command.encode())
    archive.file("init", INIT.read_bytes(), 0o755)
    return archive.finish()


def line(kernel: TierKernel, initrd: Path) -> list[str]:
    """QEMU's command line: serial port on stdout, the host's root over 9p, read-only."""
    return [
        *(BINARY, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-M", "q35", "-accel", "tcg", "-cpu", "Nehalem", "-m", "1024", "-smp", "1"),
        *("-kernel", str(kernel.vmlinux), "-initrd", str(initrd), "-append", ARGUMENTS, "-serial", "stdio"),
        *("-fsdev", "local,id=h,path=/,security_model=none,readonly=on,multidevs=remap"),
        *("-device", "virtio-9p-pci,fsdev=h,mount_tag=host"),
    ]


def boot(kernel: TierKernel, command: str, timeout: float, hear: Callable[[str], None]) -> Boot:
    """Boot, run the shell script `command` in the host's root, and pass every line it prints to `hear`.

    Ends when the machine powers off, or after `timeout` seconds with `broken` set. Raises GuestError when QEMU does
    not start.
    """
    told, started = Boot(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bascule-kernel-") as name:
        initrd = Path(name, "initramfs")
        initrd.write_bytes(initramfs(kernel, command))
        try:
            process = subprocess.Popen(
                line(kernel, initrd), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        except OSError as error:
            raise GuestError(f"cannot run {BINARY}", str(error), "apt-get install qemu-system-x86") from error
        try:
            _listen(process, started + timeout, told, hear)
        finally:
            process.kill()
            process.wait()
    told.seconds = time.monotonic() - started
    if told.code is None and not told.broken:
        told.broken = f"it did not end within {timeout:.0f} s" if told.seconds >= timeout else "it stopped by itself"
    return told


def _listen(process: subprocess.Popen[bytes], end: float, told: Boot, hear: Callable[[str], None]) -> None:
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(process, lines), daemon=True).start()
    while True:
        try:
            text = lines.get(timeout=max(0.0, end - time.monotonic()))
        except queue.Empty:
            return
        if text is None:
            return
        if text.startswith(MARK):
            _note(text.removeprefix(MARK).split(" ", 1), told)
        else:
            hear(text)


def _read(process: subprocess.Popen[bytes], lines: queue.Queue[str | None]) -> None:
    assert process.stdout is not None
    for raw in process.stdout:
        lines.put(raw.decode(errors="replace").rstrip("\r\n"))
    lines.put(None)


def _note(words: list[str], told: Boot) -> None:
    name, rest = words[0], words[1] if len(words) > 1 else ""
    if name == "exit":
        told.code = int(rest)
    elif name == "broken":
        told.broken = rest
    else:
        told.stages[name] = float(rest)


def can_boot() -> str:
    """Why no boot is possible here, "" when one is."""
    if os.geteuid() != 0:
        return "needs root: the guest reads the whole tree as root"
    return "" if shutil.which(BINARY) else f"needs {BINARY}: apt-get install qemu-system-x86"
