"""Time as the trackers use it, so that tests can pass it by hand."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Wall time and waiting."""

    def now_ns(self) -> int:
        """CLOCK_REALTIME, ns."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class RealClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        """CLOCK_REALTIME, ns."""
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await asyncio.sleep(seconds)
