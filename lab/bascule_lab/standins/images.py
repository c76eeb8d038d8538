"""Disk images as CDI takes them: looked at, refused or converted to a raw volume, by qemu-img under CDI's limits.

After pkg/image/qemu.go of kubevirt/containerized-data-importer. What it does not refuse and this does: an image that
refers to other files (a backing file, an external data file, extents), because here these would be files of the
machine that runs the lab.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from bascule.errors import BasculeError

FORMATS = ("raw", "qcow2", "vmdk", "vdi", "vpc", "vhdx")
_TIMEOUT_S = 600
_SECTOR = 512
# what CDI lets qemu-img have: 1 GiB and 30 s of CPU
_LIMITS = ("prlimit", f"--as={1 << 30}", "--cpu=30")


class ImageError(BasculeError):
    """The image cannot be used; the message is CDI's."""


class TooBig(ImageError):
    """The image does not fit its claim, or the storage has no room for it: CDI answers 400 to these."""


def fill(image: Path, part: Path, disk: Path, room: int) -> None:
    """Make `disk`, a raw file of `room` bytes, from `image`, which is used up; `part` is where it grows. Blocking.

    Raises ImageError, TooBig, OSError; `image` and `part` are gone then too.
    """
    try:
        info = _look(image)
        _check(info, image, room)
        if info["format"] == "raw":
            image.replace(part)
        else:
            _qemu_img("convert", "-f", info["format"], "-O", "raw", str(image), str(part))
        os.truncate(part, room)
        part.replace(disk)
    finally:
        image.unlink(missing_ok=True)
        part.unlink(missing_ok=True)


def _look(image: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_qemu_img("info", "--output=json", str(image)))
    return found


def _check(info: dict[str, Any], image: Path, room: int) -> None:
    if info["format"] not in FORMATS:
        raise ImageError(f"Invalid format {info['format']} for image {image.name}")
    other = _refers_to(info, image)
    if other:
        raise ImageError(f"Image {image.name} is invalid because it has invalid backing file {other}")
    # qemu-img rounds a raw file up to whole sectors
    if info["virtual-size"] > -(-room // _SECTOR) * _SECTOR:
        raise TooBig(
            f"virtual image size {info['virtual-size']} is larger than the reported available storage {room}. "
            "A larger PVC is required"
        )


def _refers_to(info: dict[str, Any], image: Path) -> str:
    more = (info.get("format-specific") or {}).get("data") or {}
    named = [info.get("backing-filename"), info.get("full-backing-filename"), more.get("data-file")]
    named += [extent.get("filename") for extent in more.get("extents") or ()]
    return next((str(name) for name in named if name and Path(name) != image), "")


def _qemu_img(*words: str) -> str:
    try:
        done = subprocess.run([*_LIMITS, "qemu-img", *words], capture_output=True, text=True, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise ImageError(f"qemu-img {words[0]} took over {_TIMEOUT_S} s") from error
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        kind = TooBig if "No space left" in said[0] else ImageError
        raise kind(f"qemu-img {words[0]} execution failed: {said[0]}")
    return done.stdout
