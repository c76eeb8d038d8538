"""One pass over the node: observe, plan, carry out, ports, and what to say about each Network."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from bascule.errors import BasculeError
from bascule.hostplan.desired import Desired, desire, needs_of
from bascule.hostplan.observed import Observed
from bascule.hostplan.outcome import NetworkOutcome
from bascule.hostplan.owned import Owned
from bascule.hostplan.plan import plan
from bascule.hostplan.steps import Step
from bascule.resources.meta import Meta
from bascule.resources.network import Network
from bascule.selectors import SelectorError
from bascule_agent.apply.host import Host
from bascule_agent.apply.ports import Known as KnownPort
from bascule_agent.apply.ports import Ports, key_of
from bascule_agent.apply.steps import Outcome, carry_out, owners
from bascule_agent.apply.worker import Worker
from bascule_agent.watch import Known

log = logging.getLogger("bascule_agent")


@dataclass(frozen=True)
class Pass:
    """What one pass did. `complete`: nothing is left to do; `again`: look once more at once (a port went, its bridge
    may go too)."""

    outcomes: tuple[NetworkOutcome, ...]
    steps: int
    ports: int
    complete: bool
    again: bool


class Node:
    """The node's state as the passes see it; one pass at a time."""

    def __init__(self, name: str, host: Host, worker: Worker, ports: Ports, manage: bool) -> None:
        self._name, self._host, self._worker, self._ports, self._manage = name, host, worker, ports, manage
        self.observed = Observed()
        self.observed_at = 0.0
        self.trunk = ""

    async def observe(self, younger_than: float = 0.0) -> Observed:
        """What is there now, or what was there at most that many seconds ago."""
        if not self.observed_at or time.monotonic() - self.observed_at > younger_than:
            self.observed = await self._worker(self._host.observe)
            self.observed_at = time.monotonic()
        return self.observed

    async def once(self, known: Known) -> Pass:
        """One pass. Errors of steps and ports are in the outcomes; netlink or cluster trouble is raised."""
        observed = await self.observe()
        desired, steps = self.plan(known, observed)
        done = Outcome()
        if self._manage:
            done = await carry_out(steps, owners(desired, observed), self._execute)
        if done.done:
            observed = await self.observe()
        bridges = {key: link.index for key, link in Owned.of(observed).bridges.items()}
        held = frozenset(
            key_of(nic) for nic in known.nics if nic.migration_uid and nic.migration_uid not in known.ended_migrations
        )
        ports = await self._ports.reconcile(known.nics, observed, bridges, held)
        return Pass(
            outcomes=judge(desired.outcomes, done, ports.failed),
            steps=len(done.done),
            ports=ports.changes,
            complete=not (done.failed or ports.failed or ports.waiting) or not self._manage,
            again=ports.changes > 0,
        )

    def plan(self, known: Known, observed: Observed) -> tuple[Desired, tuple[Step, ...]]:
        """What this node should look like and the steps that lead there. Changes nothing."""
        networks = [Network.of(document) for document in known.networks]
        labels = Meta.of(known.node).labels
        self.trunk = trunk_of(networks, labels)
        desired = desire(networks, self._name, labels, needs_of(known.nics), observed)
        return desired, plan(desired, observed)

    async def _execute(self, step: Step) -> None:
        await self._worker(self._host.execute, step)


def trunk_of(networks: list[Network], labels: Mapping[str, str]) -> str:
    """The trunk of the first Network that selects this node and has one, "" for none."""
    for network in sorted(networks, key=lambda n: n.name):
        try:
            config = network.config_for(labels)
        except SelectorError:
            continue
        if config and config.trunk:
            return config.trunk.interface
    return ""


def judge(
    outcomes: tuple[NetworkOutcome, ...], done: Outcome, failed: tuple[KnownPort, ...]
) -> tuple[NetworkOutcome, ...]:
    """The plan's outcomes, worse where a step or a port failed; the worst is told, the first of its kind."""
    ports: dict[str, KnownPort] = {}
    for port in failed:
        ports.setdefault(port.nic.network, port)
    judged = []
    for outcome in outcomes:
        name = outcome.network
        if not outcome.ok:
            judged.append(outcome)
        elif name in done.failed:
            step, error = done.failed[name]
            judged.append(NetworkOutcome.refuse(name, "StepFailed", _why(str(step), error)))
        elif name in ports:
            port = ports[name]
            what = f"port {port.link} of VM {port.nic.namespace}/{port.nic.vm} stays down"
            judged.append(NetworkOutcome.refuse(name, "PortFailed", f"{what}: {port.reason}"))
        else:
            judged.append(outcome)
    return tuple(judged)


def _why(what: str, error: BasculeError) -> str:
    parts = [error.message if what in error.message else f"{what}: {error.message}", error.cause, error.fix]
    return "; ".join(part for part in parts if part)
