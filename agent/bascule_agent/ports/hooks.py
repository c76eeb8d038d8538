"""Where a port's programs hang: on tcx, which calls them cheapest; before kernel 6.6 as the one filter of clsact.

Either way they stay when the agent ends, another owner's program there is refused and not touched, and ours is replaced
in place, so that no frame passes unpoliced.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from bascule_agent.bpf import raw, tcx
from bascule_agent.netlink import Netlink, NetlinkError

PROGRAMS = {"ingress": "port_in", "egress": "port_out"}


class Hooks:
    """The sides of a node's workload links."""

    def __init__(self, netlink: Netlink) -> None:
        self._netlink = netlink
        self._tcx = netlink.inside(tcx.there)

    def attach(self, index: int, side: str, prog_fd: int) -> None:
        """Have the port program of that side run there, and none beside it (NetlinkError)."""
        name = PROGRAMS[side]
        if not self._tcx:
            self._netlink.attach_bpf(index, side, prog_fd, name)
            return
        older = self._netlink.refuse_others(index, side, name)
        with self._found(index, side) as found:
            others = [info.name for _, info in found if info.name != name]
            if others:
                raise NetlinkError(
                    f"link {index} {side} has another owner's program: {', '.join(others)}",
                    fix="have its owner take it off; `bpftool net` names it from version 7.2 on, `tc` does not",
                )
            if raw.prog_info(prog_fd).id not in [info.id for _, info in found]:
                with self._told(f"attach {name} to link {index} {side}"):
                    self._netlink.inside(lambda: tcx.put(index, side, prog_fd, found[0][0] if found else 0))
        if older:  # what an agent before tcx had put there
            self._netlink.detach_bpf(index, side, name)

    def ids(self, index: int, side: str) -> list[int]:
        """The ids of the programs on one side of a link, in the order they run; [] when the link is gone."""
        return [*self._ids(index, side), *(each.prog_id for each in self._netlink.filters(index, side))]

    def detach(self, index: int, side: str) -> None:
        """Take ours off; none there is no error, nor is another's."""
        name = PROGRAMS[side]
        with self._found(index, side) as found:
            for fd, info in found:
                if info.name == name:
                    with self._told(f"detach {name} from link {index} {side}"):
                        self._netlink.inside(lambda fd=fd: tcx.take(index, side, fd))  # type: ignore[misc]
        self._netlink.detach_bpf(index, side, name)

    def _ids(self, index: int, side: str) -> list[int]:
        return self._netlink.inside(lambda: tcx.programs(index, side)) if self._tcx else []

    @contextlib.contextmanager
    def _found(self, index: int, side: str) -> Iterator[list[tuple[int, raw.ProgInfo]]]:
        """Open programs and what they are, for as long as the block."""
        opened: list[int] = []
        try:
            for number in self._ids(index, side):
                with contextlib.suppress(FileNotFoundError):  # it went meanwhile
                    opened.append(raw.by_id("prog", number))
            yield [(fd, raw.prog_info(fd)) for fd in opened]
        finally:
            for fd in opened:
                os.close(fd)

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise NetlinkError(f"cannot {what}", cause=str(error), code=error.errno or 0) from None
