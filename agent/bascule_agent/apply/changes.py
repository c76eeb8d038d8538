"""Commit-confirm: every change to a trunk runs beside the dead-man process, and stays only when the probes say so.

The order: look (what works now) → ask ahead on the trunk that is to come → arm the dead-man → the steps → look again
until what worked works again, at most PROBE_SECONDS → confirm, or take back. A change that failed is remembered with
the version of the Network that brought it (apply/accepted.py), and the node goes on with the version before.

Only Bascule's own change is ever taken back. What breaks without a change of ours is told (health.py), not touched.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bascule.errors import BasculeError, UsageError
from bascule.hostplan.desired import Desired
from bascule.hostplan.observed import Observed
from bascule.hostplan.steps import Step
from bascule.resources.network import Network
from bascule.trunks import change as c
from bascule.trunks.change import Change, Wish
from bascule.trunks.questions import Question
from bascule_agent.apply.accepted import Accepted
from bascule_agent.apply.announce import Place, announce
from bascule_agent.apply.checks import Checks, Look, ways_now, ways_to_be
from bascule_agent.apply.guard import Guard
from bascule_agent.apply.steps import Outcome, carry_out, network_of, owners
from bascule_agent.apply.undo import Record, roll_back
from bascule_agent.apply.worker import Worker
from bascule_agent.errors import AgentError

log = logging.getLogger("bascule_agent")

PROBE_SECONDS = 2.0
LOOK_EVERY = 0.1
MARGIN_SECONDS = 0.5
TAKE_OVER_SECONDS = 60.0
HOLD_SECONDS = 30.0
RETRY_SECONDS = 3.0
PROOF_FAILED, ROLLED_BACK = "ProofFailed", "RolledBack"
Obj = dict[str, Any]


@dataclass(frozen=True)
class Attempt:
    """What a pass wants to do. `documents` are the cluster's Networks, `questions` the VLANs to ask."""

    documents: Sequence[Obj]
    labels: Mapping[str, str]
    desired: Desired
    observed: Observed
    steps: tuple[Step, ...]
    questions: tuple[Question, ...]


