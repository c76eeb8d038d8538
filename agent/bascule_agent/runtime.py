"""`bascule-agent run`: put the parts together, keep them running, stop without touching the data plane."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bascule_agent.apply.events import PortEvents
from bascule_agent.apply.host import Host
from bascule_agent.apply.lock import node_lock
from bascule_agent.apply.loop import Loop
from bascule_agent.apply.moving import MoveFeed
from bascule_agent.apply.node import Node
from bascule_agent.apply.pins import open_pins, remove_others
from bascule_agent.apply.ports import Ports
from bascule_agent.apply.tell import Teller
from bascule_agent.apply.worker import Worker
from bascule_agent.bpf.objects import Objects
from bascule_agent.errors import describe
from bascule_agent.flows.collect import Collector
from bascule_agent.flows.hub import Hub
from bascule_agent.moves import AgentClient, MoveService, MoveTracker, SourceTracker
from bascule_agent.netlink import Monitor
from bascule_agent.probes import Prober
from bascule_agent.report import AgentView, build
from bascule_agent.server.auth import Gate
from bascule_agent.server.listen import listen
from bascule_agent.server.service import Parts, Service
from bascule_agent.status import Reporter
from bascule_agent.watch import Watch
from bascule_kube.cluster import Cluster
from bascule_kube.kinds import NODE, VMI, VMIM

log = logging.getLogger("bascule_agent")

REPORT_FRESH_SECONDS = 0.5


@dataclass(frozen=True)
class Config:
    """The arguments of `run`."""

    node: str
    kubeconfig: Path
    socket: Path
    pin_root: Path
    mode: str


def run(config: Config) -> int:
    """Until SIGTERM or SIGINT, then 0; 1 when a part of the agent died. Detaches nothing."""
    with node_lock(config.socket):
        return asyncio.run(_main(config))


async def _main(config: Config) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    worker = Worker()
    objects = None
    if config.mode == "manage":
        objects = await worker(open_pins, config.pin_root / config.node)
    async with await Cluster.open(config.kubeconfig) as cluster:
        agent = Agent(config, cluster, worker, objects, stop)
        await agent.run()
    worker.close()
    if objects is not None:
        objects.close()
    log.info("stopped; everything stays attached")
    return 1 if agent.died else 0


class Agent:
    """One node's agent; everything but the Worker's calls runs on one event loop."""

    def __init__(
        self, config: Config, cluster: Cluster, worker: Worker, objects: Objects | None, stop: asyncio.Event
    ) -> None:
        self._config, self._cluster, self._objects, self._worker = config, cluster, objects, worker
        self._stop = stop
        self._host = Host(objects)
        self._ports = Ports(config.node, self._host, worker)
        self._node = Node(config.node, self._host, worker, self._ports, objects is not None)
        self._teller = Teller(Reporter(cluster, config.node), config.mode)
        self._loop = Loop(self._pass)
        self._tracker = MoveTracker(
            config.node,
            config.socket.absolute().parent / "moves",
            AgentClient(cluster.bearer_token),
            lambda: self._watch.vantage_points(),
            lambda name: cluster.get(NODE, name),
        )
        self._source = SourceTracker(config.node)
        listeners = {VMIM: self._tracker.vmim_changed, VMI: self._tracker.vmi_changed}
        self._watch = Watch(cluster, config.node, self._loop.poke, listeners)
        self._feed = MoveFeed(self._ports, self._tracker, self._source, self._watch.migration_of)
        self._hub = Hub()
        self._tasks: list[asyncio.Task[None]] = []
        self._first: tuple[int, int] | None = None
        self._cleaned = False
        self.died = False

    async def run(self) -> None:
        """Serve, watch, act, until told to stop."""
        listener = await listen(
            Service(self._parts(), Gate(self._config.node, self._cluster.create)), self._config.socket
        )
        self._teller.target = listener.target
        monitor = Monitor()
        monitor.start(asyncio.get_running_loop(), lambda event: self._loop.poke())
        events, collector = self._kernel_side()
        self._start(self._begin(), "begin")
        try:
            await self._stop.wait()
        finally:
            monitor.close()
            await listener.stop()
            if events and collector:
                events.close()
                collector.stop()
            await self._finish()

    def _kernel_side(self) -> tuple[PortEvents | None, Collector | None]:
        """Port events and flow drains start at once: they do not need the cluster."""
        if self._objects is None:
            return None, None
        events = PortEvents(self._objects, self._host, self._worker, self._ports, self._feed, self._teller)
        events.start()
        collector = Collector(self._objects, self._hub, self._ports.ids, self._feed.drained)
        self._start(collector.run(), "flows")
        return events, collector

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A part that ends by an error ends the agent: half an agent would look alive. The data plane stays."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log.critical("%s died: %s", task.get_name(), describe(error)[0], exc_info=error)
            self.died = True
            self._stop.set()

    async def _begin(self) -> None:
        self._start(self._teller.run(), "tell")
        self._start(self._teller.heartbeat(), "lease")
        await self._ports.adopt()
        await self._watch.start()
        self._start(self._loop.run(), "passes")
        self._loop.poke()

    async def _finish(self) -> None:
        flows = [task for task in self._tasks if task.get_name() == "flows"]
        await asyncio.gather(*flows)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._watch.stop()
        await self._tracker.close()
        await self._worker(self._host.close)

    async def _pass(self) -> bool:
        known = self._watch.known()
        for nic in known.nics:
            self._tracker.nic_discovered(nic)
        done = await self._node.once(known)
        if self._first is None:
            self._first = (self._ports.adopted, done.steps + done.ports)
            log.info("adopted %d ports, %d changes", *self._first)
        self._teller.told(known, done.outcomes)
        if done.again:
            self._loop.poke()
        elif done.complete and self._objects is not None and not self._cleaned:
            self._cleaned = True
            await self._worker(remove_others, self._objects.pin_dir)
        return done.complete

    def _parts(self) -> Parts:
        return Parts(
            name=self._config.node,
            report=self._report,
            flows=self._hub if self._objects is not None else None,
            moves=MoveService(self._tracker, self._source),
            probes=Prober(self._config.node),
        )

    async def _report(self) -> dict[str, Any]:
        observed = await self._node.observe(REPORT_FRESH_SECONDS)
        await self._ports.refresh()
        adopted, changes = self._first or (self._ports.adopted, 0)
        view = AgentView(self._config.mode, self._teller.seen, adopted, changes)
        return build(self._config.node, view, observed, self._node.trunk, self._ports.views(), self._teller.outcomes)
