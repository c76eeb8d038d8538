"""What this node's links drop, with their names and with what is ours taken out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from bascule.flows.drops import LinkDrops
from bascule.hostplan.observed import Observed
from bascule_agent.bpf.objects import Objects
from bascule_agent.flows.drops import Counted, Drops


class NodeDrops:
    """Owned by the event loop. `programs` are the data plane's, None where another is it: then no drop is ours."""

    def __init__(
        self,
        root: Path,
        programs: Objects | None,
        observed: Callable[[], Observed],
        trunk: Callable[[], str],
        ports: Callable[[], Iterable[int]],
    ) -> None:
        self._root, self._programs = root, programs
        self._observed, self._trunk, self._ports = observed, trunk, ports
        self._drops = Drops(time.time_ns(), programs)
        self.last = self._drops.told(Counted(None, None), {}, frozenset())

    async def start(self) -> None:
        """Attach; half a second, most of it in child processes, so not in the Worker's queue."""
        await asyncio.to_thread(self._drops.start, self._root)

    def read(self) -> Counted:
        """What the kernel's maps hold. Any thread."""
        return self._drops.read()

    def told(self, counted: Counted) -> LinkDrops:
        """The same with the links' names as of the last look at them."""
        observed = self._observed()
        links = {link.index: link.name for link in observed.links}
        self.last = self._drops.told(counted, links, self._ours(observed))
        return self.last

    def _ours(self, observed: Observed) -> set[int]:
        if self._programs is None:
            return set()
        mine = {link.index for link in observed.links if link.owner or link.name == self._trunk()}
        return mine.union(self._ports())

    def close(self) -> None:
        """Detach, once nothing reads any more."""
        self._drops.close()
