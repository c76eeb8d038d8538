"""One attach or detach from plan to end as a screen drives it: what stage it is in, and what there is to see of it.

It belongs to no screen: a change that has begun goes on when its screen is left, and ends as the nodes decide.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from bascule.errors import BasculeError, RefusedError
from bascule_console.services import apply, trunk_changes
from bascule_console.services.lookout import read_journal
from bascule_console.services.session import Session
from bascule_console.services.trunks import Order, Trial, plan
from bascule_console.store.topics import TRUNKS, Topics

PLANNING, PLANNED, SUBMITTING, FOLLOWING, WAITING, RESTORING, ENDED = (
    *("planning", "planned", "submitting", "following"),
    *("waiting", "restoring", "ended"),
)


class Run:
    """`error` is what stopped it; `deaf` are nodes that did not take the operator's word; every change of anything here
    touches the topic TRUNKS."""

    def __init__(self, order: Order, topics: Topics) -> None:
        self.order = order
        self.stage = PLANNING
        self.trial: Trial | None = None
        self.rehearsal: apply.Plan | None = None
        self.error: BasculeError | None = None
        self.deaf: dict[str, BasculeError] = {}
        self.restored = False
        self._topics = topics
        self._word: bool | None = None

    @property
    def ready(self) -> bool:
        """May it be applied?"""
        good = self.trial is not None and self.trial.refusal is None and self.error is None
        return self.stage == PLANNED and good and self.rehearsal is not None and self.rehearsal.ready

    @property
    def kept(self) -> bool:
        """Has it ended with every node as ordered?"""
        return self.stage == ENDED and self.error is None and self.trial is not None and not self.trial.failed

    @property
    def withdrawn(self) -> bool:
        """Did the operator take it back?"""
        return self._word is False

    def allow(self, node: str) -> None:
        """Somebody typed the name of a node whose management path is concerned: plan again with that."""
        names = (*self.order.confirmed_names, node)
        self.order = replace(self.order, confirmed_names=names)
        self.error, self.trial = None, None

    async def plan(self, session: Session) -> None:
        """Have every node plan and prove it, and the server try it. Nothing is changed."""
        self._at(PLANNING)
        try:
            self.trial = await plan(session.cluster, session.agents, self.order)
            self.rehearsal = await trunk_changes.rehearse(session.cluster, self.trial.after)
            self.error = self.trial.refusal
        except BasculeError as error:
            self.error = error
        self._at(PLANNED)

    async def apply(self, session: Session) -> None:
        """Make the change and follow it to its end; where a node does not keep it, the Network goes back for all."""
        assert self.trial is not None
        try:
            await self._apply(session, self.trial)
        except BasculeError as error:
            self.error = error
        self._at(ENDED)
        session.store.keep_journal(await asyncio.to_thread(read_journal, session.journal().path))

    async def _apply(self, session: Session, trial: Trial) -> None:
        cluster, agents, journal = session.cluster, session.agents, session.journal()
        self._at(SUBMITTING)
        self.rehearsal = await trunk_changes.submit(cluster, trial, journal)
        if not self.rehearsal.ready:
            raise RefusedError("nothing was applied", "lint or the server refuses the Network as it would be")
        self._at(FOLLOWING)
        await trunk_changes.follow(agents, trial, self._seen)
        if trial.waiting and not trial.failed:
            self._at(WAITING)
            await trunk_changes.follow(agents, trial, self._seen, lambda _: self._word is not None)
        if trial.waiting:
            self._at(FOLLOWING)
            self.deaf = await trunk_changes.answer(agents, trial, bool(self._word), self._seen)
        if trial.failed:
            self._at(RESTORING)
            self.restored = (await trunk_changes.restore(cluster, trial, journal)).ready

    def word(self, keep: bool) -> None:
        """The operator's word to all nodes that wait; the first one counts."""
        if self.stage == WAITING and self._word is None:
            self._word = keep

    def _at(self, stage: str) -> None:
        self.stage = stage
        self._topics.touch(TRUNKS)

    def _seen(self, _: Trial) -> None:
        self._topics.touch(TRUNKS)
