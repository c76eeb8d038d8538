"""A NIC's connections and counters come along when it moves: pulled from the source's agent when the target is ready,
and again at the VM's first frame here, when the source has seen the last of it (a second later where no policy selects
the NIC: then nothing depends on it, and the cut-over has the machine for itself).

Policy at the target holds from the beginning; what is pulled only spares established connections to be judged as new
ones. Where nothing could be pulled, mid-stream TCP is admitted for 30 s from the first frame on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from bascule.errors import BasculeError
from bascule.protocol.gen import agent_pb2 as pb
from bascule.resources.kubevirt import Migration
from bascule.resources.pod import PodNic
from bascule_agent.moves.dial import agent_target

log = logging.getLogger(__name__)

PULL_SECONDS = 1.0
ADMIT_SECONDS = 30
FOREVER = 2**64 - 1
READY = ("TargetReady", "Running")
LIMIT = 256
LATER_SECONDS = 1.0
"""After its first frame the VM's sessions are waking up; where no policy judges them, the second pull can wait."""


class Pull(Protocol):
    """`AgentClient.handover`."""

    async def __call__(self, target: str, request: pb.HandoverRequest, seconds: float) -> pb.HandoverReply: ...


class Arrivals(Protocol):
    """What policy does with what is pulled (bascule_agent.policy.policies.Policies)."""

    def judges(self, ifindex: int) -> bool: ...
    async def take_over(self, ifindex: int, told: str, handed: bytes, last: bool) -> int: ...
    async def admit_streams(self, ifindex: int, until_ns: int) -> None: ...


@dataclass(frozen=True)
class Target:
    """A NIC of a migration's target pod here."""

    nic: PodNic
    ifindex: int


@dataclass
class State:
    """What was pulled for one migration: the record's `handover`."""

    source: str
    at_ready: dict[str, Any] | None = None
    at_first_frame: dict[str, Any] | None = None
    admitted_s: int = 0
    error: str = ""
    asked: bool = False
    address: str = ""  # of the source's agent: looked up before the cut-over, when nobody waits for it

    def document(self) -> dict[str, Any]:
        return {
            "at_ready": self.at_ready,
            "at_first_frame": self.at_first_frame,
            "admitted_s": self.admitted_s,
            "error": self.error,
        }


Note = Callable[[str, dict[str, Any], str], None]
"""(migration uid, the record's `handover`, why it is missing or "")."""


@dataclass
class Handovers:
    """Owned by the event loop; every wait is a task. `targets(uid)` are the NICs of a migration here."""

    node: str
    pull: Pull
    arrivals: Arrivals
    targets: Callable[[str], list[Target]]
    read_node: Callable[[str], Awaitable[Mapping[str, Any]]]
    note: Note
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _states: dict[str, State] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def vmim_changed(self, document: Mapping[str, Any]) -> None:
        """A VMIM as the watch has it now."""
        migration = Migration.of(document)
        uid, source = migration.meta.uid, migration.state.source_node if migration.state else ""
        if migration.ended or not source or source == self.node or not self.targets(uid):
            return
        state = self._states.setdefault(uid, State(source))
        while len(self._states) > LIMIT:
            self._states.pop(next(iter(self._states)))
        if migration.phase in READY and not state.asked:
            state.asked = True
            self._spawn(self._all(uid, state, last=False))

    def opened(self, uid: str) -> None:
        """The VM's first frame has come to its port here."""
        state = self._states.get(uid)
        if state is not None and state.at_first_frame is None:
            self._spawn(self._last(uid, state))

    async def close(self) -> None:
        """Stop pulling."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _last(self, uid: str, state: State) -> None:
        if state.at_ready and not any(self.arrivals.judges(target.ifindex) for target in self.targets(uid)):
            await self.sleep(LATER_SECONDS)
        await self._all(uid, state, last=True)

    async def _all(self, uid: str, state: State, last: bool) -> None:
        before, entered, error = time.monotonic(), 0, ""
        for target in self.targets(uid):
            try:
                entered += await self._one(state, target, last)
            except (BasculeError, OSError, ValueError) as problem:
                error, state.address = str(problem), ""
                log.warning("hand-over of %s from %s: %s", target.nic.mac, state.source, problem)
        done = {"connections": entered, "ms": round((time.monotonic() - before) * 1e3, 1)} if not error else None
        if last:
            state.at_first_frame = done
        else:
            state.at_ready = done
        state.error = error
        if last or error:
            await self._settle(uid, state, last)
        failed = last and not (state.at_ready or state.at_first_frame)
        self.note(uid, state.document(), state.error if failed else "")

    async def _one(self, state: State, target: Target, last: bool) -> int:
        if not state.address:
            state.address = agent_target(await self.read_node(state.source))
        request = pb.HandoverRequest(mac=target.nic.mac, vlan=target.nic.vlan, last=last)
        reply = await self.pull(state.address, request, PULL_SECONDS)
        return await self.arrivals.take_over(target.ifindex, reply.json, reply.connections, last)

    async def _settle(self, uid: str, state: State, last: bool) -> None:
        """Admit mid-stream TCP where nothing was pulled: while the port is held nothing passes it anyway."""
        nothing = not (state.at_ready or state.at_first_frame)
        until = 0
        if nothing:
            until = time.monotonic_ns() + ADMIT_SECONDS * 10**9 if last else FOREVER
            state.admitted_s = ADMIT_SECONDS
        elif state.admitted_s and last:
            state.admitted_s = 0
        for target in self.targets(uid):
            await self.arrivals.admit_streams(target.ifindex, until)
