"""Pinned maps and programs by name, built when they are not there yet.

The directory's name is a hash of the source, the defines and the layouts this code expects: a changed struct gets new
maps instead of being read wrongly, and an unchanged one is adopted with its contents.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import mmap
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule_agent.bpf import raw
from bascule_agent.bpf.errors import BpfError
from bascule_agent.bpf.source import expand

NEAR = "_near"
"""A hash of numbers may have an array of this name beside it for the low ones: `ports` and `ports_near`. No entry in
it is all zero bytes. They are read and written as one, under the hash's name."""
Layout = Mapping[str, tuple[np.dtype[Any], np.dtype[Any]]]
Defines = Mapping[str, int | str]

_BPF_MAGIC = 0xCAFE4A11


def source_hash(source: Path, defines: Defines | None = None, layout: Layout | None = None) -> str:
    """16 hex digits that change with source, headers, defines or map layouts (names, offsets, sizes)."""
    digest = hashlib.sha256(expand(source).encode())
    digest.update(repr(sorted((defines or {}).items())).encode())
    for name, (key, value) in sorted((layout or {}).items()):
        digest.update(f"{name} {key.descr} {value.descr}".encode())
    return digest.hexdigest()[:16]


class Objects:
    """The open maps and programs of one pin directory. Maps named in `layout` are read and written as numpy rows."""

    def __init__(self, pin_dir: Path, maps: dict[str, int], programs: dict[str, int], layout: Layout) -> None:
        self.pin_dir = pin_dir
        self.maps = maps
        self.programs = programs
        self.layout = layout
        self._views: dict[str, tuple[mmap.mmap, NDArray[Any]]] = {}
        self._infos = {name: raw.map_info(fd) for name, fd in maps.items()}

    @classmethod
    def open(cls, pin_dir: Path, layout: Layout | None = None) -> Objects:
        """Open every pin of a directory. Raises BpfError when it is missing or a map's sizes are not the layout's."""
        try:
            names = sorted(entry.name for entry in pin_dir.iterdir())
        except OSError as error:
            raise BpfError(f"no pins at {pin_dir}", cause=str(error), fix="python -m bascule_agent.bpf.build") from None
        maps: dict[str, int] = {}
        programs: dict[str, int] = {}
        for name in names:
            fd = raw.get(pin_dir / name)
            kind = os.readlink(f"/proc/self/fd/{fd}")
            (programs if "bpf-prog" in kind else maps)[name] = fd
        found = cls(pin_dir, maps, programs, layout or {})
        found._check()
        return found

    def _check(self) -> None:
        for name, (key, value) in self.layout.items():
            info = self._infos.get(name)
            if info is None or (info.key_size, info.value_size) != (key.itemsize, value.itemsize):
                self.close()
                sizes = f"{info.key_size}+{info.value_size} bytes" if info else "missing"
                raise BpfError(
                    f"map {name} under {self.pin_dir} is not what this version expects",
                    cause=f"it is {sizes}, not {key.itemsize}+{value.itemsize}",
                    fix=f"remove {self.pin_dir}",
                )

    def close(self) -> None:
        """Close the descriptors; the pins keep the objects alive. What `view` gave must not be used any more."""
        self._views.clear()
        for fd in (*self.maps.values(), *self.programs.values()):
            os.close(fd)
        self.maps, self.programs = {}, {}

    def __enter__(self) -> Objects:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def program_id(self, name: str) -> int:
        """The kernel's id of a program."""
        return raw.prog_info(self.programs[name]).id

    def info(self, name: str) -> raw.MapInfo:
        """Sizes and id of a map."""
        return self._infos[name]

    def _near(self, name: str, key: tuple[Any, ...]) -> str:
        """Where a key's entry stands: in the array beside a hash of numbers, when the number is low enough."""
        near = name + NEAR
        return near if near in self._infos and key[0] < self._infos[near].max_entries else name

    def get(self, name: str, *key: Any) -> Any:
        """The value (a 0-d record) under a key given field by field, or None."""
        near = self._near(name, key)
        if near != name:
            row = self.view(near)[key[0]]
            return row.copy() if any(row.tobytes()) else None
        key_dtype, value_dtype = self.layout[name]
        data = raw.lookup(self.maps[name], _row(key_dtype, key), value_dtype.itemsize)
        return None if data is None else np.frombuffer(data, value_dtype)[0]

    def put(self, name: str, key: tuple[Any, ...], value: tuple[Any, ...]) -> None:
        """Write one entry, fields in layout order."""
        name = self._near(name, key)
        key_dtype, value_dtype = self.layout[name]
        try:
            raw.update(self.maps[name], _row(key_dtype, key), _row(value_dtype, value))
        except OSError as error:
            raise BpfError(f"cannot write map {name}", cause=str(error)) from None

    def remove(self, name: str, *key: Any) -> bool:
        """Remove one entry; False when it was not there."""
        near = self._near(name, key)
        if near != name:
            there = self.get(name, *key) is not None
            raw.update(self.maps[near], _row(self.layout[near][0], key), bytes(self.layout[near][1].itemsize))
            return there
        return raw.delete(self.maps[name], _row(self.layout[name][0], key))

    def rows(self, name: str, *, remove: bool = False) -> tuple[NDArray[Any], NDArray[Any]]:
        """A whole hash map as (keys, values); `remove` empties it in the same call."""
        key_dtype, value_dtype = self.layout[name]
        entries = self._infos[name].max_entries
        keys, values = raw.batch(self.maps[name], key_dtype, value_dtype, entries, remove=remove)
        if name + NEAR not in self._infos:
            return keys, values
        rows = self.view(name + NEAR)
        near = np.flatnonzero(rows.view("u1").reshape(len(rows), -1).any(axis=1))
        keys, values = np.concatenate([near.astype(key_dtype), keys]), np.concatenate([rows[near], values])
        if remove:
            rows[near] = np.zeros(1, value_dtype)
        return keys, values

    def view(self, name: str) -> NDArray[Any]:
        """An mmapable array map as its values, in place: what is read is the kernel's, what is written too."""
        found = self._views.get(name)
        if found is None:
            info, value = self._infos[name], self.layout[name][1]
            mapped = mmap.mmap(self.maps[name], info.max_entries * value.itemsize)
            found = self._views[name] = (mapped, np.frombuffer(mapped, value))
        return found[1]


