"""Debian's generic kernel for the kernel tier: downloaded and unpacked into the cache, never installed.

The generic flavour, because the cloud one has no 9p. Kept are the ELF (QEMU starts it by its PVH note, without the two
emulated seconds that unpacking xz costs) and the modules the tier loads, in insmod order.
"""

from __future__ import annotations

import json
import lzma
import re
import shutil
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bascule_lab.config import cache_dir
from bascule_lab.guests.errors import KernelError
from bascule_lab.guests.kernel import OFFLINE_FIX, locked

META_PACKAGE = "linux-image-amd64"
ROOT_MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
NETWORK_MODULES = ("bridge", "8021q", "veth", "sch_ingress", "cls_bpf")
TIMEOUT_S = 120
_PAYLOAD, _SETUP_SECTS = 0x248, 0x1F1


@dataclass(frozen=True)
class TierKernel:
    """An unpacked kernel: `version` (uname -r), the ELF, its modules in insmod order."""

    version: str
    vmlinux: Path
    modules: tuple[Path, ...]


def fetch() -> TierKernel:
    """The kernel from the cache, or downloaded now (71 MB). Raises KernelError when neither is possible."""
    place = cache_dir() / "kernel-tier"
    place.mkdir(parents=True, exist_ok=True)
    with locked(place / "lock"):
        return _cached(place) or _download(place)


def _cached(place: Path) -> TierKernel | None:
    try:
        told = json.loads((place / "current.json").read_text())
        root = place / str(told["version"])
        kernel = TierKernel(told["version"], root / "vmlinux", tuple(root / name for name in told["modules"]))
    except (OSError, ValueError, KeyError):
        return None
    return kernel if all(path.exists() for path in (kernel.vmlinux, *kernel.modules)) else None


def _download(place: Path) -> TierKernel:
    shown = _run(["apt-cache", "depends", META_PACKAGE], f"apt knows no {META_PACKAGE}", Path("/"))
    found = re.search(r"Depends: (linux-image-(\S+-amd64))", shown)
    if not found:
        raise KernelError(f"apt's {META_PACKAGE} names no kernel", cause=shown.strip(), fix="apt-get update")
    package, version = found[1], found[2]
    with tempfile.TemporaryDirectory(dir=place, prefix="unpack-") as name:
        scratch = Path(name)
        command = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package]
        _run(command, f"cannot download {package}", scratch)
        _run(["dpkg-deb", "-x", str(next(scratch.glob("*.deb"))), "tree"], f"cannot unpack {package}", scratch)
        ready = scratch / "ready"
        ready.mkdir()
        (ready / "vmlinux").write_bytes(extract_elf((scratch / f"tree/boot/vmlinuz-{version}").read_bytes()))
        tree = {path.stem.replace("-", "_"): path for path in (scratch / "tree/lib/modules").rglob("*.ko")}
        modules = in_order((*ROOT_MODULES, *NETWORK_MODULES), tree)
        for path in modules:
            shutil.copy(path, ready)
        shutil.rmtree(place / version, ignore_errors=True)
        ready.rename(place / version)
    told = {"version": version, "modules": [path.name for path in modules]}
    (place / "current.json").write_text(json.dumps(told))
    kernel = _cached(place)
    assert kernel is not None
    return kernel


def in_order(wanted: tuple[str, ...], tree: dict[str, Path]) -> list[Path]:
    """The files of `wanted` and of all they depend on, each after its dependencies."""
    found: dict[str, Path] = {}

    def add(name: str) -> None:
        if name in found:
            return
        if name not in tree:
            raise KernelError(f"{META_PACKAGE} has no module {name}", fix="report this: the kernel package changed")
        depends = _run(["modinfo", "-F", "depends", str(tree[name])], f"cannot read {tree[name].name}", Path("/"))
        for other in depends.strip().split(","):
            if other:
                add(other.replace("-", "_"))
        found[name] = tree[name]

    for name in wanted:
        add(name.replace("-", "_"))
    return list(found.values())


def extract_elf(image: bytes) -> bytes:
    """The vmlinux ELF inside an xz bzImage (Linux boot protocol). Raises KernelError when `image` is no such file."""
    if len(image) < _PAYLOAD + 8 or image[0x202:0x206] != b"HdrS":
        raise KernelError("the tier's kernel is no bzImage", cause="no HdrS at offset 0x202")
    offset, length = struct.unpack_from("<II", image, _PAYLOAD)
    start = ((image[_SETUP_SECTS] or 4) + 1) * 512 + offset
    try:
        # the payload ends in the ELF's length, which the decompressor leaves in unused_data
        elf = lzma.LZMADecompressor().decompress(image[start : start + length])
    except lzma.LZMAError as error:
        raise KernelError("the tier's kernel is not xz", cause=str(error)) from None
    if not elf.startswith(b"\x7fELF"):
        raise KernelError("the tier's kernel holds no ELF", cause=f"it starts with {elf[:4].hex()}")
    return elf


def _run(command: list[str], message: str, where: Path) -> str:
    try:
        done = subprocess.run(command, cwd=where, capture_output=True, text=True, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KernelError(message, cause=str(error), fix=OFFLINE_FIX) from error
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise KernelError(message, cause=lines[-1], fix=OFFLINE_FIX)
    return done.stdout
