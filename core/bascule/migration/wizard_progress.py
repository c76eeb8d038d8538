"""How far a run is and how long it will take, from what was measured in it and from nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import median

from bascule.migration.machine import BACK, BLOCKED, FORWARD, STUCK
from bascule.migration.run import ACCEPTED, GOING_BACK, HELD, MOVED, STEPS, WAITING, Deed, RunRow
from bascule.migration.wizard_page import Progress
from bascule.resources.read import integer

COPY = "disks"
_OVER = (MOVED, ACCEPTED)
_STILL = (HELD, BLOCKED, STUCK)
_AT_REST = (*_OVER, *_STILL, WAITING, BACK)


class Measured:
    """Seconds that each step took, by VM; several actions of one step are added up."""

    def __init__(self) -> None:
        self._seconds: dict[str, dict[str, float]] = defaultdict(dict)

    def took(self, step: str, vm: str, seconds: float) -> None:
        """One action of a step ended."""
        self._seconds[step][vm] = self._seconds[step].get(vm, 0.0) + seconds

    @classmethod
    def of_deeds(cls, deeds: Iterable[Deed]) -> Measured:
        """From what the journal has: every action that succeeded and tells when it began and ended."""
        found = cls()
        for deed in deeds:
            began, ended = (integer(deed.evidence.get(name)) for name in ("began_ns", "ended_ns"))
            if deed.ok and deed.action in FORWARD and began and ended and ended >= began:
                found.took(deed.step, deed.target, (ended - began) / 1e9)
        return found

    def of(self, step: str, but: str = "") -> tuple[float, int]:
        """(median of the step's seconds, of how many VMs); `but` is a VM that is not over with it."""
        found = [seconds for vm, seconds in self._seconds[step].items() if vm != but]
        return (median(found), len(found)) if found else (0.0, 0)


def progress(row: RunRow, measured: Measured, copied: tuple[int, int, float] | None, running: bool) -> Progress:
    """One VM's line. `copied` is (bytes done, bytes in all or 0, bytes a second) while its disks are copied."""
    state = "paused" if not running and row.state not in _AT_REST else row.state
    left, how = _left(row, measured, copied, running)
    if copied is not None and row.step == COPY:
        done, total, rate = copied
        return Progress(row.target, row.wave, state, row.step, done, total, "bytes", rate, left, how, row.why)
    done = len(STEPS) if row.state in _OVER else STEPS.index(row.step) if row.step in STEPS else 0
    return Progress(row.target, row.wave, state, row.step, done, len(STEPS), "steps", 0.0, left, how, row.why)


def _left(
    row: RunRow, measured: Measured, copied: tuple[int, int, float] | None, running: bool
) -> tuple[float | None, str]:
    """(seconds left, how that is known); None with the reason why not."""
    if row.state in (*_OVER, BACK):
        return 0.0, "over"
    if row.state in _STILL:
        return None, "no estimate: it waits for somebody"
    if not running:
        return None, "no estimate: nothing runs"
    if row.state == GOING_BACK:
        return None, "no estimate: how long the way back takes is not measured"
    ahead: Sequence[str] = STEPS[STEPS.index(row.step) :] if row.step in STEPS else STEPS
    total, least = 0.0, 0
    copying = copied is not None and row.step == COPY and copied[1] > 0 and copied[2] > 0
    for step in ahead:
        if step == COPY and copying and copied is not None:
            total += (copied[1] - copied[0]) / copied[2]
            continue
        seconds, vms = measured.of(step, row.target)
        if not vms:
            return None, f"no estimate: no VM was measured at {step} yet"
        least = min(least or vms, vms)
        total += seconds
    parts = ["bytes left at the rate of now"] if copying else []
    parts += [f"median of {least} VM{'' if least == 1 else 's'} moved before"] if least else []
    return total, " and ".join(parts)
