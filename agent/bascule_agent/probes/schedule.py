"""An absolute schedule: slot k is due at start + k × interval, whatever happened before.

A slot that was missed (the scheduler kept the thread waiting) is skipped, never made up for by a bunch: every probe's
own tx time is recorded, so a skipped slot costs resolution and tells no lie.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class Schedule:
    """Slots every `interval_ns` of the monotonic clock from the moment of construction."""

    def __init__(self, interval_ns: int, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._interval = interval_ns
        self._now = now_ns
        self._start = now_ns()
        self._slot = 0

    def next_delay(self) -> float:
        """Seconds until the next slot (0: it is due), after which the schedule has moved on."""
        now = self._now()
        self._slot = max(self._slot + 1, (now - self._start) // self._interval)
        return max(self._start + self._slot * self._interval - now, 0) / 1e9
