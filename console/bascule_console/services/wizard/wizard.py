"""One walk through the wizard: answers in, pages out, kept after every change."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bascule.errors import BasculeError, RefusedError, UsageError
from bascule.migration import wizard as machine
from bascule.migration.plan_document import as_dict
from bascule.migration.wizard import STEPS, State
from bascule.migration.wizard_answers import ADDRESS, SUBNET, VLAN, address, inline
from bascule.migration.wizard_page import PATH, Field, Page
from bascule.migration.wizard_values import parsed, several
from bascule_console.services import plan as plans
from bascule_console.services.apply import Plan as Rehearsed
from bascule_console.services.collect.hypervisor import Ask
from bascule_console.services.credentials import Access
from bascule_console.services.wizard import keep
from bascule_console.services.wizard.acting import ACTIONS
from bascule_console.services.wizard.comparing import Comparing
from bascule_console.services.wizard.digests import digests
from bascule_console.services.wizard.made import Made, Maker, live_path
from bascule_console.services.wizard.manifests import Objects, objects
from bascule_console.services.wizard.page_run import Stand, underway
from bascule_console.services.wizard.pages import Around, page_of
from bascule_console.services.wizard.running import Running
from bascule_console.services.wizard.standing import Standing

if TYPE_CHECKING:
    from bascule_console.services.run import Loaded

PLANNING = STEPS[: STEPS.index("run")]
Guard = Callable[[str], None]


def _allowed(what: str) -> None:
    """Where nothing is read-only or protected."""


class Wizard:
    """All methods may be called while an action runs in the background; pages are made in a thread, so that a loop is
    never held up."""

    def __init__(self, path: Path, state: State, access: Access | None, guard: Guard, ask: Ask | None) -> None:
        self.path = path
        self.state = state
        self.access = access
        self.guard = guard
        self.ask = ask
        self.maker = Maker(access)
        self.work = Running()
        self.comparing = Comparing()
        self._standing = Standing()
        self.rehearsed: Rehearsed | None = None
        self.unread: dict[str, BasculeError | None] = {}
        self._turn = asyncio.Lock()
        self._objects: tuple[object, Objects] = (None, Objects())

    @classmethod
    def open(
        cls, access: Access | None = None, path: Path | None = None, guard: Guard = _allowed, ask: Ask | None = None
    ) -> Wizard:
        """Resume, or begin. `access` is the cluster that may be asked; `guard` raises RefusedError where "<what>" may
        not be changed; `ask` asks the operator for a hypervisor's credentials, from another thread.

        Raises UsageError for a state that cannot be read: it was kept aside then, and opening again begins anew.
        """
        kept = path or keep.state_path()
        return cls(kept, keep.read(kept), access, guard, ask)

    @property
    def running(self) -> bool:
        """Does something run in the background? Then the pages of Run change by themselves: ask once a second."""
        return self.work.active

    async def page(self, step: str = "") -> Page:
        """The page of a step ("" for the one that one stands at), made from the answers as they are now. Raises no
        BasculeError: what is wrong is in its problems."""
        self.work.check()
        return await asyncio.to_thread(self._page, step or self.state.step)

    async def made(self) -> Made:
        """What the answers make."""
        return await asyncio.to_thread(self._made)

    async def answer(self, name: str, value: str) -> Page:
        """Answer a field by its id; "" takes the answer back, and its default counts. Returns the page of its step.

        Raises UsageError when it cannot be understood and RefusedError when it cannot be changed now: nothing was kept
        then. What is well formed and wrong (a file that is not there) is told on the page.
        """
        async with self._turn:
            step = name.partition(".")[0]
            fields = (await self.page(step)).fields if step in STEPS else ()
            field = next((each for each in fields if each.id == name), None)
            if field is None:
                raise UsageError(f"no question {name!r}", "no page asks it now", "one of the page's questions")
            self._refuse_underway(step)
            text = _absolute(field, parsed(field, value))
            if text and name.startswith((SUBNET, VLAN)):
                inline({name: text})
            elif text and name.startswith(ADDRESS):
                address(text)
            self._keep(machine.answered(self.state, name, text))
            self.rehearsed = None
            if name == "source.live":
                await self._read_new()
            found = await asyncio.to_thread(digests, await self.made())
            state = machine.settled(self.state, found)
            if step in state.made and step in found:  # what one changes here is seen here
                state = machine.shown(state, step, *found[step])
            self._keep(state)
        return await self.page(step)

    async def next(self) -> Page:
        """One step on. Raises RefusedError with the gate's text when the page does not allow it."""
        async with self._turn:
            step = self.state.step
            page = await self.page()
            if not page.next.allowed:
                raise RefusedError(page.next.text)
            made = await self.made()
            digest = (await asyncio.to_thread(digests, made)).get(step)
            if step == "review" and made.plan is not None and made.world is not None:
                await asyncio.to_thread(plans.keep, made.plan, made.world)
            state = machine.shown(self.state, step, *digest) if digest else self.state
            self._keep(machine.forward(state))
        return await self.page()

    async def back(self) -> Page:
        """One step back; answers are kept. Raises RefusedError with the gate's text when it cannot be."""
        async with self._turn:
            page = await self.page()
            if not page.back.allowed:
                raise RefusedError(page.back.text)
            self._keep(machine.backward(self.state))
        return await self.page()

    async def go(self, step: str) -> Page:
        """To any step that was reached before. Raises RefusedError for one that was not, UsageError for none."""
        async with self._turn:
            if step not in STEPS:
                raise UsageError(f"no step {step!r}", fix=f"one of {', '.join(STEPS)}")
            if STEPS.index(step) > STEPS.index(self.state.reached):
                raise RefusedError(f"{step} was not reached yet", f"you came as far as {self.state.reached}", "next")
            self._keep(machine.at(self.state, step))
        return await self.page()

    async def act(self, action: str, target: str = "") -> str:
        """Do one of the page's actions; returns one line on what was done. Raises BasculeError. What takes long goes on
        in the background (`running`)."""
        async with self._turn:
            page = await self.page()
            found = next((each for each in page.actions if each.id == action), None)
            if found is None:
                names = ", ".join(each.id for each in page.actions) or "none"
                raise UsageError(f"no action {action!r} at {page.title}", f"there are: {names}", "help")
            if found.blocked:
                raise RefusedError(f"{action} cannot be done now", found.blocked)
            if target and target not in found.targets:
                listed = ", ".join(found.targets[:12]) or "nothing"
                raise UsageError(f"{action} cannot be done to {target!r}", f"it can to: {listed}", "choose one")
            done = await ACTIONS[action](self, target)
            self._keep(machine.settled(self.state, await asyncio.to_thread(digests, await self.made())))
            return done

    async def restart(self) -> Page:
        """Forget every answer and begin anew; the state before is kept beside it. Raises RefusedError while VMs are
        between both sides."""
        async with self._turn:
            self._refuse_underway(STEPS[0])
            keep.move(self.path, self.path.with_name(self.path.name + keep.BEFORE))
            self.unread.clear()
            self.rehearsed = None
            self._keep(State())
        return await self.page()

    async def close(self) -> None:
        """End: what runs pauses after the action that it is at, and the state is kept."""
        if self.work.active:
            self.work.pause()
        await self.work.ended()

    def take(self, name: str, value: str) -> None:
        """Give an answer that an action found."""
        self._keep(machine.answered(self.state, name, value))

    async def loaded(self, made: Made) -> Loaded:
        """The plan that is run: the directory that was written, as people edited it, else the one that was kept."""
        return await asyncio.to_thread(self._standing.loaded, self._directory(made))

    def _page(self, step: str) -> Page:
        made = self._made()
        found = Objects()
        if step == "review" and made.plan is not None and made.world is not None:
            found = self._objects_of(made)
        stand = self._stand(made) if step in ("run", "accept") else Stand()
        around = Around(self.work, self.comparing, found, self.rehearsed, self._stale(made, step), stand)
        return page_of(step, made, around)

    def _made(self) -> Made:
        uris = several(self.state.answers.get("source.live", ""))
        unread = {uri: self.unread.get(uri) for uri in uris if uri in self.unread or not live_path(uri).exists()}
        return replace(self.maker.made(self.state), unread=unread)

    def _objects_of(self, made: Made) -> Objects:
        assert made.plan is not None and made.world is not None
        if self._objects[0] is not made.plan:
            try:
                self._objects = made.plan, objects(made.plan, made.world, made.policy_directory)
            except BasculeError:  # policies that cannot be read: the fault stands at Policies, where they are named
                self._objects = made.plan, objects(made.plan, made.world, "")
        return self._objects[1]

    def _directory(self, made: Made) -> str:
        where = made.state.answers.get("review.to", "")
        return where if where and (Path(where) / plans.PLAN).exists() else ""

    def _stale(self, made: Made, step: str) -> str:
        """The directory that holds another plan than the answers make now, "" when it does not."""
        where = self._directory(made)
        if step != "review" or not where or made.plan is None:
            return ""
        try:
            same = plans.read(where) == json.loads(json.dumps(as_dict(made.plan)))
        except BasculeError:
            same = False
        return "" if same else where

    def _stand(self, made: Made) -> Stand:
        return self._standing.of(self._directory(made))

    def _refuse_underway(self, step: str) -> None:
        if step not in PLANNING or self.state.reached not in ("run", "accept"):
            return
        if self.work.active:
            raise RefusedError(f"{self.work.what} runs", "what it follows cannot change meanwhile", "pause it first")
        between = underway(self._stand(self._made()))
        if between:
            cause = f"{between}: between both sides"
            raise RefusedError("the plan cannot change now", cause, "run them to their end or roll them back, at Run")

    def _keep(self, state: State) -> None:
        keep.write(self.path, state)
        self.state = state

    async def _read_new(self) -> None:
        """Ask hypervisors that were just named; the others keep what they told."""
        uris = several(self.state.answers.get("source.live", ""))
        if any(not live_path(uri).exists() for uri in uris):
            await ACTIONS["read"](self, "")


def _absolute(field: Field, text: str) -> str:
    """Paths as they are from anywhere, because a walk may be resumed in another directory."""
    if field.kind != PATH or not text:
        return text
    if not field.many:
        return os.path.abspath(os.path.expanduser(text))
    return shlex.join(os.path.abspath(os.path.expanduser(each)) for each in several(text))
