"""The maps and programs that segment steps use, by their pins and without numpy: what the dead-man process needs.

Offers what a segment driver asks of bpf.objects.Objects. Every field of these maps is a u32 (bpf/layout.py).
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

from bascule_agent.bpf import raw
from bascule_agent.bpf.errors import BpfError

FIELDS = {
    "trunks": (("ifindex", "vid"), ("stub", "bridge")),
    "native": (("ifindex",), ("vid",)),
    "stubs": (("ifindex",), ("trunk", "vid")),
}
PROGRAMS = ("demux_in", "mux_out", "watch_in")


class Pinned:
    """Open pins of one directory (OSError when one is missing)."""

    def __init__(self, pin_dir: Path) -> None:
        self.pin_dir = pin_dir
        self._maps = {name: raw.get(pin_dir / name) for name in FIELDS}
        self.programs = {name: raw.get(pin_dir / name) for name in PROGRAMS}

    def close(self) -> None:
        """Close the descriptors."""
        for fd in (*self._maps.values(), *self.programs.values()):
            os.close(fd)

    def program_id(self, name: str) -> int:
        """The kernel's id of a program."""
        return raw.prog_info(self.programs[name]).id

    def put(self, name: str, key: tuple[Any, ...], value: tuple[Any, ...]) -> None:
        """Write one entry (BpfError)."""
        try:
            raw.update(self._maps[name], _pack(key), _pack(value))
        except OSError as error:
            raise BpfError(f"cannot write map {name}", cause=str(error)) from error

    def remove(self, name: str, *key: Any) -> bool:
        """Remove one entry; False when it was not there."""
        return raw.delete(self._maps[name], _pack(key))

    def rows(self, name: str) -> tuple[list[Any], list[Any]]:
        """A whole map as (keys, values): dicts by field, plain numbers where there is one field."""
        keys, values = FIELDS[name]
        found = raw.entries(self._maps[name], 4 * len(keys), 4 * len(values))
        return [_unpack(keys, key) for key, _ in found], [_unpack(values, value) for _, value in found]


def _pack(fields: tuple[Any, ...]) -> bytes:
    return struct.pack(f"<{len(fields)}I", *fields)


def _unpack(names: tuple[str, ...], data: bytes) -> Any:
    numbers = struct.unpack(f"<{len(names)}I", data)
    return dict(zip(names, numbers, strict=True)) if len(names) > 1 else numbers[0]
