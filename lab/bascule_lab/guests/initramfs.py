"""The guests' initramfs: busybox, the virtio modules and init.sh, written as cpio by guests/cpio.py."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

from bascule_lab.guests.cpio import Archive
from bascule_lab.guests.errors import KernelError
from bascule_lab.guests.kernel import SERVER, VIRTIO, GuestKernel

INIT = Path(__file__).with_name("init.sh")
AGENT = Path(__file__).with_name("agent.sh")
PAGE = b"hello from a lab guest\n"
DEVICES = {"console": (5, 1), "ttyS0": (4, 64), "null": (1, 3), "zero": (1, 5), "urandom": (1, 9)}


@cache
def _busybox() -> bytes:
    found = shutil.which("busybox")
    if not found:
        raise KernelError("no busybox on this machine", fix="apt-get install busybox-static")
    binary = Path(found).resolve().read_bytes()
    if b"/lib64/ld-linux" in binary[:4096]:
        raise KernelError(f"{found} is dynamically linked", fix="apt-get install busybox-static")
    return binary


def build(kernel: GuestKernel) -> bytes:
    """The initramfs for `kernel`, uncompressed: the same input gives the same bytes.

    Raises KernelError when there is no static busybox.
    """
    archive = Archive()
    for name in ("bin", "dev", "etc", "m", "proc", "run", "sys", "tmp", "www"):
        archive.directory(name)
    for name, (major, minor) in DEVICES.items():
        archive.character_device(f"dev/{name}", major, minor)
    archive.file("bin/busybox", _busybox(), 0o755)
    for module in kernel.modules:
        archive.file(f"m/{module.name}", module.read_bytes())
    archive.file("m/order", "\n".join(VIRTIO).encode() + b"\n")
    archive.file("m/server", "\n".join(SERVER).encode() + b"\n")
    archive.file("www/index.html", PAGE)
    archive.file("bin/agent", AGENT.read_bytes())
    archive.file("init", INIT.read_bytes(), 0o755)
    return archive.finish()