def _row(dtype: np.dtype[Any], fields: tuple[Any, ...]) -> bytes:
    return np.array([fields if dtype.names else fields[0]], dtype).tobytes()


def build(source: Path, pin_dir: Path, defines: Defines | None = None) -> None:
    """Run the build in a child process (0.5 s, 190 MiB for as long as it runs). Raises BpfError with what it said."""
    command = [sys.executable, "-m", "bascule_agent.bpf.build", "--source", str(source), "--pin-dir", str(pin_dir)]
    for name, value in (defines or {}).items():
        command += ["--define", f"{name}={value}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BpfError(f"cannot build {source.name}", cause=done.stderr.strip().removeprefix("error: ")[-4000:])


def ensure(source: Path, root: Path, defines: Defines | None = None, layout: Layout | None = None) -> Objects:
    """Open `root`/<hash>, building it first when it is not there: the one call of agent and lab."""
    pin_dir = root / source_hash(source, defines, layout)
    if not pin_dir.exists():
        build(source, pin_dir, defines)
    return Objects.open(pin_dir, layout)


def mount_bpffs(path: Path) -> None:
    """Mount a bpffs at `path` (made when missing) unless one is there. Not inside `ip netns exec`: it dies with it."""
    path.mkdir(parents=True, exist_ok=True)
    if is_bpffs(path):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"bpf", os.fsencode(path), b"bpf", 0, None) != 0:
        raise BpfError(f"cannot mount a bpffs at {path}", cause=os.strerror(ctypes.get_errno()), fix="run as root")


def unmount_bpffs(path: Path) -> None:
    """Unmount the bpffs at `path`; no error when none is mounted. Everything pinned there goes with its last user."""
    libc = ctypes.CDLL(None, use_errno=True)
    if path.exists() and is_bpffs(path):
        libc.umount2(os.fsencode(path), 2)
    with contextlib.suppress(OSError):
        path.rmdir()


def is_bpffs(path: Path) -> bool:
    """Whether `path` itself is the root of a mounted bpffs."""
    buffer = ctypes.create_string_buffer(256)
    if ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(path), buffer) != 0:
        return False
    magic = int.from_bytes(buffer.raw[:4], sys.byteorder)
    return magic == _BPF_MAGIC and os.path.ismount(path)
