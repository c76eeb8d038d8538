"""This node's clock: monotonic to real time, and what other nodes may conclude from its times.

BPF programs stamp CLOCK_MONOTONIC; what leaves the node is CLOCK_REALTIME. Two nodes compare times exactly when they
run on one kernel (the lab's namespaces do): the boot id says so, and offset and error are against that kernel's clock.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Clock:
    """Offset and its error in nanoseconds against the clock that `source` names (`kernel:<boot id>`)."""

    offset_ns: int
    error_ns: int
    source: str


@cache
def kernel_clock() -> Clock:
    """The clock of the running kernel: no offset against itself."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return Clock(0, 0, f"kernel:{boot_id}")


def realtime_minus_monotonic() -> int:
    """Nanoseconds to add to CLOCK_MONOTONIC to get CLOCK_REALTIME now.

    The pair is read three times and the tightest reading taken: a preemption between the two clocks would otherwise
    shift every time of a batch.
    """
    best = (1 << 62, 0)
    for _ in range(3):
        before = time.monotonic_ns()
        real = time.time_ns()
        after = time.monotonic_ns()
        best = min(best, (after - before, real - (before + after) // 2))
    return best[1]
