"""Reading tc bpf filters back from the kernel with our own decoding.

pyroute2 0.9 leaves TCA_BPF_ID and TCA_BPF_TAG undecoded (types 11 and 10, include/uapi/linux/pkt_cls.h), and those two
are what proves that the program in force is ours.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from bascule_agent.netlink.rawdump import attributes, dump

PARENTS = {"ingress": 0xFFFFFFF2, "egress": 0xFFFFFFF3}
_RTM_GETTFILTER, _RTM_NEWTFILTER = 46, 44
_TCA_KIND, _TCA_OPTIONS, _TCA_BPF_NAME, _TCA_BPF_TAG, _TCA_BPF_ID = 1, 2, 7, 10, 11


@dataclass(frozen=True)
class BpfFilter:
    """One tc filter of kind bpf: `prog_id` and `tag` as bpf(2) reports them for the program."""

    index: int
    direction: str
    prio: int
    handle: int
    name: str
    prog_id: int
    tag: str


def _filter(index: int, direction: str, body: bytes) -> BpfFilter | None:
    handle, info = struct.unpack_from("I4xI", body, 8)
    attrs = dict(attributes(body[20:]))
    if attrs.get(_TCA_KIND) != b"bpf\0" or _TCA_OPTIONS not in attrs:
        return None
    options = dict(attributes(attrs[_TCA_OPTIONS]))
    if _TCA_BPF_ID not in options:
        return None
    name = options.get(_TCA_BPF_NAME, b"").rstrip(b"\0").decode(errors="replace")
    (prog_id,) = struct.unpack("I", options[_TCA_BPF_ID])
    return BpfFilter(index, direction, info >> 16, handle, name, prog_id, options.get(_TCA_BPF_TAG, b"").hex())


def _dump(index: int, direction: str) -> Iterator[bytes]:
    """The bodies of all RTM_NEWTFILTER messages for one side of a link, of every kind."""
    tcmsg = struct.pack("BxxxiIII", 0, index, 0, PARENTS[direction], 0)
    return dump(_RTM_GETTFILTER, tcmsg, _RTM_NEWTFILTER, f"read tc filters of link {index}")


def read_filters(index: int, direction: str) -> list[BpfFilter]:
    """The bpf filters on one side of a link, in the caller's namespace; [] when the link has no clsact or is gone."""
    return [entry for body in _dump(index, direction) if (entry := _filter(index, direction, body))]


def has_filters(index: int) -> tuple[bool, bool]:
    """Whether filters of any kind, anybody's, are on the ingress and on the egress of a link."""
    return bool(list(_dump(index, "ingress"))), bool(list(_dump(index, "egress")))
