"""tcx by bpf(2): programs on a link's ingress or egress, before all of tc's, and who is there (kernel 6.6 and later).

Two ways. `attach` makes a link, which lives as long as its descriptor: what an agent attached is gone when the agent
is, however it ended. `put` needs none: the program stays until `take`, or until the network link goes. Every call is
made in the link's network namespace.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Any

from bascule_agent.bpf.raw import _bpf

_PROG_ATTACH, _PROG_DETACH, _PROG_QUERY, _LINK_CREATE = 8, 9, 16, 28
SIDES = {"ingress": 46, "egress": 47}
"""BPF_TCX_INGRESS and BPF_TCX_EGRESS."""
_REPLACE, _BEFORE = 1 << 2, 1 << 3
_LOOPBACK = 1
_ATTR_SIZE, _MOST = 64, 64


def _call(command: int, fields: bytes) -> tuple[int, Any]:
    attr = ctypes.create_string_buffer(fields, _ATTR_SIZE)
    return _bpf(command, attr), attr.raw


def attach(index: int, direction: str, prog_fd: int) -> int:
    """Put a program before every other on that side of a link, in the caller's network namespace; the link's
    descriptor. OSError: EINVAL where the kernel has no tcx."""
    # union bpf_attr, link_create: prog_fd, target_ifindex, attach_type, flags; no relative: before all
    fd, _ = _call(_LINK_CREATE, struct.pack("<IIII", prog_fd, index, SIDES[direction], _BEFORE))
    os.set_inheritable(fd, False)
    return fd


def there() -> bool:
    """Whether the kernel has tcx."""
    try:
        _call(_PROG_QUERY, struct.pack("<IIIIQI", _LOOPBACK, SIDES["ingress"], 0, 0, 0, 0))
    except OSError:
        return False
    return True


def put(index: int, direction: str, prog_fd: int, old_fd: int = 0) -> None:
    """Put a program on that side of a link to stay, in the place of `old_fd`'s when it is given (OSError)."""
    # union bpf_attr, attach: target_ifindex, attach_bpf_fd, attach_type, attach_flags, replace_bpf_fd
    _call(_PROG_ATTACH, struct.pack("<5I", index, prog_fd, SIDES[direction], _REPLACE if old_fd else 0, old_fd))


def take(index: int, direction: str, prog_fd: int) -> None:
    """Take a program off that was `put` there (OSError)."""
    _call(_PROG_DETACH, struct.pack("<3I", index, prog_fd, SIDES[direction]))


def programs(index: int, direction: str) -> list[int]:
    """The ids of the programs on that side of a link, in the order they run; [] where the kernel has no tcx."""
    ids = (ctypes.c_uint32 * _MOST)()
    # union bpf_attr, query: target_ifindex, attach_type, query_flags, attach_flags, prog_ids, count
    fields = struct.pack("<IIIIQI", index, SIDES[direction], 0, 0, ctypes.addressof(ids), _MOST)
    try:
        _, after = _call(_PROG_QUERY, fields)
    except OSError:
        return []
    (count,) = struct.unpack_from("<I", after, 24)
    return list(ids[:count])
