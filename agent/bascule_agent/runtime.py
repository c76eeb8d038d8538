"""`bascule-agent run`: put the parts together, keep them running, stop without touching the data plane."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bascule.hostplan.outcome import NetworkOutcome
from bascule.resources.meta import Meta
from bascule.resources.network import Network
from bascule.trunks.health import Fault, merge, observed_only
from bascule_agent.apply.asking import Asking
from bascule_agent.apply.changes import Changes
from bascule_agent.apply.checks import Checks, ways_now
from bascule_agent.apply.drops import NodeDrops
from bascule_agent.apply.events import PortEvents
from bascule_agent.apply.host import Host
from bascule_agent.apply.lock import node_lock
from bascule_agent.apply.loop import Loop
from bascule_agent.apply.moving import MoveFeed
from bascule_agent.apply.node import Node, Pass, trunk_of
from bascule_agent.apply.pins import open_pins, remove_others
from bascule_agent.apply.places import Places
from bascule_agent.apply.ports import Ports
from bascule_agent.apply.tell import Teller
from bascule_agent.apply.trunks import Trunks
from bascule_agent.apply.worker import Worker
from bascule_agent.bpf.objects import Objects
from bascule_agent.drift.baseline import Baseline
from bascule_agent.drift.look import Drift
from bascule_agent.drift.wire import Wire
from bascule_agent.errors import describe
from bascule_agent.flows.collect import Collector
from bascule_agent.flows.count import Counting, open_counter, sweep, unjudged
from bascule_agent.flows.hub import Drain, Hub
from bascule_agent.flows.recorder import Recorder
from bascule_agent.memory import give_back
from bascule_agent.moves import AgentClient, Extras, FdbLog, FdbView, MoveService, MoveTracker, SourceTracker
from bascule_agent.moves.handover import Handovers, Target
from bascule_agent.netlink import FdbEvent, LinkEvent, Monitor
from bascule_agent.netlink.monitor import Event
from bascule_agent.policy.policies import Policies
from bascule_agent.policy.serve import PolicyService
from bascule_agent.policy.watch import PolicyWatch
from bascule_agent.probes import Prober
from bascule_agent.report import AgentView, build
from bascule_agent.server.auth import Gate
from bascule_agent.server.listen import listen
from bascule_agent.server.service import Parts, Service
from bascule_agent.status import Reporter
from bascule_agent.watch import Known, Watch
from bascule_kube.cluster import Cluster
from bascule_kube.kinds import NAD, NODE, VMI, VMIM

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
    count_flows: bool = False


def run(config: Config) -> int:
    """Until SIGTERM or SIGINT, then 0; 1 when a part of the agent died. Detaches nothing."""
    give_back()
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
    counter = (
        await worker(open_counter, config.pin_root / config.node) if config.count_flows and objects is None else None
    )
    async with await Cluster.open(config.kubeconfig) as cluster:
        agent = Agent(config, cluster, worker, objects, stop, counter)
        await agent.run()
    worker.close()
    for each in (objects, counter):
        if each is not None:
            each.close()
    log.info("stopped; everything stays attached")
    return 1 if agent.died else 0


class Agent:
    """One node's agent; everything but the Worker's calls runs on one event loop."""

    def __init__(
        self,
        config: Config,
        cluster: Cluster,
        worker: Worker,
        objects: Objects | None,
        stop: asyncio.Event,
        counter: Objects | None = None,
    ) -> None:
        self._config, self._cluster, self._objects, self._worker = config, cluster, objects, worker
        self._stop = stop
        self._host = Host(objects)
        self._counter = counter
        self._counting = Counting(self._host.netlink, counter) if counter else None
        self._policy_watch = PolicyWatch(
            cluster, config.node, lambda: self._watch.objects(VMI), lambda: self._watch.objects(NAD)
        )
        self._policies = self._make_policies()
        self._ports = Ports(config.node, self._host, worker, self._policies)
        self._teller = Teller(Reporter(cluster, config.node), config.mode)
        self._loop = Loop(self._pass)
        client = AgentClient(cluster.bearer_token)
        self._tracker = MoveTracker(
            config.node,
            config.socket.absolute().parent / "moves",
            client,
            lambda: self._watch.vantage_points(),
            lambda name: cluster.get(NODE, name),
            extras=Extras(
                lambda: cluster.list(NODE), lambda nic: self._places.fabric(nic), lambda *of: self._view(*of)
            ),
        )
        self._source = SourceTracker(config.node)
        self._handovers = self._make_handovers(client)
        listeners = {VMIM: self._vmim_changed, VMI: self._vmi_changed, NAD: self._nad_changed}
        self._watch = Watch(cluster, config.node, self._loop.poke, listeners)
        self._asking = Asking(config.node, self._watch)
        self._changes = self._make_changes()
        self._node = Node(
            config.node, self._host, worker, self._ports, objects is not None, self._changes, self._asking
        )
        self._places = Places(self._watch.known, lambda: self._node.observed, objects is not None)
        self._fdb = FdbLog()
        self._fdb_view = FdbView(self._fdb, self._host.netlink.fdb, lambda: self._node.observed)
        self._feed = MoveFeed(
            self._ports,
            self._tracker,
            self._source,
            self._watch.migration_of,
            self._handovers.opened if self._handovers else lambda uid: None,
        )
        self._collector: Collector | None = None
        self._drops = self._make_drops()
        self._hub = Hub(node=config.node)
        self._recorder = Recorder(config.socket.absolute().parent / "flows.sqlite", config.node)
        self._drift = Drift(config.node, self._host)
        self._wire = Wire(config.node, self._host.netlink.find, self._publish)
        self._baseline = Baseline(self._host.netlink)
        self._drifted: list[Fault] = []
        self._outcomes: tuple[NetworkOutcome, ...] = ()
        self._intent: object = None
        self._told: set[tuple[str, str]] = set()
        self._trunks = Trunks(config.node, self._node, self._watch, self._ports, self._asking, self._changes, self._hub)
        self._tasks: list[asyncio.Task[None]] = []
        self._first: tuple[int, int] | None = None
        self._cleaned = False
        self.died = False

    def _make_policies(self) -> Policies | None:
        """Policy, where this agent is the data plane."""
        if self._objects is None:
            return None
        path = self._config.socket.absolute().parent / "policy.json"
        return Policies(
            self._objects,
            self._policy_watch,
            path,
            lambda reason, message: self._teller.event(reason, message),
            lambda: self._loop.poke(),
        )

    def _make_drops(self) -> NodeDrops | None:
        """What links drop, where flows are counted."""
        if self._objects is None and self._counter is None:
            return None
        return NodeDrops(
            self._config.pin_root / f"{self._config.node}_drops",
            self._objects,
            lambda: self._node.observed,
            lambda: self._node.trunk,
            lambda: (port.ifindex for port in self._ports.ids()),
        )

    def _make_handovers(self, client: AgentClient) -> Handovers | None:
        if self._policies is None:
            return None
        return Handovers(
            self._config.node,
            client.handover,
            self._policies,
            lambda uid: [Target(known.nic, known.ifindex) for known in self._ports.of_migration(uid)],
            lambda name: self._cluster.get(NODE, name),
            self._tracker.handed_over,
        )

    def _vmim_changed(self, document: dict[str, Any]) -> None:
        self._tracker.vmim_changed(document)
        if self._handovers is not None:
            self._handovers.vmim_changed(document)

    def _vmi_changed(self, document: dict[str, Any]) -> None:
        """A VMI names its pods' NICs and their ports."""
        self._tracker.vmi_changed(document)
        self._policy_watch.instance_changed(document)

    def _nad_changed(self, document: dict[str, Any]) -> None:
        self._policy_watch.all_changed()

    def _make_changes(self) -> Changes | None:
        """Commit-confirm, where this agent changes anything at all."""
        if self._objects is None:
            return None
        checks = Checks(self._config.node, self._host, self._cluster.server)
        directory = self._config.socket.absolute().parent
        pins, end = self._objects.pin_dir, self._loop.poke
        return Changes(self._worker, checks, self._host.execute, directory, pins, end, self._host.places)

    async def run(self) -> None:
        """Serve, watch, act, until told to stop."""
        listener = await listen(
            Service(self._parts(), Gate(self._config.node, self._cluster.create)), self._config.socket
        )
        self._teller.target = listener.target
        monitor = Monitor()
        monitor.start(asyncio.get_running_loop(), self._moved)
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

    def _moved(self, event: Event) -> None:
        """A netlink event: a pass looks at what it means, and a trunk's link is asked at once."""
        if isinstance(event, FdbEvent):
            link = self._node.observed.by_index.get(event.entry.index)
            self._fdb.note(event.entry, event.gone, time.time_ns(), link.name if link else "")
        elif isinstance(event, LinkEvent) and event.gone:
            self._feed.link_gone(event.link.index, time.time_ns())
        if self._drift.note(event):
            self._loop.poke()
            self._wire.link_changed()

    async def _view(self, mac: str, network: str, vlan: int) -> dict[str, Any]:
        return await self._worker(self._fdb_view.look, mac, network, vlan)

    def _kernel_side(self) -> tuple[PortEvents | None, Collector | None]:
        """Port events and flow drains start at once: they do not need the cluster."""
        if self._drops is not None:
            self._start(self._drops.start(), "link drops")
        if self._objects is None:
            if self._counter is not None:
                self._start(self._count(self._counter), "flows")
            return None, None
        events = PortEvents(self._objects, self._host, self._worker, self._ports, self._feed, self._teller)
        events.start()
        collector = self._collector = Collector(
            self._objects, self._hub, self._ports.ids, self._drained, drops=self._drops
        )
        if self._policies is not None:
            self._policies.start_logs()
            self._start(self._policies.keep(), "policy hits")
        self._start(collector.run(), "flows")
        return events, collector

    async def _count(self, counter: Objects) -> None:
        """Mode observe with --count-flows: until the end, then everything that was attached comes off."""
        swap = unjudged(self._ports.ids)
        collector = Collector(counter, self._hub, self._ports.ids, self._recorder.record, swap, self._drops)
        draining = asyncio.create_task(collector.run())
        await self._stop.wait()
        collector.stop()
        await draining
        if self._counting is not None:
            await self._worker(self._counting.close)

    def _drained(self, drain: Drain) -> None:
        """After the viewers: moves look at it, and it goes into the history."""
        self._feed.drained(drain)
        if self._policies is not None:
            self._policies.count(drain.records)
        self._recorder.record(drain)

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
        if self._objects is None:
            await self._worker(sweep, self._host.netlink)
        if self._changes is not None:
            await self._changes.settle()
            await self._changes.prepare()
        await self._ports.adopt()
        await self._watch.start()
        if self._policies is not None:
            self._start(self._policies.run(), "policy")
        self._start(self._loop.run(), "passes")
        self._start(self._wire.run(), "wire")
        self._loop.poke()

    async def _finish(self) -> None:
        flows = [task for task in self._tasks if task.get_name() == "flows"]
        await asyncio.gather(*flows)
        if self._drops is not None:
            self._drops.close()
        await asyncio.to_thread(self._recorder.close)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._watch.stop()
        if self._handovers is not None:
            await self._handovers.close()
        if self._policies is not None:
            await self._policies.close()
        await self._tracker.close()
        if self._changes is not None:
            await self._changes.close()
        await self._worker(self._host.close)

    async def _pass(self) -> bool:
        known = self._watch.known()
        for nic in known.nics:
            self._tracker.nic_discovered(nic)
        moved = self._drift.take()
        done = await self._node.once(known)
        if self._first is None:
            self._first = (self._ports.adopted, done.steps + done.ports)
            log.info("adopted %d ports, %d changes", *self._first)
        wrong = await self._look(known, done, moved)
        self._outcomes = done.outcomes if self._changes else tuple(map(observed_only, done.outcomes))
        self._publish()
        if wrong:
            self._loop.poke()
        if done.again:
            self._loop.poke()
        elif done.complete and self._objects is not None and not self._cleaned:
            self._cleaned = True
            await self._worker(remove_others, self._objects.pin_dir)
        return done.complete

    async def _look(self, known: Known, done: Pass, moved: set[int] | None) -> list[int]:
        """Drift since the pass before: what was repaired without a wish, and ports to bring up again."""
        observed = self._node.observed
        labels = Meta.of(known.node).labels
        if self._changes is None:
            trunks = {
                name: trunk
                for network in known.networks
                if (name := Meta.of(network).name) and (trunk := trunk_of([Network.of(network)], labels))
            }
            self._drifted = await self._worker(self._baseline.look, observed, trunks)
            if self._counting is not None:
                here = {view.ifindex for view in self._ports.views()} & observed.by_index.keys()
                await self._worker(self._counting.use, here)
            return []
        intent = (known.nics, [(Meta.of(d).name, d["metadata"].get("resourceVersion")) for d in known.networks])
        if intent == self._intent:
            self._drift.by_steps(done.done, self._node.owned)
        self._intent = intent if done.complete else None
        wrong = await self._worker(self._drift.look, observed, moved)
        for ifindex in wrong:
            self._ports.suspect(ifindex)
        networks = self._changes.accepted.effective(known.networks, labels)
        ways = ways_now(observed)
        if not self._changes.open:
            self._wire.use(self._asking.questions(networks, labels, ways), ways)
        return wrong

    def _publish(self) -> None:
        """Tell the pass's outcomes with what is wrong outside, now."""
        faults = self._faults()
        told = {(fault.reason, f"{fault.network}: {fault.message}") for fault in faults}
        for reason, message in sorted(told - self._told):
            self._teller.event(reason, message)
        self._told = told
        self._teller.told(self._watch.known(), merge(self._outcomes, faults), {fault.reason for fault in faults})

    def _faults(self) -> list[Fault]:
        return [*self._wire.faults, *self._drifted, *self._drift.faults()]

    def _parts(self) -> Parts:
        return Parts(
            name=self._config.node,
            report=self._report,
            flows=self._hub if self._objects or self._counter else None,
            history=self._recorder if self._objects or self._counter else None,
            moves=MoveService(self._tracker, self._source, self._view),
            probes=Prober(self._config.node, way=self._places.into),
            trunks=self._trunks,
            policies=self._policy_service(),
        )

    def _policy_service(self) -> PolicyService | None:
        if self._policies is None:
            return None
        return PolicyService(self._policies, self._ports.ids, self._drain)

    async def _drain(self) -> None:
        if self._collector is not None:
            await self._collector.drain()

    async def _report(self) -> dict[str, Any]:
        observed = await self._node.observe(REPORT_FRESH_SECONDS)
        await self._ports.refresh()
        adopted, changes = self._first or (self._ports.adopted, 0)
        view = AgentView(self._config.mode, self._teller.seen, adopted, changes)
        ports, outcomes = self._ports.views(), self._teller.outcomes
        findings = [fault.as_finding(self._config.node) for fault in self._faults()]
        trial = self._trunks.change()
        drops = self._drops.last if self._drops else None
        return build(self._config.node, view, observed, self._node.trunk, ports, outcomes, trial, findings, drops)
