"""bpf(2) by ctypes: pins, maps, batches into numpy, ids, programs. Layouts: include/uapi/linux/bpf.h, union bpf_attr.

Failures are OSError with the kernel's errno. The syscall releases the GIL. numpy is imported by `batch` alone: the
dead-man process reads maps without it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_NR = {"x86_64": 321, "aarch64": 280}[platform.machine()]
_MAP_LOOKUP, _MAP_UPDATE, _MAP_DELETE, _MAP_NEXT_KEY = 1, 2, 3, 4
_PROG_LOAD, _OBJ_PIN, _OBJ_GET, _PROG_TEST_RUN = 5, 6, 7, 10
_NEXT_ID = {"prog": 11, "map": 12}
_FD_BY_ID = {"prog": 13, "map": 14}
_INFO_BY_FD = 15
_RAW_TRACEPOINT_OPEN = 17
_LOOKUP_BATCH, _LOOKUP_AND_DELETE_BATCH, _UPDATE_BATCH = 24, 25, 26
_INFO_SIZE = 256
SCHED_CLS = 3

_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command: int, attr: Any) -> int:
    result: int = _libc.syscall(_NR, command, attr, len(attr))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _attr(layout: str, *fields: int) -> Any:
    packed = struct.pack("<" + layout, *fields)
    return ctypes.create_string_buffer(packed, len(packed))


def _buffer(data: bytes) -> Any:
    return ctypes.create_string_buffer(data, len(data))


def _cloexec(fd: int) -> int:
    os.set_inheritable(fd, False)
    return fd


def pin(fd: int, path: Path) -> None:
    """Give a map or program a name in a bpffs; names there hold no dots."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    _bpf(_OBJ_PIN, _attr("QII", ctypes.addressof(name), fd, 0))


def get(path: Path) -> int:
    """Open a pinned map or program; the caller closes the fd."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    return _cloexec(_bpf(_OBJ_GET, _attr("QII", ctypes.addressof(name), 0, 0)))


@dataclass(frozen=True)
class ProgInfo:
    """A loaded program: `tag` is the hex hash of its instructions."""

    id: int
    type: int
    tag: str
    name: str


@dataclass(frozen=True)
class MapInfo:
    """A map: sizes in bytes."""

    id: int
    type: int
    key_size: int
    value_size: int
    max_entries: int
    name: str


def _info(fd: int) -> bytes:
    out = ctypes.create_string_buffer(_INFO_SIZE)
    _bpf(_INFO_BY_FD, _attr("IIQ", fd, _INFO_SIZE, ctypes.addressof(out)))
    return out.raw


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode(errors="replace")


def prog_info(fd: int) -> ProgInfo:
    """Id, type, tag and name of a program."""
    raw = _info(fd)
    kind, number = struct.unpack_from("<II", raw)
    return ProgInfo(number, kind, raw[8:16].hex(), _text(raw[64:80]))


def map_info(fd: int) -> MapInfo:
    """Id, type, sizes and name of a map."""
    raw = _info(fd)
    kind, number, key_size, value_size, entries = struct.unpack_from("<5I", raw)
    return MapInfo(number, kind, key_size, value_size, entries, _text(raw[24:40]))


def ids(what: Literal["prog", "map"]) -> set[int]:
    """The ids of every program or map of this kernel, all namespaces."""
    found: set[int] = set()
    last = 0
    while True:
        attr = _attr("III", last, 0, 0)
        try:
            _bpf(_NEXT_ID[what], attr)
        except FileNotFoundError:
            return found
        (last,) = struct.unpack_from("<I", attr.raw, 4)
        found.add(last)


def by_id(what: Literal["prog", "map"], number: int) -> int:
    """Open a program or map by id; the caller closes the fd."""
    return _cloexec(_bpf(_FD_BY_ID[what], _attr("III", number, 0, 0)))


def lookup(fd: int, key: bytes, value_size: int) -> bytes | None:
    """The value under `key`, or None."""
    name, value = _buffer(key), ctypes.create_string_buffer(value_size)
    try:
        _bpf(_MAP_LOOKUP, _attr("IIQQQ", fd, 0, ctypes.addressof(name), ctypes.addressof(value), 0))
    except FileNotFoundError:
        return None
    return value.raw


def update(fd: int, key: bytes, value: bytes) -> None:
    """Write `value` under `key`, new or not."""
    name, data = _buffer(key), _buffer(value)
    _bpf(_MAP_UPDATE, _attr("IIQQQ", fd, 0, ctypes.addressof(name), ctypes.addressof(data), 0))


def delete(fd: int, key: bytes) -> bool:
    """Remove `key`; False when it was not there."""
    name = _buffer(key)
    try:
        _bpf(_MAP_DELETE, _attr("IIQ", fd, 0, ctypes.addressof(name)))
    except FileNotFoundError:
        return False
    return True


def entries(fd: int, key_size: int, value_size: int) -> list[tuple[bytes, bytes]]:
    """All of a map as (key, value), one call an entry; what is removed meanwhile is left out."""
    found: list[tuple[bytes, bytes]] = []
    key = b""
    while True:
        last, following = _buffer(key), ctypes.create_string_buffer(key_size)
        attr = _attr("IIQQ", fd, 0, ctypes.addressof(last) if key else 0, ctypes.addressof(following))
        try:
            _bpf(_MAP_NEXT_KEY, attr)
        except FileNotFoundError:
            return found
        key = following.raw
        value = lookup(fd, key, value_size)
        if value is not None:
            found.append((key, value))


def batch(
    fd: int, key: np.dtype[Any], value: np.dtype[Any], entries: int, *, remove: bool = False
) -> tuple[NDArray[Any], NDArray[Any]]:
    """All of a hash map in one call as two arrays of n rows; `entries` is the map's size. `remove` empties it too."""
    import numpy as np

    keys, values = np.zeros(entries, key), np.zeros(entries, value)
    token = ctypes.create_string_buffer(8)
    attr = _attr("QQQQIIQQ", 0, ctypes.addressof(token), keys.ctypes.data, values.ctypes.data, entries, fd, 0, 0)
    with contextlib.suppress(FileNotFoundError):  # the end of the map, not a failure: count says how many there were
        _bpf(_LOOKUP_AND_DELETE_BATCH if remove else _LOOKUP_BATCH, attr)
    (count,) = struct.unpack_from("<I", attr.raw, 32)
    return keys[:count], values[:count]


