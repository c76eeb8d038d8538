"""tcx links by bpf(2): a program at the head of a link's ingress or egress, and who is there (kernel 6.6 and later).

A link lives as long as its descriptor: what an agent attached is gone when the agent is, however it ended.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Any

from bascule_agent.bpf.raw import _bpf

_PROG_QUERY, _LINK_CREATE = 16, 28
SIDES = {"ingress": 46, "egress": 47}
"""BPF_TCX_INGRESS and BPF_TCX_EGRESS."""
_BEFORE = 1 << 3
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
