"""One VM from where its journal says that it stands to its end, forward or back, an action at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from bascule.errors import BasculeError, UnreachableError
from bascule.migration.machine import APPLY, BLOCKED, CHECK, REVERT, ROLLBACK, STUCK
from bascule.migration.run import INTENT, Deed, has, next_of
from bascule.migration.run_record import record
from bascule_console.services.journal import JournalError
from bascule_console.services.run.events import BEGIN, END, NOTE, Told
from bascule_console.services.run.ledger import keep_record, now, write_deed
from bascule_console.services.run.moving import Act, Moving, StepFailed

RETRY_S = 1.0


async def drive(vm: Moving, acts: Mapping[str, Act], stopped: Callable[[], bool] = lambda: False) -> None:
    """Do what is next until nothing is, a check fails, or a revert fails. With `stopped()` no VM that the old side
    still runs goes on.

    Raises UnreachableError when a far end stays away (what was under way is done again by the next run), JournalError.
    """
    begun = len(vm.deeds)
    try:
        while True:
            following = next_of(vm.deeds)
            if not following.step or (stopped() and not has(vm.deeds, "stop", CHECK)):
                break
            if following.state in (BLOCKED, STUCK) and len(vm.deeds) > begun:
                break
            await _one(vm, acts[following.step], following.step, following.action)
    finally:
        if vm.watch is not None:
            _keep(vm)
        await vm.close()


async def _one(vm: Moving, act: Act, step: str, action: str) -> None:
    began = time.time_ns()
    if action == APPLY:
        await put(vm, step, INTENT, True, {"at_ns": began})
    vm.tell(Told(BEGIN, vm.name, step, action, f"{step}: {action}"))
    try:
        evidence = await _patiently(vm, getattr(act, action), step, action)
    except (UnreachableError, JournalError):
        raise
    except BasculeError as error:
        why = {"why": error.message, "cause": error.cause, "fix": error.fix}
        await put(vm, step, action, False, {**why, "began_ns": began, "ended_ns": time.time_ns()})
        vm.tell(Told(END, vm.name, step, action, str(error), False))
        if action == CHECK and isinstance(error, StepFailed) and error.turn:
            await put(vm, "", ROLLBACK, True, {"why": error.message})
        return
    await put(vm, step, action, True, {**evidence, "began_ns": began, "ended_ns": time.time_ns()})
    vm.tell(Told(END, vm.name, step, action, words(step, action, evidence)))


async def _patiently(vm: Moving, do: Callable[[Moving], Any], step: str, action: str) -> dict[str, Any]:
    """The action; while a far end is away it is tried again for a while."""
    deadline = time.monotonic() + vm.ends.limits.away
    while True:
        try:
            found: dict[str, Any] = await do(vm)
            return found
        except UnreachableError as error:
            if time.monotonic() > deadline:
                command = "rollback" if action == REVERT else "run --vm"
                error.fix = f"{error.fix}; then bascule plan {command} {vm.name} goes on".lstrip("; ")
                raise
            vm.tell(Told(NOTE, vm.name, step, action, f"{error.message}; trying again"))
            await asyncio.sleep(RETRY_S)


async def put(vm: Moving, step: str, action: str, ok: bool, evidence: dict[str, Any]) -> None:
    """Record a deed, then let it count."""
    planned = vm.planned
    deed = Deed(vm.loaded.id, planned.key, vm.namespace, vm.name, planned.wave, step, action, ok, evidence, now())
    await asyncio.to_thread(write_deed, vm.ends.journal, deed)
    vm.deeds.append(deed)


def words(step: str, action: str, evidence: Mapping[str, Any]) -> str:
    """One line on what an action found."""
    if step == "stop" and action == APPLY:
        return f"stop: {evidence.get('how')}"
    if step == "disks" and action == APPLY:
        total = sum(int(each.get("bytes") or 0) for each in evidence.get("disks") or ())
        return f"disks: {total / 1e6:.1f} MB copied"
    if step == "start" and action == "verify":
        gone = evidence.get("outage_ms")
        told = "outage not measured" if gone is None else f"outage {gone / 1000:.2f} s"
        return f"start: runs on {evidence.get('node')}, {told}"
    return f"{step}: {action} done"


def _keep(vm: Moving) -> None:
    assert vm.watch is not None
    document = next(each for each in vm.loaded.vms if each["key"] == vm.planned.key)
    keep_record(vm.ends.journal, vm.place, record(document, vm.deeds, vm.watch.streams(), vm.watch.missing()))
