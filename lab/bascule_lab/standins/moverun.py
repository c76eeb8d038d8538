"""One VMIM on its way: what is written to it and to its VMI, and what the migration itself asks while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time

from bascule.errors import BasculeError
from bascule_kube.kinds import VMI, VMIM
from bascule_lab.faults import orders
from bascule_lab.guests.guest import Guest, HoldPoint, MoveControl
from bascule_lab.standins.kubelet import Kubelet
from bascule_lab.standins.world import Key, Obj, World, key_of, now

POLL_S = 0.02
# an order to kill the target lets the migration run for a moment first
KILL_AFTER_S = 0.3


class MoveFailed(BasculeError):
    """The migration cannot start or did not work."""


class Aborted(MoveFailed):
    """The VMIM was deleted before the guest switched to the target."""


class MoveRun(MoveControl):
    """Owned by the controller. `target` is the guest that waits for the migration, once there is one."""

    def __init__(self, world: World, kubelet: Kubelet, move: Obj) -> None:
        self.move = move
        self.key: Key = key_of(move)
        self.uid: str = move["metadata"]["uid"]
        self.vmi_key: Key = (self.key[0], move["spec"]["vmiName"])
        self.state: Obj = {"migrationUid": self.uid, "mode": "PreCopy", "migrationNetworkType": "migration"}
        self.target: Guest | None = None
        self.was_switched = False
        self._world = world
        self._orders = kubelet.state
        self._stamps: list[Obj] = []
        self._reached: dict[str, float] = {}
        self._telling: asyncio.Task[None] | None = None

    async def phase(self, phase: str) -> None:
        """The next phase, with its time."""
        self._stamps.append({"phase": phase, "phaseTransitionTimestamp": now()})
        status = {"phase": phase, "phaseTransitionTimestamps": self._stamps, "migrationState": self.state}
        await self._world.set_status(VMIM, self.key, status)

    async def fail(self, reason: str, **more: object) -> None:
        """The last phase, Failed; the VMI says so too, unless another migration is its own."""
        self.state.update(failed=True, completed=True, failureReason=reason, endTimestamp=now(), **more)
        if "startTimestamp" in self.state:
            await self.tell_vmi()
        await self.phase("Failed")

    async def tell_vmi(self) -> None:
        """The migration's state on its VMI."""
        await self._world.set_status(VMI, self.vmi_key, {"migrationState": self.vmi_state()})

    def vmi_state(self) -> Obj:
        """The state as a merge patch for the VMI's: what an earlier migration left there goes."""
        vmi = self._world.get(VMI, self.vmi_key) or {}
        old = (vmi.get("status") or {}).get("migrationState") or {}
        return {**dict.fromkeys(old), **self.state}

    @property
    def abort_asked(self) -> bool:
        """Whether the VMIM was deleted, or is gone altogether."""
        move = self._world.get(VMIM, self.key)
        return move is None or bool(move["metadata"].get("deletionTimestamp")) or move["metadata"]["uid"] != self.uid

    def refuse_if_deleted(self) -> None:
        """Raises Aborted."""
        if self.abort_asked:
            raise Aborted("the migration was deleted")

    async def wait_at_ready(self) -> None:
        """As long as an order holds the move before it starts. Raises Aborted."""
        while self._held("ready"):
            self.refuse_if_deleted()
            await asyncio.sleep(POLL_S)

    def cancelled(self) -> bool:
        """See MoveControl."""
        return self.abort_asked

    def planned(self, at: HoldPoint) -> bool:
        """See MoveControl."""
        order = orders.move_order(self._orders, self.vmi_key[1])
        return order is not None and order.at == at

    def held(self, at: HoldPoint) -> bool:
        """See MoveControl."""
        return self._held(at)

    def switched(self) -> None:
        """The mode is told while the guest is on its way, which does not wait for it."""
        self.was_switched = True
        self.state["mode"] = "PostCopy"
        mode = {"migrationState": {"mode": "PostCopy"}}
        self._telling = asyncio.create_task(self._world.set_status(VMIM, self.key, mode))

    async def settled(self) -> None:
        """Everything said so far has arrived."""
        if self._telling is not None:
            await self._telling

    def _held(self, at: orders.Point) -> bool:
        order = orders.move_order(self._orders, self.vmi_key[1])
        if order is None or order.at != at:
            return False
        reached = self._reached.setdefault(at, time.monotonic())
        if not order.kill:
            return True
        if self.target is not None and self.target.running and time.monotonic() > reached + KILL_AFTER_S:
            orders.forget_move(self._orders, self.vmi_key[1])
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.target.pid, signal.SIGKILL)
        return True
