"""The one QEMU command line of the lab, and starting it inside a node's network namespace.

Template, clones and migration targets must be the same machine, so one function writes the line for all three.
`-M pc` under TCG: KVM here starts no stock kernel, and microvm idles at 3 % CPU (reference/vms.md). Every offload of
the NIC is off: what the guest counts, what its port counts and what a capture shows are then the same frames, bytes
included; with offloads a guest counts super-frames that never existed on the wire.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bascule_agent.netlink import in_netns
from bascule_lab.guests.errors import GuestError

BINARY = "qemu-system-x86_64"
MEMORY_MIB = 96
NIC_MODEL = "virtio-net-pci"
# the template's NIC; a clone and a migration target carry the VM's own, because QEMU announces the one given here
TEMPLATE_MAC = "52:54:00:00:00:01"
_HOST_OFFLOADS = ("csum", "gso", "host_tso4", "host_tso6", "host_ecn", "host_ufo")
_GUEST_OFFLOADS = ("guest_csum", "guest_tso4", "guest_tso6", "guest_ecn", "guest_ufo")
OFFLOADS = (*_HOST_OFFLOADS, *_GUEST_OFFLOADS)
KERNEL_ARGUMENTS = "quiet nokaslr mitigations=off no_timer_check tsc=reliable audit=0 apparmor=0"


@dataclass(frozen=True)
class Machine:
    """What differs between two of the lab's QEMUs.

    `memory` is the RAM file, mapped shared (template) or copy on write (clone); None is plain memory (a migration
    target). `sockets` is the path that `.qmp` and `.serial` are appended to. `disks` are raw files; they come after the
    NIC, so that a machine without them is the template's.
    """

    vmlinux: Path
    initramfs: Path
    sockets: Path
    tap_fd: int
    mac: str
    memory: Path | None = None
    memory_shared: bool = False
    incoming: bool = False
    disks: tuple[Path, ...] = ()

    @property
    def qmp(self) -> Path:
        """The QMP socket."""
        return self.sockets.with_name(self.sockets.name + ".qmp")

    @property
    def serial(self) -> Path:
        """The serial port's socket."""
        return self.sockets.with_name(self.sockets.name + ".serial")

    @property
    def log(self) -> Path:
        """What QEMU itself printed."""
        return self.sockets.with_name(self.sockets.name + ".log")


def command(machine: Machine) -> list[str]:
    """The command line for `machine`."""
    backend = f"memory-backend-ram,id=m0,size={MEMORY_MIB}M"
    if machine.memory:
        share = "on" if machine.memory_shared else "off"
        backend = f"memory-backend-file,id=m0,size={MEMORY_MIB}M,mem-path={machine.memory},share={share}"
    nic = f"{NIC_MODEL},romfile=,netdev=n,mac={machine.mac},id=nic0," + ",".join(f"{name}=off" for name in OFFLOADS)
    line = [BINARY, "-nodefaults", "-no-user-config", "-display", "none"]
    line += ["-M", "pc,usb=off,smbus=off,vmport=off,i8042=off", "-accel", "tcg,tb-size=32", "-m", str(MEMORY_MIB)]
    line += ["-object", backend, "-machine", "memory-backend=m0"]
    line += ["-kernel", str(machine.vmlinux), "-initrd", str(machine.initramfs)]
    line += ["-netdev", f"tap,id=n,fd={machine.tap_fd},vhost=off", "-device", nic]
    for number, disk in enumerate(machine.disks):
        line += ["-drive", f"if=none,id=d{number},format=raw,file={disk}"]
        line += ["-device", f"virtio-blk-pci,drive=d{number},id=disk{number}"]
    line += ["-qmp", f"unix:{machine.qmp},server=on,wait=off"]
    line += ["-chardev", f"socket,id=s0,path={machine.serial},server=on,wait=off", "-serial", "chardev:s0"]
    if machine.incoming:
        line += ["-incoming", "defer"]
    return [*line, "-append", KERNEL_ARGUMENTS]


def version() -> str:
    """QEMU's version line. Raises GuestError when there is no QEMU."""
    try:
        shown = subprocess.run([BINARY, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise GuestError(f"cannot run {BINARY}", str(error), "apt-get install qemu-system-x86") from error
    return shown.splitlines()[0]


# A node of a cluster has cores for its guests; here twelve guests share two with the API server, the stand-ins, the
# agents and the console, and whatever those do at a cut-over would be measured as the guest's pause.
NICE = -10


def spawn(machine: Machine, netns: str | Path | None) -> subprocess.Popen[bytes]:
    """Start QEMU in a network namespace (None: the calling thread's) and close our copy of its tap.

    Blocking; call it off the event loop. Raises GuestError when QEMU cannot be started.
    """
    machine.sockets.parent.mkdir(parents=True, exist_ok=True)
    for stale in (machine.qmp, machine.serial):
        stale.unlink(missing_ok=True)

    def start() -> subprocess.Popen[bytes]:
        with machine.log.open("wb") as log:
            line = ["nice", "-n", str(NICE), *command(machine)]
            return subprocess.Popen(line, pass_fds=[machine.tap_fd], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    try:
        return in_netns(netns, start)
    except OSError as error:
        raise GuestError(f"cannot run {BINARY}", str(error), "apt-get install qemu-system-x86") from error
    finally:
        os.close(machine.tap_fd)
