"""Time for tests: it stands still, or passes only when it is told to."""

from __future__ import annotations

import asyncio
import heapq

MS = 1_000_000


class FakeClock:
    """Time that passes only when told to; everything that waits for a moment runs at that moment."""

    def __init__(self) -> None:
        self.ns = 1_790_000_000_000 * MS
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    def now_ns(self) -> int:
        return self.ns

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self.ns + round(seconds * 1e9), self._count, future))
        await future

    async def advance(self, seconds: float) -> None:
        end = self.ns + round(seconds * 1e9)
        await self._run()
        while self._sleepers and self._sleepers[0][0] <= end:
            self.ns, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
            await self._run()
        self.ns = end

    async def _run(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


class StoppedClock:
    """Snapshots must not show how fast this machine is, nor when the test ran."""

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns

    def thread_time(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return 0.0

    def time_ns(self) -> int:
        return self._now_ns