def update_batch(fd: int, keys: NDArray[Any], values: NDArray[Any]) -> None:
    """Write n entries in one call; on an error the first of them may be written."""
    keys, values = keys.copy(), values.copy()
    _bpf(_UPDATE_BATCH, _attr("QQQQIIQQ", 0, 0, keys.ctypes.data, values.ctypes.data, len(keys), fd, 0, 0))


def prog_load(instructions: bytes, name: str, kind: int = SCHED_CLS) -> int:
    """Load raw instructions (8 bytes each) as a program; the caller closes the fd."""
    code, licence = _buffer(instructions), ctypes.create_string_buffer(b"GPL")
    header = struct.pack(
        "<IIQQIIQII",
        kind,
        len(instructions) // 8,
        ctypes.addressof(code),
        ctypes.addressof(licence),
        *(0, 0, 0, 0, 0),
    )
    return _cloexec(_bpf(_PROG_LOAD, _buffer(header + name.encode()[:15].ljust(16, b"\0"))))


def tracepoint_open(fd: int, name: str) -> int:
    """Run a program at a raw tracepoint for as long as the returned descriptor is open."""
    text = ctypes.create_string_buffer(name.encode())
    return _cloexec(_bpf(_RAW_TRACEPOINT_OPEN, _attr("QI4x", ctypes.addressof(text), fd)))


def test_run(fd: int, frame: bytes) -> tuple[int, bytes]:
    """Run a tc program on one frame outside any link; its return code and the frame as it left it."""
    data, out = _buffer(frame), ctypes.create_string_buffer(len(frame) + 256)
    attr = _attr(
        "IIIIQQII",
        *(fd, 0, len(frame), len(out), ctypes.addressof(data), ctypes.addressof(out), 1, 0),
    )
    _bpf(_PROG_TEST_RUN, attr)
    result, size = struct.unpack_from("<4xI4xI", attr.raw)
    return result, out.raw[:size]


def test_run_ns(fd: int, frame: bytes, repeat: int) -> int:
    """The mean time of `repeat` runs of a tc program on one frame, in ns."""
    data = _buffer(frame)
    attr = _attr("IIIIQQII", *(fd, 0, len(frame), 0, ctypes.addressof(data), 0, repeat, 0))
    _bpf(_PROG_TEST_RUN, attr)
    (mean,) = struct.unpack_from("<I", attr.raw, 36)
    return int(mean)
