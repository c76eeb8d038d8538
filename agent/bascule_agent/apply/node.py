"""One pass over the node: observe, plan, carry out, ports, and what to say about each Network."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from bascule.errors import BasculeError
from bascule.hostplan import vlan_aware
from bascule.hostplan.desired import Desired, desire, needs_of
from bascule.hostplan.observed import Observed
from bascule.hostplan.outcome import NetworkOutcome
from bascule.hostplan.owned import Owned
from bascule.hostplan.plan import plan
from bascule.hostplan.steps import Step
from bascule.resources.meta import Meta
from bascule.resources.network import Network
from bascule.selectors import SelectorError
from bascule_agent.apply.asking import Asking
from bascule_agent.apply.changes import PROOF_FAILED, Attempt, Changes
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
    done: tuple[Step, ...]
    ports: int
    complete: bool
    again: bool

    @property
    def steps(self) -> int:
        """How many steps were done."""
        return len(self.done)


class Node:
    """The node's state as the passes see it; one pass at a time."""

    def __init__(
        self,
        name: str,
        host: Host,
        worker: Worker,
        ports: Ports,
        manage: bool,
        changes: Changes | None = None,
        asking: Asking | None = None,
    ) -> None:
        self._name, self._host, self._worker, self._ports, self._manage = name, host, worker, ports, manage
        self._changes, self._asking = changes, asking
        self.observed = Observed()
        self.observed_at = 0.0
        self.trunk = ""
        self.owned: dict[str, str] = {}

    async def observe(self, younger_than: float = 0.0) -> Observed:
        """What is there now, or what was there at most that many seconds ago."""
        if not self.observed_at or time.monotonic() - self.observed_at > younger_than:
            self.observed = await self._worker(self._host.observe)
            self.observed_at = time.monotonic()
        return self.observed

    async def once(self, known: Known) -> Pass:
        """One pass. Errors of steps and ports are in the outcomes; netlink or cluster trouble is raised."""
        observed = await self.observe()
        if self._changes is not None:
            self._changes.retry()
        desired, steps = self.plan(known, observed)
        self.owned = owners(desired, observed)
        done = await self._carry_out(known, desired, steps, observed)
        if steps and self._manage:
            observed = await self.observe()
        bridges = {key: link.index for key, link in Owned.of(observed).bridges.items()}
        bridges |= vlan_aware.bridges_by_vlan(desired.bridges, observed)
        held = frozenset(
            key_of(nic) for nic in known.nics if nic.migration_uid and nic.migration_uid not in known.ended_migrations
        )
        ports = await self._ports.reconcile(known.nics, observed, bridges, held)
        outcomes = judge(desired.outcomes, done, ports.failed)
        if self._changes is not None:
            outcomes = self._version(known, outcomes)
        return Pass(
            outcomes=outcomes,
            done=tuple(done.done),
            ports=ports.changes,
            complete=not (done.failed or ports.failed or ports.waiting or self._untold()) or not self._manage,
            again=ports.changes > 0,
        )

    async def _carry_out(self, known: Known, desired: Desired, steps: tuple[Step, ...], observed: Observed) -> Outcome:
        if not self._manage or not steps:
            return Outcome()
        if self._changes is None or self._asking is None:
            return await carry_out(steps, owners(desired, observed), self._execute)
        labels = Meta.of(known.node).labels
        networks = self._changes.accepted.effective(known.networks, labels)
        ports = {(nic.network, nic.vlan) for nic in known.nics}
        asked = self._asking.questions(networks, labels, ports)
        return await self._changes.carry_out(Attempt(known.networks, labels, desired, observed, steps, asked))

    def _version(self, known: Known, outcomes: tuple[NetworkOutcome, ...]) -> tuple[NetworkOutcome, ...]:
        """What came true is the version to go on with; what was refused is told instead of the one before it."""
        assert self._changes is not None
        labels = Meta.of(known.node).labels
        if not self._changes.open:
            ready = frozenset(outcome.network for outcome in outcomes if outcome.ok)
            self._changes.accepted.accept(known.networks, labels, ready)
        return self._changes.accepted.judge(outcomes, known.networks, labels)

    def _untold(self) -> bool:
        """Is there a refusal that is tried again?"""
        return self._changes is not None and bool(self._changes.accepted.refusals(PROOF_FAILED))

    def plan(self, known: Known, observed: Observed) -> tuple[Desired, tuple[Step, ...]]:
        """What this node should look like and the steps that lead there. Changes nothing."""
        labels = Meta.of(known.node).labels
        if self._changes is not None:
            networks = self._changes.accepted.effective(known.networks, labels)
        else:
            networks = [Network.of(document) for document in known.networks]
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
