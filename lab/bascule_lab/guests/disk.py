"""A guest's identity on its disk: what init.sh reads at boot, made and read (docs/design/contracts.md section 9).

A guest of the old side must have its address wherever its disk is booted: under libvirt, or on a node after qemu-img
has converted it. So the address is on the disk, as it is in a real VM's file system, and not in the kernel's command
line, which belongs to the hypervisor. Three blocks of 512 bytes stand for that file system: no mkfs, no ext4 module.
The MAC is not among them (`-`): it belongs to the VM's definition, and that it is carried over is what is tested.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bascule_lab.guests.errors import GuestError

BLOCK = 512
SIZE = 16 << 20
OWN_MAC = "-"
_QCOW2 = b"QFI\xfb"
_TIMEOUT_S = 60


@dataclass(frozen=True)
class Identity:
    """What a disk says: address, prefix length, gateway ("" for none), peers as in `GuestSpec`, seconds between talks,
    how often the disk was booted, and one line of free text."""

    ip: str
    prefix: int = 24
    gateway: str = ""
    peers: tuple[str, ...] = ()
    talk_every_s: float = 1.5
    boots: int = 0
    text: str = ""

    def line(self) -> str:
        """The configuration line of init.sh; the NIC keeps its own MAC."""
        peers = ",".join(self.peers) or "-"
        return f"CONF {self.ip} {self.prefix} {OWN_MAC} {self.gateway or '-'} {peers} {self.talk_every_s:g}"


def blocks(identity: Identity) -> bytes:
    """The disk's first three blocks, each a line of UTF-8 and zeros. Raises GuestError when one does not fit."""
    lines = (identity.line(), f"BOOTS {identity.boots}", identity.text)
    return b"".join(_block(number, line) for number, line in enumerate(lines))


def _block(number: int, line: str) -> bytes:
    data = line.encode() + b"\n"
    if len(data) > BLOCK or b"\n" in data[:-1] or b"\0" in data:
        raise GuestError(f"block {number} of an identity disk", f"{len(data)} bytes, or more than one line of text")
    return data.ljust(BLOCK, b"\0")


def parse(data: bytes) -> Identity:
    """The identity in a disk's first bytes (at least three blocks). Raises GuestError when there is none."""
    conf, boots, text = (_line(data, number) for number in range(3))
    words = conf.split()
    try:
        if words[:1] != ["CONF"] or boots.split()[:1] != ["BOOTS"]:
            raise ValueError("no CONF and BOOTS line")
        ip, prefix, _, gateway, peers, seconds = words[1:]
        return Identity(
            ip=ip,
            prefix=int(prefix),
            gateway="" if gateway == "-" else gateway,
            peers=() if peers == "-" else tuple(peers.split(",")),
            talk_every_s=float(seconds),
            boots=int(boots.split()[1]),
            text=text,
        )
    except (ValueError, IndexError) as error:
        raise GuestError("this disk holds no guest's identity", f"{error}; it begins with {data[:40]!r}") from error


def _line(data: bytes, number: int) -> str:
    block = data[number * BLOCK : (number + 1) * BLOCK]
    return block.partition(b"\n")[0].rstrip(b"\0").decode(errors="replace")


def make(path: Path, identity: Identity, *, size: int = SIZE, qcow2: bool = True) -> None:
    """Write a new disk of `size` bytes, qcow2 or raw. Blocking (qemu-img). Raises GuestError, OSError."""
    content = blocks(identity)
    if not qcow2:
        _raw(path, content, size)
        return
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".disk-") as scratch:
        source = Path(scratch) / "raw"
        _raw(source, content, size)
        _qemu_img("convert", "-f", "raw", "-O", "qcow2", str(source), str(path))


def _raw(path: Path, content: bytes, size: int) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.truncate(size)


def read(path: Path) -> Identity:
    """The identity on a disk file, raw or qcow2. Blocking. Raises GuestError, OSError."""
    with path.open("rb") as stream:
        data = stream.read(3 * BLOCK)
    if not data.startswith(_QCOW2):
        return parse(data)
    with tempfile.TemporaryDirectory(prefix="bascule-disk-") as scratch:
        target = Path(scratch) / "head"
        _qemu_img("dd", "-f", "qcow2", "-O", "raw", f"bs={BLOCK}", "count=3", f"if={path}", f"of={target}")
        return parse(target.read_bytes())


def _qemu_img(*words: str) -> None:
    try:
        done = subprocess.run(["qemu-img", *words], capture_output=True, text=True, timeout=_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GuestError("cannot run qemu-img", str(error), "apt-get install qemu-utils") from error
    if done.returncode:
        raise GuestError(f"qemu-img {words[0]} failed", done.stderr.strip() or f"exit code {done.returncode}")
