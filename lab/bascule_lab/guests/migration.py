"""A live migration between two QEMUs over QMP: immediate post-copy with return-path.

Immediate post-copy because precopy under TCG loses writes that fall between a dirty-bitmap sync and STOP: about one
guest in seven panicked after it under traffic, on bare bridges too (reference/spine.md section 0). return-path, so
that a target that refuses the device state makes the source go on by itself instead of leaving a dead guest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from bascule_lab.guests.errors import GuestError
from bascule_lab.guests.fetched import count_stalls, memory
from bascule_lab.guests.guest import UNCONTROLLED, MoveControl, MoveEvent, MoveResult
from bascule_lab.guests.qmp import Qmp

MODE = "PostCopy"
MAX_BANDWIDTH = 10**10
# a page or two in each of QEMU's 100 ms windows
HELD_BANDWIDTH = 4096
# what a guest that runs at the target needs to answer at all; its memory has come after a minute then, held or not
HELD_POSTCOPY_BANDWIDTH = 2**20
MOVE_TIMEOUT_S = 60.0
# KubeVirt's progressTimeout, 150 s there
STUCK_S = 5.0
_START_TIMEOUT_S = 5.0
_SETTLE_S = 3.0
_POLL_S = 0.02
_ASK_S = 0.5
_ENDED = ("failed", "cancelled", "postcopy-paused")


async def listen(target: Qmp, address: str) -> str:
    """Make a QEMU that was started with `-incoming defer` listen at `address`; returns its uri. Raises GuestError."""
    await target.capabilities(events=True, return_path=True, postcopy_ram=True)
    await count_stalls(target)
    await target.execute("migrate-incoming", uri=f"tcp:{address}:0")
    told = (await target.execute("query-migrate")).get("socket-address", [])
    port = next((entry["port"] for entry in told if entry.get("type") == "inet"), None)
    if port is None:
        raise GuestError("the target QEMU does not say where it listens", f"socket-address: {told}")
    return f"tcp:{address}:{port}"


async def move(
    source: Qmp, target: Qmp, uri: str, dead: Callable[[], str], control: MoveControl = UNCONTROLLED
) -> MoveResult:
    """Migrate to the QEMU behind `target`, which listens at `uri`; never raises for a failed move.

    `dead` says which of the two has died, "" while both run.
    """
    return await _Move(source, target, dead, control).run(uri)


class _Move:
    """One migration. Events that earlier ones left at the source are not its own: a failed move may be tried again."""

    def __init__(self, source: Qmp, target: Qmp, dead: Callable[[], str], control: MoveControl) -> None:
        self._source = source
        self._target = target
        self._dead = dead
        self._control = control
        self._first = len(source.events), len(target.events)
        self._progress: tuple[object, float] = None, time.monotonic()
        self._asked = time.monotonic()
        self._cancelled = False

    async def run(self, uri: str) -> MoveResult:
        """All of it."""
        failure = ""
        try:
            slow = await self._start(uri)
            failure = await self._precopy()
            if not failure:
                await self._switch()
                failure = await self._postcopy(slow)
        except GuestError as error:
            failure = self._dead() or str(error)
        return await self._result(failure)

    async def _start(self, uri: str) -> bool:
        """Returns whether pages are to come slowly after the switch."""
        before, after = self._control.planned("precopy"), self._control.planned("postcopy")
        # a clone was restored with x-ignore-shared, which post-copy does not go with
        await self._source.capabilities(events=True, return_path=True, x_ignore_shared=False, postcopy_ram=True)
        await self._source.execute(
            "migrate-set-parameters",
            # also for a move that is held after the switch: on a busy machine all of the memory may come before it
            max_bandwidth=HELD_BANDWIDTH if before or after else MAX_BANDWIDTH,
            max_postcopy_bandwidth=HELD_POSTCOPY_BANDWIDTH if after else 0,
        )
        await self._source.execute("migrate", uri=uri)
        return after

    async def _precopy(self) -> str:
        """As long as it is held before the switch; "" to switch, else why it ended here."""
        held = False
        while True:
            if self._control.cancelled():
                self._cancelled = True
                return await self._cancel("the migration was cancelled")
            if not self._control.held("precopy"):
                break
            held = True
            if over := await self._over():
                return await self._cancel(over)
            if await self._stuck():
                return await self._cancel(f"Live migration stuck for {STUCK_S:g} s and has been aborted")
            await self._source.wait_news(_POLL_S)
        if over := await self._over():
            return await self._cancel(over)
        if held:
            await self._source.execute("migrate-set-parameters", max_bandwidth=MAX_BANDWIDTH)
        return ""

    async def _cancel(self, why: str) -> str:
        """End it before the switch, so that the source cannot stop any more."""
        if "source" in self._dead():
            return why
        await self._source.execute("migrate_cancel")
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._statuses(0).intersection(_ENDED) and time.monotonic() < deadline:
            await self._source.wait_news(_POLL_S)
        return why

    async def _switch(self) -> None:
        """QEMU refuses the switch until the migration's thread is set up: ask again until it is taken."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                await self._source.execute("migrate-start-postcopy")
                self._control.switched()
                return
            except GuestError:
                if time.monotonic() > deadline or self._statuses(0) & {"failed", "completed"} or self._dead():
                    return  # `_postcopy` names the outcome
            await asyncio.sleep(0.001)

    async def _postcopy(self, slow: bool) -> str:
        """Wait for the end; returns "" for success, else what went wrong."""
        deadline = time.monotonic() + MOVE_TIMEOUT_S
        while time.monotonic() < deadline:
            resumed = any(event.name == "RESUME" for event in self._target.events[self._first[1] :])
            if resumed and "completed" in self._statuses(1) and self._source_done():
                return ""
            if over := await self._over():
                return over
            if await self._stuck():
                return f"post-copy migration stuck for {STUCK_S:g} s"
            if slow and not self._control.held("postcopy"):
                await self._source.execute("migrate-set-parameters", max_postcopy_bandwidth=0)
                slow = False
            if slow:
                deadline = time.monotonic() + MOVE_TIMEOUT_S
            await self._source.wait_news(_POLL_S)
        return f"not complete after {MOVE_TIMEOUT_S:g} s: source {self._statuses(0)}, target {self._statuses(1)}"

    def _source_done(self) -> bool:
        return "completed" in self._statuses(0) or "source" in self._dead()

    async def _over(self) -> str:
        """Why the migration cannot go on, "" while it can."""
        dead = self._dead()
        if dead:
            return dead
        ended = self._statuses(0).intersection(_ENDED)
        if not ended:
            return ""
        told = (await self._source.execute("query-migrate")).get("error-desc", "")
        return f"migration {', '.join(sorted(ended))}" + (f": {told}" if told else "")

    async def _stuck(self) -> bool:
        """Whether not a byte was sent for STUCK_S."""
        now = time.monotonic()
        if now - self._asked < _ASK_S:
            return False
        self._asked = now
        sent = (await self._source.execute("query-migrate")).get("ram", {}).get("transferred")
        if sent != self._progress[0]:
            self._progress = sent, now
        return now - self._progress[1] > STUCK_S

    def _statuses(self, side: int) -> set[str]:
        qmp = (self._source, self._target)[side]
        return {event.status for event in qmp.events[self._first[side] :] if event.name == "MIGRATION"}

    async def _result(self, failure: str) -> MoveResult:
        told = {}
        runs = bool(failure) and await self._source_runs()
        try:
            told = await self._source.execute("query-migrate")
        except GuestError:
            told = {}
        events = [MoveEvent("source", e.name, e.status, e.at_ns) for e in self._source.events[self._first[0] :]]
        events += [MoveEvent("target", e.name, e.status, e.at_ns) for e in self._target.events[self._first[1] :]]
        return MoveResult(
            ok=not failure,
            mode=MODE,
            events=tuple(sorted(events, key=lambda event: event.at_ns)),
            downtime_ms=told.get("downtime"),
            total_ms=told.get("total-time"),
            failure=failure,
            source_runs=runs,
            cancelled=self._cancelled and runs,
            memory=await memory(self._source, self._target),
        )

    async def _source_runs(self) -> bool:
        """Whether the guest goes on at the source: QEMU resumes it a moment after the failure, or never."""
        deadline = time.monotonic() + _SETTLE_S
        while "source" not in self._dead() and "postcopy-paused" not in self._statuses(0):
            try:
                running = bool((await self._source.execute("query-status"))["status"] == "running")
            except GuestError:
                return False
            # while it has not ended it may still stop the guest
            over = not self._statuses(0) or bool(self._statuses(0).intersection(_ENDED))
            if (running and over) or time.monotonic() > deadline:
                return running
            await asyncio.sleep(_POLL_S)
        return False
