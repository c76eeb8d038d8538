"""The lab's one long-running process: fabric, nodes, API server, stand-ins; it starts the agents and the guests.

Up is a list of stages with a line each in the status file, so that `lab up` can narrate. Down, on SIGTERM or after a
stage failed, is the same list backwards; what a crash leaves is machine.cleanup's.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from bascule.errors import BasculeError
from bascule_kube import Cluster
from bascule_kube.kinds import VMI
from bascule_lab import machine, seeds
from bascule_lab.agents import AgentProcess, AgentSpec
from bascule_lab.config import LabConfig
from bascule_lab.controlplane import ControlPlane
from bascule_lab.fabric.fabric import Fabric
from bascule_lab.guests import template
from bascule_lab.guests.guest import Guest
from bascule_lab.guests.plumbing import PodPort
from bascule_lab.guests.real import QemuGuest
from bascule_lab.guests.spec import GuestSpec
from bascule_lab.guests.template import Template
from bascule_lab.places import write_json
from bascule_lab.standins.manager import Manager
from bascule_lab.status import LabStatus

log = logging.getLogger(__name__)
GUESTS_TIMEOUT_S = 120.0
STATUS_S = 0.3
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "dc1.yaml"


@dataclass(frozen=True)
class Options:
    """What `lab up` was asked for; `guests` None means all of the example's VMs."""

    nodes: int
    guests: int | None
    empty: bool
    stand_in_guests: bool


class Lab:
    """Brings the lab up stage by stage into an exit stack, which takes it down again."""

    def __init__(self, config: LabConfig, options: Options) -> None:
        self._config = config
        self._options = options
        self._nodes = tuple(f"node{n}" for n in range(1, options.nodes + 1))
        self._agents: dict[str, AgentProcess] = {}
        self._template: Template | None = None
        self._manager: Manager | None = None
        self._started = time.monotonic()
        self.status = LabStatus(config, self._nodes)

    async def run(self, stop: asyncio.Event) -> None:
        """Bring it up, keep the status file true until `stop`, take it down."""
        async with AsyncExitStack() as stack:
            await self._up(stack)
            self.status.state = "up"
            self._say("up")
            while not stop.is_set():
                self._write()
                try:
                    await asyncio.wait_for(stop.wait(), STATUS_S)
                except TimeoutError:
                    continue
            self.status.state = "going down"
            self._write()

    def _say(self, line: str) -> None:
        log.info("%s", line)
        self.status.progress.append(f"{time.monotonic() - self._started:6.1f} s  {line}")
        self._write()

    def _write(self) -> None:
        launches = self._manager.kubelet.launches() if self._manager else []
        write_json(self._config.state / "lab.json", self.status.document(self._agents, launches))

    async def _up(self, stack: AsyncExitStack) -> None:
        machine.prepare(self._config)
        self._say("building the fabric and the nodes")
        fabric = Fabric(self._config, self._nodes)
        ready = asyncio.create_task(self._guest_template())
        stack.push_async_callback(fabric.stop)
        await fabric.start()
        cluster = await self._api(stack)
        self._start_agents(stack)
        self._template = await ready
        self._manager = Manager(cluster, self._config, self._make_guest)
        stack.push_async_callback(self._manager.stop)
        await self._manager.start()
        if not self._options.empty:
            await self._apply_example(cluster)

    async def _guest_template(self) -> Template | None:
        if self._options.stand_in_guests:
            return None
        self._say("guest template (booted once, then cached)")
        return await template.ensure()

    def _make_guest(self, spec: GuestSpec, port: PodPort) -> Guest:
        if self._options.stand_in_guests:
            from bascule_lab.guests.standin import StandInGuest

            return StandInGuest(self._config, spec, port)
        if self._template is None:
            raise BasculeError("the guest template is not ready", fix="see the supervisor's log")
        return QemuGuest(self._config, spec, port, self._template)

    async def _api(self, stack: AsyncExitStack) -> Cluster:
        """Start the API server and fill the new cluster."""
        self._say("starting the Kubernetes API")
        plane = ControlPlane(self._config, self._nodes)
        stack.push_async_callback(plane.stop)
        await plane.start()
        cluster = await Cluster.open(self._config.state / "kubeconfig")
        stack.push_async_callback(cluster.close)
        await seeds.plant(cluster, self._config, self._nodes)
        return cluster

    def _start_agents(self, stack: AsyncExitStack) -> None:
        self._say("starting the agents")
        state, bpf = self._config.state, str(self._config.bpffs)
        for name in self._nodes:
            place = state / "nodes" / name
            run = ("run", "--node", name, "--mode", "manage", "--pin-root", bpf)
            self._agent(stack, name, self._config.node(name), place, (*run, "--socket", str(place / "agent.sock")))
        place = state / "gateway"
        point = ("probe-point", "--name", "gateway", "--socket", str(place / "probe.sock"))
        self._agent(stack, "gateway", self._config.gateway, place, point)

    def _agent(self, stack: AsyncExitStack, name: str, netns: str, place: Path, arguments: tuple[str, ...]) -> None:
        more = ("--kubeconfig", str(place / "kubeconfig"))
        spec = AgentSpec(name, netns, place, (*arguments, *more), self._config.state / "logs" / f"agent-{name}.log")
        self._agents[name] = AgentProcess(spec)
        self._agents[name].start()
        stack.push_async_callback(self._agents[name].stop)

    async def _apply_example(self, cluster: Cluster) -> None:
        documents = seeds.example(EXAMPLE, self._options.guests)
        self._say(f"applying {EXAMPLE.name}")
        for document in documents:
            await cluster.apply(document)
        wanted = sum(d["kind"] == "VirtualMachine" for d in documents)
        deadline = time.monotonic() + GUESTS_TIMEOUT_S
        shown = -1
        while (running := self._running()) < wanted:
            if running != shown:
                self._say(f"guests {running} of {wanted}")
                shown = running
            if time.monotonic() > deadline:
                raise BasculeError(
                    f"only {running} of {wanted} guests run after {GUESTS_TIMEOUT_S:.0f} s",
                    fix=f"see {self._config.state}/logs",
                )
            await asyncio.sleep(0.1)
        self._say(f"guests {wanted} of {wanted}")

    def _running(self) -> int:
        found = self._manager.world.all(VMI) if self._manager else []
        return sum((vmi.get("status") or {}).get("phase") == "Running" for vmi in found)


def main(state: Path, options: str) -> int:
    """Run the supervisor until SIGTERM. Returns 1 when the lab did not come up."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    os.umask(0o077)
    lab = Lab(LabConfig(state=state), Options(**json.loads(options)))
    try:
        asyncio.run(_until_told(lab))
    except BasculeError as error:
        log.error("%s", error)
        return 1
    return 0


async def _until_told(lab: Lab) -> None:
    stop = asyncio.Event()
    task = asyncio.create_task(lab.run(stop))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, lambda: _end(lab, stop, task))
    try:
        await task
    except asyncio.CancelledError:
        log.info("stopped while coming up")


def _end(lab: Lab, stop: asyncio.Event, task: asyncio.Task[None]) -> None:
    stop.set()
    if lab.status.state == "coming up":
        task.cancel()
