"""What this node's links drop: the kernel by reason (bpf/drops.c at skb:kfree_skb), the trunk programs by theirs.

The tracepoint is attached for as long as this process runs and is one for the whole machine; the program counts only
links of its `home` namespace. A kernel that cannot be asked (no BTF, no reasons, no right) costs the numbers and
nothing else: the report says why they are absent.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bascule.errors import BasculeError
from bascule.flows.drops import KERNEL, TRUNK, LinkDrop, LinkDrops
from bascule.flows.rows import reason_text
from bascule_agent.apply.pins import remove_others
from bascule_agent.bpf import btf, raw
from bascule_agent.bpf.objects import Objects, ensure
from bascule_agent.flows.clock import realtime_minus_monotonic

log = logging.getLogger("bascule_agent")

SOURCE = Path(raw.__file__).with_name("drops.c")
ENTRIES = 4096
TRACEPOINT = "kfree_skb"
PREFIX = "SKB_DROP_REASON_"
OURS = ("TC_INGRESS", "TC_EGRESS")  # at our own links these are our programs' drops, which the records have
_U4 = np.dtype("<u4")
LAYOUT = {
    "home": (_U4, _U4),
    "drops": (
        np.dtype([("ifindex", "<u4"), ("reason", "<u4")]),
        np.dtype([("packets", "<u8"), ("bytes", "<u8"), ("last", "<u8")]),
    ),
    "uncounted": (_U4, np.dtype("<u8")),
}


class Counted(NamedTuple):
    """What the maps held: rows of drops.c's map and of trunk_drops, as (keys, values)."""

    kernel: tuple[NDArray[Any], NDArray[Any]] | None
    trunk: tuple[NDArray[Any], NDArray[Any]] | None


class Drops:
    """One node's. `start`, `read` and `close` block; `told` is pure."""

    def __init__(self, since_ns: int, programs: Objects | None = None) -> None:
        self._since_ns, self._programs = since_ns, programs
        self._absent = "the agent has only just started"
        self._objects: Objects | None = None
        self._attached: int | None = None
        self._reasons: dict[int, str] = {}
        self._before = self._trunk_sums()

    def start(self, root: Path, netns: str = "/proc/self/ns/net") -> None:
        """Build what is not there under `root`, attach, count from 0; a failure is logged, and told as absent."""
        try:
            kernel = btf.read_layout()
            objects = ensure(SOURCE, root, kernel.defines | {"DROP_ENTRIES": ENTRIES}, LAYOUT)
            remove_others(objects.pin_dir)
            objects.put("home", (0,), (os.stat(netns).st_ino,))
            objects.rows("drops", remove=True)
            program = objects.programs[f"raw_tracepoint__{TRACEPOINT}"]
            self._attached = raw.tracepoint_open(program, TRACEPOINT)
        except (BasculeError, OSError) as error:
            self._absent = str(error)
            log.warning("kernel drops are not counted: %s", error)
            return
        self._reasons, self._objects, self._absent = kernel.reasons, objects, ""

    def close(self) -> None:
        """Detach; the counts stay pinned until the next start."""
        if self._attached is not None:
            os.close(self._attached)
        if self._objects is not None:
            self._objects.close()
        self._attached = self._objects = None

    def read(self) -> Counted:
        """What has been counted so far."""
        trunk = self._programs.rows("trunk_drops") if self._programs else None
        return Counted(self._objects.rows("drops") if self._objects else None, trunk)

    def told(self, counted: Counted, links: Mapping[int, str], ours: Set[int]) -> LinkDrops:
        """The same in words. `links` names links by index; at those in `ours` the programs are our own."""
        found = [*self._kernel(counted, links, ours), *self._trunk(counted, links)]
        return LinkDrops(self._since_ns, self._absent, tuple(found))

    def _kernel(self, counted: Counted, links: Mapping[int, str], ours: Set[int]) -> list[LinkDrop]:
        if counted.kernel is None:
            return []
        offset, found = realtime_minus_monotonic(), []
        for key, value in zip(*counted.kernel, strict=True):
            index, number = int(key["ifindex"]), int(key["reason"])
            reason = self._reasons.get(number, f"reason-{number}").removeprefix(PREFIX)
            if reason in OURS and index in ours:
                continue
            sums = (int(value["packets"]), int(value["bytes"]), int(value["last"]) + offset)
            found.append(LinkDrop(links.get(index, f"if{index}"), index, KERNEL, reason, *sums))
        return found

    def _trunk(self, counted: Counted, links: Mapping[int, str]) -> list[LinkDrop]:
        if counted.trunk is None:
            return []
        found = []
        for key, value in zip(*counted.trunk, strict=True):
            index, cause = int(key["ifindex"]), int(key["cause"])
            packets, octets = self._before.get((index, cause), (0, 0))
            sums = (int(value["packets"]) - packets, int(value["bytes"]) - octets)
            if sums[0]:
                found.append(LinkDrop(links.get(index, f"if{index}"), index, TRUNK, reason_text(cause), *sums))
        return found

    def _trunk_sums(self) -> dict[tuple[int, int], tuple[int, int]]:
        """What the trunk programs had dropped before this agent started."""
        if self._programs is None:
            return {}
        rows = zip(*self._programs.rows("trunk_drops"), strict=True)
        return {(int(k["ifindex"]), int(k["cause"])): (int(v["packets"]), int(v["bytes"])) for k, v in rows}
