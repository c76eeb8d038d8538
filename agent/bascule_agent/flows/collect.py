"""Drain the kernel's flow maps twice a second (oftener while somebody follows), publish what came out with its ledger.

The swap blocks for 10 to 30 ms, so it runs in a thread of its own; the loop keeps answering port events meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

import numpy as np

from bascule.flows.drops import LinkDrops
from bascule.flows.names import PortId
from bascule_agent.bpf.flows_map import Drained, swap_and_drain
from bascule_agent.bpf.objects import Objects
from bascule_agent.errors import describe
from bascule_agent.flows.account import Account
from bascule_agent.flows.clock import realtime_minus_monotonic
from bascule_agent.flows.drops import Counted
from bascule_agent.flows.estimates import put_estimates
from bascule_agent.flows.hub import Drain, Hub

log = logging.getLogger("bascule_agent")

PERIOD_SECONDS = 0.5
WATCHED_SECONDS = 0.15  # while somebody follows: from the wire to a row on screen within 300 ms


class LinkCounts(Protocol):
    """What the node's links drop (apply.drops.NodeDrops)."""

    def read(self) -> Counted:
        """What the kernel's maps hold; in the drains' thread."""

    def told(self, counted: Counted) -> LinkDrops:
        """The same with the links' names; in the loop."""


class Collector:
    """One node's drains. `ports()` names the ports that records point at; `also(drain)` sees each after the hub; `swap`
    is what takes them out of the kernel; `drops` tells what the node's links drop besides."""

    def __init__(
        self,
        objects: Objects,
        hub: Hub,
        ports: Callable[[], tuple[PortId, ...]],
        also: Callable[[Drain], None] = lambda drain: None,
        swap: Callable[[Objects], Drained] = swap_and_drain,
        drops: LinkCounts | None = None,
    ) -> None:
        self._drops = drops
        self._objects, self._hub, self._ports, self._also, self._swap = objects, hub, ports, also, swap
        self._account = Account()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="flows")
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Until `stop()`. A drain that fails is logged; what it could not read stays in the maps."""
        due = time.monotonic()
        while not self._stop.is_set():
            try:
                await self.drain()
            except Exception as error:
                log.error("flow drain failed: %s", describe(error)[0], exc_info=True)
            due = max(due + (WATCHED_SECONDS if self._hub.viewers else PERIOD_SECONDS), time.monotonic())
            try:
                await asyncio.wait_for(self._stop.wait(), due - time.monotonic())
            except TimeoutError:
                continue
        self._thread.shutdown()

    def stop(self) -> None:
        """Finish the drain that runs (what it took out of the maps must be published), then end `run()`."""
        self._stop.set()

    async def drain(self) -> Drain:
        """Swap, read, account, publish."""
        loop = asyncio.get_running_loop()
        drained, counted = await loop.run_in_executor(self._thread, self._read)
        made = to_drain(drained, self._account, self._ports())
        if self._drops is not None and counted is not None:
            made = replace(made, drops=self._drops.told(counted))
        self._hub.publish(made)
        self._also(made)
        return made

    def _read(self) -> tuple[Drained, Counted | None]:
        drained = self._swap(self._objects)
        if "estimates" in self._objects.layout:
            put_estimates(drained.records, *self._objects.rows("estimates"))
        return drained, self._drops.read() if self._drops else None


def to_drain(drained: Drained, account: Account, ports: tuple[PortId, ...]) -> Drain:
    """What one swap brought, in CLOCK_REALTIME and with the ledger after it."""
    records = drained.records
    offset = np.uint64(realtime_minus_monotonic())
    for name in ("first", "last"):
        records[name] += offset
    failed: dict[int, int] = {}
    for row in drained.overflow:
        failed[int(row["cause"])] = failed.get(int(row["cause"]), 0) + int(row["packets"])
    ledger = account.add(int(drained.totals["packets"].sum()), int(records["packets"].sum()), failed)
    return Drain(time.time_ns(), records, ports, ledger)