class Changes:
    """The changes of one node, one at a time; owned by the event loop. `directory` holds record and versions."""

    def __init__(
        self,
        worker: Worker,
        checks: Checks,
        execute: Callable[[Step], None],
        directory: Path,
        pins: Path,
        on_end: Callable[[], None] = lambda: None,
        places: Callable[[], list[Place]] = list,
    ) -> None:
        self._worker, self._checks, self._execute, self._places = worker, checks, execute, places
        self._record = directory / "change.lock"
        self._guard = Guard(self._record, pins)
        self._on_end = on_end
        self.accepted = Accepted(directory / "networks.json")
        self.last: Change | None = None
        self._held: tuple[tuple[Step, ...], float] = ((), 0.0)
        self._word: asyncio.Future[str] | None = None
        self._waiting: asyncio.Task[None] | None = None
        self._saying: asyncio.Task[None] | None = None

    @property
    def open(self) -> bool:
        """Is a change not decided yet? Then nothing else is planned."""
        return self.last is not None and self.last.pending

    async def settle(self) -> None:
        """At start: wait for a change that another process still holds; take over one that nobody does."""
        problems = await self._worker(self._take_over)
        for problem in problems:
            log.error("taking over a change: %s", problem)

    def _take_over(self) -> list[str]:
        record = Record(self._record)
        try:
            record.lock(TAKE_OVER_SECONDS)
            steps = record.read()
            if not steps:
                return []
            log.warning("a change of %d steps was left undecided: taking it back", len(steps))
            problems = roll_back(steps, self._execute)
            announce(self._places())
            record.write([])
            return problems
        finally:
            record.close()

    async def prepare(self) -> None:
        """Have a dead-man process ready, so that the first change does not wait for one."""
        await self._worker(self._guard.start)

    async def close(self) -> None:
        """End: a change that waits for a word is taken back by the dead-man."""
        if self._waiting is not None:
            self._waiting.cancel()
        await self._worker(self._guard.close)

    async def carry_out(self, attempt: Attempt) -> Outcome:
        """Do the steps of an attempt, or refuse them, or take them back; which it was is in the outcome's `failed` and
        in `last`."""
        if not attempt.steps or self.open:
            return Outcome()
        if self._is_held(attempt.steps):
            return self._failed(attempt)
        fresh = self.accepted.fresh(attempt.documents, attempt.labels)
        wish = next((wish for wish in map(Wish.of, fresh) if wish.id), Wish())
        before = await self._worker(self._checks.look, attempt.questions)
        now, to_be = ways_now(attempt.observed), ways_to_be(attempt.desired)
        why = await self._worker(self._checks.ahead, before, now, to_be, attempt.questions)
        change = self.last = _change(wish, fresh, attempt)
        if why:
            self._refuse(change, fresh, attempt, PROOF_FAILED, c.REFUSED, f"not applied: {why}")
            return self._failed(attempt)
        try:
            await self._worker(self._guard.arm, attempt.steps, wish.seconds, await self._worker(self._places))
        except BasculeError as error:
            self._end(change, c.REFUSED, f"not applied: no dead-man process: {error}")
            raise
        outcome = await carry_out(attempt.steps, owners(attempt.desired, attempt.observed), self._do)
        await self._announce()
        worse = await self._settled(before, attempt.questions, change)
        if worse:
            await self._take_back(change, fresh, attempt, "; ".join(sorted(worse.values())))
            return self._failed(attempt)
        if wish.manual and fresh:
            change.state = c.WAITING
            self._word = asyncio.get_running_loop().create_future()
            self._waiting = asyncio.create_task(self._wait(change, fresh, attempt))
        else:
            await self._confirm(change)
        return outcome

    async def _do(self, step: Step) -> None:
        await self._worker(self._execute, step)

    async def _announce(self) -> None:
        """Tell the switches which way the VMs here are now; it takes a moment, and nothing waits for it."""
        where = await self._worker(self._places)
        self._saying = asyncio.create_task(asyncio.to_thread(announce, where))

    async def _settled(self, before: Look, questions: tuple[Question, ...], change: Change) -> dict[str, str]:
        """What worked before and does not now, once nothing of the kind is left or PROBE_SECONDS have passed."""
        deadline = time.monotonic() + PROBE_SECONDS
        while True:
            look = await self._worker(self._checks.look, questions, 1, before)
            worse = look.worse_than(before)
            change.checks = {name: look.said[name] for name in sorted(look.said) if name in before.passed}
            if not worse or time.monotonic() > deadline:
                return worse
            await asyncio.sleep(LOOK_EVERY)

    async def _confirm(self, change: Change) -> None:
        if await self._worker(self._guard.confirm):
            self._end(change, c.CONFIRMED, "")
        else:
            self._end(change, c.ROLLED_BACK, "the timer ran out before it was confirmed")

    async def _wait(self, change: Change, fresh: list[Network], attempt: Attempt) -> None:
        """For the operator's word; without one the change goes back a little before the dead-man would do it."""
        left = change.deadline_ns / 1e9 - time.time() - MARGIN_SECONDS
        assert self._word is not None
        try:
            word = await asyncio.wait_for(self._word, max(left, 0.0))
        except TimeoutError:
            word = "nobody confirmed it in time"
        if word:
            await self._take_back(change, fresh, attempt, word)
        else:
            await self._confirm(change)
        self._on_end()

    def answer(self, identity: str, keep: bool, who: str) -> Change:
        """The operator's word about the change that waits. Raises UsageError when none of that id does."""
        change, word = self.last, self._word
        if change is None or change.state != c.WAITING or identity not in (change.id, "") or word is None:
            state = f"change {change.id} is {change.state}" if change else "there is no change"
            raise UsageError(f"no change {identity} waits for a word on this node", state)
        if not word.done():
            word.set_result("" if keep else f"{who} took it back")
        return change

    async def _take_back(self, change: Change, fresh: list[Network], attempt: Attempt, why: str) -> None:
        try:
            _, problems = await self._worker(self._guard.rollback)
        except BasculeError as error:
            log.error("%s: this process takes the change back", error)
            problems = await self._worker(roll_back, attempt.steps, self._execute)
            await self._announce()
        if problems:
            why = f"{why}; not everything could be taken back: {'; '.join(problems)}"
        self._refuse(change, fresh, attempt, ROLLED_BACK, c.ROLLED_BACK, f"taken back: {why}")

    def _refuse(
        self, change: Change, fresh: list[Network], attempt: Attempt, reason: str, state: str, why: str
    ) -> None:
        if fresh:
            self.accepted.refuse(fresh, attempt.labels, reason, why)
        hold = RETRY_SECONDS if reason == PROOF_FAILED else HOLD_SECONDS
        self._held = (attempt.steps, time.monotonic() + hold)
        self._end(change, state, why)

    def retry(self) -> None:
        """Asking ahead changes nothing, so a change that was refused by it is tried again: the switch may follow."""
        if time.monotonic() >= self._held[1]:
            for name in self.accepted.refusals(PROOF_FAILED):
                self.accepted.forgive(name, PROOF_FAILED)

    def _failed(self, attempt: Attempt) -> Outcome:
        """The outcome of an attempt that came to nothing, for each Network that wanted a step."""
        owned = owners(attempt.desired, attempt.observed)
        error = AgentError(self.last.why if self.last else "")
        outcome = Outcome()
        for step in attempt.steps:
            outcome.failed.setdefault(network_of(step, owned), (step, error))
        return outcome

    def _is_held(self, steps: tuple[Step, ...]) -> bool:
        """The very steps that were taken back a moment ago: not again at once."""
        return self._held[0] == steps and time.monotonic() < self._held[1]

    def _end(self, change: Change, state: str, why: str) -> None:
        change.state, change.why, change.ended_ns = state, why, time.time_ns()
        (log.info if state == c.CONFIRMED else log.error)("change %s %s %s", change.id, state, why)


def _change(wish: Wish, fresh: list[Network], attempt: Attempt) -> Change:
    now = time.time_ns()
    return Change(
        id=wish.id or secrets.token_hex(4),
        networks=tuple(network.name for network in fresh),
        steps=tuple(str(step) for step in attempt.steps),
        started_ns=now,
        deadline_ns=now + int(wish.seconds * 1e9),
        manual=wish.manual,
    )
