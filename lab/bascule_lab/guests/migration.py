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
from bascule_lab.guests.guest import MoveEvent, MoveResult
from bascule_lab.guests.qmp import Qmp

MODE = "PostCopy"
MAX_BANDWIDTH = 10**10
MOVE_TIMEOUT_S = 60.0
_START_TIMEOUT_S = 5.0
_ENDED = ("failed", "cancelled", "postcopy-paused")


async def listen(target: Qmp, address: str) -> str:
    """Make a QEMU that was started with `-incoming defer` listen at `address`; returns its uri. Raises GuestError."""
    await target.capabilities(events=True, return_path=True, postcopy_ram=True)
    await target.execute("migrate-incoming", uri=f"tcp:{address}:0")
    told = (await target.execute("query-migrate")).get("socket-address", [])
    port = next((entry["port"] for entry in told if entry.get("type") == "inet"), None)
    if port is None:
        raise GuestError("the target QEMU does not say where it listens", f"socket-address: {told}")
    return f"tcp:{address}:{port}"


async def move(source: Qmp, target: Qmp, uri: str, target_runs: Callable[[], bool]) -> MoveResult:
    """Migrate to the QEMU behind `target`, which listens at `uri`; never raises for a failed move."""
    first = len(source.events), len(target.events)
    failure = ""
    try:
        # a clone was restored with x-ignore-shared, which post-copy does not go with
        await source.capabilities(events=True, return_path=True, x_ignore_shared=False, postcopy_ram=True)
        await source.execute("migrate-set-parameters", max_bandwidth=MAX_BANDWIDTH)
        await source.execute("migrate", uri=uri)
        await _start_postcopy(source)
        failure = await _wait(source, target, first, target_runs)
    except GuestError as error:
        failure = str(error)
    return await _result(source, target, first, failure)


async def _start_postcopy(source: Qmp) -> None:
    """QEMU refuses the switch until the migration's thread is set up: ask again until it is taken."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        try:
            await source.execute("migrate-start-postcopy")
            return
        except GuestError:
            if time.monotonic() > deadline or _statuses(source, 0) & {"failed", "completed"}:
                return  # `_wait` names the outcome
        await asyncio.sleep(0.001)


def _statuses(qmp: Qmp, first: int) -> set[str]:
    return {event.status for event in qmp.events[first:] if event.name == "MIGRATION"}


async def _wait(source: Qmp, target: Qmp, first: tuple[int, int], target_runs: Callable[[], bool]) -> str:
    """Wait for the end; returns "" for success, else what went wrong."""
    deadline = time.monotonic() + MOVE_TIMEOUT_S
    while time.monotonic() < deadline:
        at_source, at_target = _statuses(source, first[0]), _statuses(target, first[1])
        resumed = any(event.name == "RESUME" for event in target.events[first[1] :])
        if "completed" in at_source and "completed" in at_target and resumed:
            return ""
        ended = at_source.intersection(_ENDED)
        if ended:
            told = (await source.execute("query-migrate")).get("error-desc", "")
            return f"migration {', '.join(sorted(ended))}" + (f": {told}" if told else "")
        if not target_runs():
            return "the target QEMU died"
        await source.wait_news(0.02)
    return f"not complete after {MOVE_TIMEOUT_S:g} s: source {sorted(at_source)}, target {sorted(at_target)}"


async def _result(source: Qmp, target: Qmp, first: tuple[int, int], failure: str) -> MoveResult:
    events = [MoveEvent("source", e.name, e.status, e.at_ns) for e in source.events[first[0] :]]
    events += [MoveEvent("target", e.name, e.status, e.at_ns) for e in target.events[first[1] :]]
    told, status = {}, ""
    try:
        told = await source.execute("query-migrate")
        status = (await source.execute("query-status"))["status"]
    except GuestError as error:
        failure = failure or str(error)
    return MoveResult(
        ok=not failure,
        mode=MODE,
        events=tuple(sorted(events, key=lambda event: event.at_ns)),
        downtime_ms=told.get("downtime"),
        total_ms=told.get("total-time"),
        failure=failure,
        source_runs=status == "running",
    )
