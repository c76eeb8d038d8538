"""tc bpf filters: attached, taken off and read back with our own encoding and decoding.

pyroute2 0.9 leaves TCA_BPF_ID and TCA_BPF_TAG undecoded (types 11 and 10, include/uapi/linux/pkt_cls.h), and those two
are what proves that the program in force is ours.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass

from bascule_agent.netlink.request import CREATE, EXCL, REPLACE, Requests, attributes, nested, text, u32
from bascule_agent.netlink.types import NetlinkError

PARENTS = {"ingress": 0xFFFFFFF2, "egress": 0xFFFFFFF3}
_NEWQDISC, _DELQDISC, _GETQDISC = 36, 37, 38
_NEWTFILTER, _DELTFILTER, _GETTFILTER = 44, 45, 46
_TCMSG = struct.Struct("=BxxxiIII")
_KIND, _OPTIONS = 1, 2
_BPF_CLASSID, _BPF_FD, _BPF_NAME, _BPF_FLAGS, _BPF_TAG, _BPF_ID = 3, 6, 7, 8, 10, 11
_CLSACT, _CLSACT_HANDLE = 0xFFFFFFF1, 0xFFFF0000
_PRIO, HANDLE = 1, 1
_INFO = _PRIO << 16 | 0x0300  # the priority, and htons(ETH_P_ALL)
_DIRECT_ACTION, _CLASS = 1, 1


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


class Filters:
    """The filters of a namespace's links, over one socket."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def read(self, index: int, direction: str) -> list[BpfFilter]:
        """The bpf filters on one side of a link; [] when the link has no clsact or is gone."""
        return [entry for body in self._dump(index, direction) if (entry := _filter(index, direction, body))]

    def holders(self) -> list[int]:
        """The ifindexes of links that can have filters (clsact or ingress), whoever made them."""
        bodies = self._requests.dump(_GETQDISC, _TCMSG.pack(0, 0, 0, 0, 0), _NEWQDISC, "list qdiscs")
        found = (_TCMSG.unpack_from(body) for body in bodies)
        return [index for _, index, _, parent, _ in found if parent == _CLSACT]

    def attach(self, index: int, direction: str, prog_fd: int, name: str, handle: int = HANDLE) -> bool:
        """Put a program there, or replace the one at our place. True when the clsact that it needs had to be made."""
        made = self._clsact(index)
        program = (
            *(u32(_BPF_CLASSID, _CLASS), u32(_BPF_FD, prog_fd)),
            *(text(_BPF_NAME, name), u32(_BPF_FLAGS, _DIRECT_ACTION)),
        )
        body = _TCMSG.pack(0, index, handle, PARENTS[direction], _INFO) + text(_KIND, "bpf")
        what = f"attach {name} to link {index} {direction}"
        self._requests.change(_NEWTFILTER, CREATE | REPLACE, body + nested(_OPTIONS, *program), what)
        return made

    def _clsact(self, index: int) -> bool:
        body = _TCMSG.pack(0, index, _CLSACT_HANDLE, _CLSACT, 0) + text(_KIND, "clsact")
        try:
            self._requests.change(_NEWQDISC, CREATE | EXCL, body, f"add clsact to link {index}")
        except NetlinkError as error:
            if error.code != errno.EEXIST:
                raise
            return False
        return True

    def detach(self, index: int, direction: str, handle: int = HANDLE) -> None:
        """Take the filter at our place off."""
        body = _TCMSG.pack(0, index, handle, PARENTS[direction], _INFO) + text(_KIND, "bpf")
        self._requests.change(_DELTFILTER, 0, body, f"detach program from link {index} {direction}")

    def drop_clsact(self, index: int) -> None:
        """Take clsact off when nobody's filter is left on either side."""
        if any(self._dump(index, each) for each in PARENTS):
            return
        try:
            clsact = _TCMSG.pack(0, index, _CLSACT_HANDLE, _CLSACT, 0)
            self._requests.change(_DELQDISC, 0, clsact, f"delete clsact of link {index}")
        except NetlinkError as error:
            if error.code not in (errno.ENOENT, errno.ENODEV, errno.EINVAL):
                raise

    def _dump(self, index: int, direction: str) -> list[bytes]:
        """The bodies of all filters on one side of a link, of every kind and owner."""
        tcmsg = _TCMSG.pack(0, index, 0, PARENTS[direction], 0)
        try:
            return self._requests.dump(_GETTFILTER, tcmsg, _NEWTFILTER, f"read tc filters of link {index}")
        except NetlinkError as error:
            if error.code in (errno.ENODEV, errno.EINVAL):
                return []
            raise


def _filter(index: int, direction: str, body: bytes) -> BpfFilter | None:
    _, _, handle, _, info = _TCMSG.unpack_from(body)
    attrs = dict(attributes(body, _TCMSG.size))
    if attrs.get(_KIND) != b"bpf\0" or _OPTIONS not in attrs:
        return None
    options = dict(attributes(attrs[_OPTIONS]))
    if _BPF_ID not in options:
        return None
    name = options.get(_BPF_NAME, b"").rstrip(b"\0").decode(errors="replace")
    (prog_id,) = struct.unpack("=I", options[_BPF_ID])
    return BpfFilter(index, direction, info >> 16, handle, name, prog_id, options.get(_BPF_TAG, b"").hex())
