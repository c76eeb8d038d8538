"""Flow counting in mode observe (`--count-flows`): our program beside another owner's data plane, changing nothing.

Kernel 6.6 and later: one tcx link at the head of each side of a workload's link; it goes when the agent does, however
that ends. Older: one clsact filter before the others, taken off at the end; what a killed agent left is found by its
name and taken off by the next one. Every path of the program returns TC_ACT_UNSPEC, so what stood there decides as it
did.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Set
from functools import partial
from pathlib import Path

from bascule.flows.names import PortId
from bascule_agent.bpf import layout, tcx
from bascule_agent.bpf.flows_map import Drained, swap_and_drain
from bascule_agent.bpf.objects import Objects, ensure, source_hash
from bascule_agent.errors import AgentError
from bascule_agent.netlink import Netlink, NetlinkError

log = logging.getLogger("bascule_agent")

SOURCE = layout.SOURCE.with_name("count.c")
MAPS = ("flows0", "flows1", "counters0", "counters1", "totals0", "totals1", "cur", "lost")
LAYOUT = {name: layout.LAYOUT[name] for name in MAPS}
PROGRAMS = {"ingress": "count_in", "egress": "count_out"}
FILTER = "bascule-count"
HANDLE = 0xB5
UNKNOWN = 0
_NO_TCX = (errno.EINVAL, errno.EOPNOTSUPP)


def open_counter(root: Path) -> Objects:
    """This version's counting programs, built when they are not there (BpfError)."""
    return ensure(SOURCE, root, layout.defines(), LAYOUT)


def find_counter(root: Path) -> Objects | None:
    """The same, None when they were never built."""
    pin_dir = root / source_hash(SOURCE, layout.defines(), LAYOUT)
    return Objects.open(pin_dir, LAYOUT) if pin_dir.exists() else None


class Counting:
    """The links where flows are counted. Blocking; the Worker's."""

    def __init__(self, netlink: Netlink, objects: Objects) -> None:
        self._netlink, self._objects = netlink, objects
        self._tcx: dict[int, list[int]] = {}
        self._filters: set[int] = set()
        self._clsact: set[int] = set()
        self._closed = False

    @property
    def links(self) -> frozenset[int]:
        """Where frames are counted now."""
        return frozenset(self._tcx) | self._filters

    def use(self, wanted: Set[int]) -> None:
        """Count on these links and no others. A link that refuses is named in the log and left as it is."""
        if self._closed:
            return
        for index in self.links - wanted:
            self._leave(index)
        for index in sorted(wanted - self.links):
            try:
                self._join(index)
            except (AgentError, NetlinkError) as error:
                log.warning("flows of link %d are not counted: %s", index, error)

    def close(self) -> None:
        """Take everything off."""
        self.use(frozenset())
        self._closed = True

    def _join(self, index: int) -> None:
        fds: list[int] = []
        try:
            for side, name in PROGRAMS.items():
                attach = partial(tcx.attach, index, side, self._objects.programs[name])
                fds.append(self._netlink.inside(attach))
        except OSError as error:
            for fd in fds:
                os.close(fd)
            if error.errno not in _NO_TCX:
                raise AgentError(f"no tcx link on link {index}", cause=str(error)) from None
            self._join_by_filter(index)
            return
        self._tcx[index] = fds

    def _join_by_filter(self, index: int) -> None:
        """Before every filter that is there: priority 1, and of that priority the newest runs first."""
        self._filters.add(index)
        for side, name in PROGRAMS.items():
            if self._netlink.attach_before(index, side, self._objects.programs[name], FILTER, HANDLE):
                self._clsact.add(index)
            first = next(iter(self._netlink.filters(index, side)), None)
            if first is None or first.prog_id != self._objects.program_id(name):
                self._leave(index)
                raise AgentError(f"another filter runs before ours on link {index} {side}")

    def _leave(self, index: int) -> None:
        for fd in self._tcx.pop(index, ()):
            os.close(fd)
        if index in self._filters:
            self._filters.discard(index)
            take_off(self._netlink, index, index in self._clsact)
            self._clsact.discard(index)


def take_off(netlink: Netlink, index: int, clsact: bool) -> None:
    """Our counting filters off both sides of a link; with `clsact` that too, when nobody's filter is left."""
    for side in PROGRAMS:
        netlink.detach_before(index, side, FILTER, HANDLE)
    if clsact:
        netlink.drop_clsact(index)


def counted(netlink: Netlink) -> list[int]:
    """The links with a counting filter of ours (kernels without tcx)."""
    return [
        index
        for index in netlink.filter_holders()
        if any(entry.name == FILTER for side in PROGRAMS for entry in netlink.filters(index, side))
    ]


def sweep(netlink: Netlink) -> None:
    """Take off the filters of an agent that was killed while it counted. Whose clsact they sit on is not known any
    more, so that stays."""
    for index in counted(netlink):
        take_off(netlink, index, clsact=False)
        log.info("flow counting of an earlier agent is off link %d", index)


def unjudged(ports: Callable[[], tuple[PortId, ...]]) -> Callable[[Objects], Drained]:
    """A Collector's `swap` for the counting programs: the records get the VLAN of their port, which a workload's own
    link does not show, and the verdict `unknown`: another owner decides, and we do not see how."""

    def swap(objects: Objects) -> Drained:
        drained = swap_and_drain(objects)
        records = drained.records
        records["verdict"] = UNKNOWN
        for port in ports():
            here = (records["ifindex"] == port.ifindex) & (records["vlan"] == 0)
            records["vlan"][here] = port.vlan
        return drained

    return swap
