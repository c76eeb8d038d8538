"""Tell the cluster, beside the passes: a slow or absent API server must not delay a port."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Set
from typing import Any

from bascule.errors import BasculeError
from bascule.hostplan.outcome import NetworkOutcome
from bascule.resources.node import AGENT_ANNOTATION
from bascule_agent.apply.loop import Loop
from bascule_agent.report import VERSION
from bascule_agent.status import LEASE_SECONDS, Reporter, annotation, merge_conditions, rfc3339
from bascule_agent.watch import Known

log = logging.getLogger("bascule_agent")

EVENTS_WAITING = 64


class Teller:
    """What is to be said, and the loop that says it until the cluster has heard it.

    `target` is set once the server listens. `seen` is the Lease's last renewal, "" before the first.
    """

    def __init__(self, reporter: Reporter, mode: str) -> None:
        self._reporter, self._mode = reporter, mode
        self._loop = Loop(self._tell)
        self._events: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._node: dict[str, Any] = {}
        self.outcomes: tuple[NetworkOutcome, ...] = ()
        self.target = ""
        self.seen = ""
        self._judges = mode == "manage"

    async def run(self) -> None:
        """For ever."""
        self._loop.poke()
        await self._loop.run()

    def told(self, known: Known, outcomes: tuple[NetworkOutcome, ...], faults: Set[str] = frozenset()) -> None:
        """A pass is done, or something outside changed: the outcomes (`faults`: reasons
        that have Events of their own), and the Node as the cluster has it. In mode
        observe conditions are written from the first fault on: before, another owner's Networks are not ours to judge.
        """
        self._judges = self._judges or bool(faults)
        before = {outcome.network: outcome for outcome in self.outcomes}
        for outcome in outcomes:
            if (
                not faults
                and not outcome.ok
                and outcome.reason != "NotSelected"
                and before.get(outcome.network) != outcome
            ):
                self.event(outcome.reason, outcome.message)
        for problem in known.broken:
            self.event("PodContract", str(problem))
        self.outcomes, self._node = outcomes, known.node
        self._loop.poke()

    def event(self, reason: str, message: str) -> None:
        """Something went wrong; the oldest unsaid ones go when the cluster cannot be told."""
        log.warning("%s: %s", reason, message)
        self._events[reason, message] = None
        while len(self._events) > EVENTS_WAITING:
            self._events.popitem(last=False)
        self._loop.poke()

    async def heartbeat(self) -> None:
        """Renew the Lease every five seconds, for ever."""
        while True:
            try:
                await self._reporter.renew()
                self.seen = rfc3339(time.time())
            except BasculeError as error:
                log.warning("the Lease cannot be renewed: %s", error)
            await asyncio.sleep(LEASE_SECONDS)

    async def _tell(self) -> bool:
        await self._annotate()
        if self._judges:
            conditions = (self._node.get("status") or {}).get("conditions") or []
            if self._node and merge_conditions(conditions, self.outcomes, rfc3339(time.time())) is not None:
                await self._reporter.conditions(self.outcomes)
        while self._events:
            reason, message = next(iter(self._events))
            await self._reporter.event(reason, message)
            self._events.pop((reason, message), None)
        return True

    async def _annotate(self) -> None:
        metadata = self._node.get("metadata") or {}
        value = annotation(self.target, self._mode, VERSION)
        if (metadata.get("annotations") or {}).get(AGENT_ANNOTATION) != value:
            await self._reporter.annotate(value)
