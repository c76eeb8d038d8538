"""Reading tc bpf filters back from the kernel with our own decoding.

pyroute2 0.9 leaves TCA_BPF_ID and TCA_BPF_TAG undecoded (types 11 and 10, include/uapi/linux/pkt_cls.h), and those two
are what proves that the program in force is ours.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from bascule_agent.netlink.types import NetlinkError

PARENTS = {"ingress": 0xFFFFFFF2, "egress": 0xFFFFFFF3}
_RTM_GETTFILTER, _RTM_NEWTFILTER, _NLMSG_ERROR, _NLMSG_DONE = 46, 44, 2, 3
_REQUEST_DUMP = 0x301
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


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("HH", data, at)
        if length < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + length]
        at += (length + 3) & ~3


def _filter(index: int, direction: str, body: bytes) -> BpfFilter | None:
    handle, info = struct.unpack_from("I4xI", body, 8)
    attrs = dict(_attributes(body[20:]))
    if attrs.get(_TCA_KIND) != b"bpf\0" or _TCA_OPTIONS not in attrs:
        return None
    options = dict(_attributes(attrs[_TCA_OPTIONS]))
    if _TCA_BPF_ID not in options:
        return None
    name = options.get(_TCA_BPF_NAME, b"").rstrip(b"\0").decode(errors="replace")
    (prog_id,) = struct.unpack("I", options[_TCA_BPF_ID])
    return BpfFilter(index, direction, info >> 16, handle, name, prog_id, options.get(_TCA_BPF_TAG, b"").hex())


def _messages(sock: socket.socket) -> Iterator[tuple[int, bytes]]:
    while True:
        data = sock.recv(1 << 17)
        at = 0
        while at < len(data):
            length, kind = struct.unpack_from("IH", data, at)
            yield kind, data[at + 16 : at + length]
            at += (length + 3) & ~3


def _dump(index: int, direction: str) -> Iterator[bytes]:
    """The bodies of all RTM_NEWTFILTER messages for one side of a link, of every kind."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as sock:
        sock.bind((0, 0))
        tcmsg = struct.pack("BxxxiIII", 0, index, 0, PARENTS[direction], 0)
        sock.send(struct.pack("IHHII", 16 + len(tcmsg), _RTM_GETTFILTER, _REQUEST_DUMP, 1, 0) + tcmsg)
        for kind, body in _messages(sock):
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR:
                (code,) = struct.unpack_from("i", body)
                raise NetlinkError(f"read tc filters of link {index}", cause=os.strerror(-code), code=-code)
            if kind == _RTM_NEWTFILTER:
                yield body


def read_filters(index: int, direction: str) -> list[BpfFilter]:
    """The bpf filters on one side of a link, in the caller's namespace; [] when the link has no clsact or is gone."""
    return [entry for body in _dump(index, direction) if (entry := _filter(index, direction, body))]


def has_filters(index: int) -> tuple[bool, bool]:
    """Whether filters of any kind, anybody's, are on the ingress and on the egress of a link."""
    return bool(list(_dump(index, "ingress"))), bool(list(_dump(index, "egress")))
