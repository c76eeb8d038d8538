"""The guests' kernel: Debian's linux-image-cloud-amd64, downloaded and unpacked, never installed.

The uncompressed ELF is taken out of the bzImage: QEMU starts it by its PVH note, which saves the decompression that
costs 0.3 s of every emulated boot. The cloud flavour because it is 27 MB (the generic one is 70) and LZ4.
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bascule_lab.config import cache_dir
from bascule_lab.guests.errors import KernelError

META_PACKAGE = "linux-image-cloud-amd64"
# insmod order: each module's symbols come from those before it. 8021q is not loaded at boot: a test that lets a
# guest send tags loads it.
VIRTIO = (
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "failover",
    "net_failover",
    "virtio_net",
)
# loaded by a guest that finds a disk, once its network is up: what tells it that its power button was pressed, and the
# port of its agent
SERVER = ("button", "evdev", "virtio_console")
# the disk, and the NIC of a VM that came from VMware
DISK = ("virtio_blk", "vmxnet3")
TAGGING = ("llc", "stp", "garp", "mrp", "8021q")
LZ4_LEGACY_MAGIC = bytes.fromhex("02214c18")
_SETUP_SECTS, _PAYLOAD = 0x1F1, 0x248
DOWNLOAD_TIMEOUT_S = 300
OFFLINE_FIX = "connect the machine to a Debian mirror once (apt-get update), or copy the cache from another machine"


@dataclass(frozen=True)
class GuestKernel:
    """An unpacked kernel: `version` (uname -r), the ELF `vmlinux`, and its `modules` in insmod order."""

    version: str
    vmlinux: Path
    modules: tuple[Path, ...]


def fetch() -> GuestKernel:
    """The guest kernel, from the cache or downloaded now (27 MB).

    Idempotent and safe beside another process doing the same. Raises KernelError when there is no network and
    nothing in the cache.
    """
    place = cache_dir() / "kernel"
    found = _cached(place)
    if found:
        return found
    place.mkdir(parents=True, exist_ok=True)
    with locked(place / "lock"):
        return _cached(place) or _download(place)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path` against other processes."""
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _cached(place: Path) -> GuestKernel | None:
    try:
        told = json.loads((place / "current.json").read_text())
        version = told["version"]
    except (OSError, ValueError, KeyError):
        return None
    root = place / version
    kernel = GuestKernel(
        version,
        root / "vmlinux",
        tuple(root / "modules" / f"{name}.ko" for name in (*VIRTIO, *DISK, *SERVER, *TAGGING)),
    )
    return kernel if all(path.exists() for path in (kernel.vmlinux, *kernel.modules)) else None


def _download(place: Path) -> GuestKernel:
    package = _package_name()
    with tempfile.TemporaryDirectory(dir=place, prefix="unpack-") as name:
        scratch = Path(name)
        # as root apt drops to the user _apt, who must be able to write here
        scratch.chmod(0o777)
        _run(
            ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package],
            f"cannot download {package}",
            OFFLINE_FIX,
            scratch,
        )
        archive = next(scratch.glob("*.deb"))
        _run(["dpkg-deb", "-x", str(archive), "tree"], f"cannot unpack {archive.name}", "free disk space?", scratch)
        version = package.removeprefix("linux-image-")
        ready = scratch / "ready"
        (ready / "modules").mkdir(parents=True)
        (ready / "vmlinux").write_bytes(extract_elf((scratch / f"tree/boot/vmlinuz-{version}").read_bytes()))
        tree = {path.stem: path for path in (scratch / f"tree/lib/modules/{version}").rglob("*.ko")}
        for module in (*VIRTIO, *DISK, *SERVER, *TAGGING):
            if module not in tree:
                raise KernelError(f"{package} has no module {module}", fix="report this: the kernel package changed")
            shutil.copy(tree[module], ready / "modules")
        shutil.rmtree(place / version, ignore_errors=True)
        ready.rename(place / version)
    (place / "current.json").write_text(json.dumps({"version": version, "package": package}))
    kernel = _cached(place)
    assert kernel is not None
    return kernel


def _package_name() -> str:
    """The versioned package that the meta package names now."""
    shown = _run(["apt-cache", "depends", META_PACKAGE], f"apt knows no {META_PACKAGE}", "apt-get update", Path("/"))
    found = re.search(r"Depends: (linux-image-\S+-cloud-amd64)", shown)
    if not found:
        raise KernelError(
            f"apt's {META_PACKAGE} names no kernel", cause=shown.strip() or "no answer", fix="apt-get update"
        )
    return found[1]


def _run(command: list[str], message: str, fix: str, where: Path) -> str:
    try:
        done = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KernelError(message, cause=str(error), fix=fix) from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise KernelError(message, cause=lines[-1], fix=fix)
    return done.stdout


def extract_elf(image: bytes) -> bytes:
    """The vmlinux ELF inside an LZ4 bzImage (Linux boot protocol, header fields payload_offset and payload_length).

    Raises KernelError when `image` is no such file.
    """
    if len(image) < _PAYLOAD + 8 or image[0x202:0x206] != b"HdrS":
        raise KernelError("the guest kernel is no bzImage", cause="no HdrS at offset 0x202")
    offset, length = struct.unpack_from("<II", image, _PAYLOAD)
    start = ((image[_SETUP_SECTS] or 4) + 1) * 512 + offset
    payload = image[start : start + length]
    if not payload.startswith(LZ4_LEGACY_MAGIC):
        raise KernelError("the guest kernel is not LZ4", cause=f"payload starts with {payload[:4].hex()}")
    # the payload ends in the ELF's length, which lz4 takes for a broken block: exit code 1 with all data written
    elf = subprocess.run(["lz4", "-dc"], input=payload, capture_output=True).stdout
    if not elf.startswith(b"\x7fELF"):
        raise KernelError("the guest kernel's payload is no ELF", cause=f"starts with {elf[:4].hex()}")
    return elf
