"""The last minute of each entry of a store, in buckets of two seconds: what sparklines are drawn from.

Records count where their last frame was. A clock that steps back by more than the minute adds to the newest bucket, so
a step never shows as a gap, nor as a negative rate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bascule.flows.slots import grown

BUCKETS = 30
BUCKET_NS = 2_000_000_000


class Timeline:
    """Bytes per entry and bucket; entries are slots that their owner numbers."""

    def __init__(self) -> None:
        self._bytes = np.zeros((BUCKETS, 0), np.float32)  # a bucket's slots side by side: an unused one takes no memory
        self._at = np.zeros(0, np.int64)  # the newest bucket of each slot

    def grow(self, slots: int) -> None:
        """Room for `slots` in all."""
        self._bytes, self._at = grown(self._bytes, slots, axis=1), grown(self._at, slots)

    def clear(self, slots: NDArray[np.int64]) -> None:
        """Slots get other owners."""
        used = slots[self._at[slots] > 0]
        self._bytes[:, used], self._at[used] = 0, 0

    def add(self, slots: NDArray[np.int64], octets: NDArray[np.uint64], at_ns: NDArray[np.int64]) -> None:
        """Count `octets` for slots, each at its own time; a slot may come several times."""
        bucket = at_ns // BUCKET_NS
        touched, inverse = np.unique(slots, return_inverse=True)
        newest = self._at[touched].copy()
        np.maximum.at(newest, inverse, bucket)
        self._forget(touched, newest)
        self._at[touched] = newest
        bucket = np.where(bucket > newest[inverse] - BUCKETS, bucket, newest[inverse])
        np.add.at(self._bytes, (bucket % BUCKETS, slots), octets.astype(np.float32))

    def rates(self, slot: int, now_ns: int) -> NDArray[np.float32]:
        """(BUCKETS,) bytes per second of one slot, oldest first, up to `now_ns`."""
        now = max(now_ns // BUCKET_NS, int(self._at[slot]))
        wanted = np.arange(now - BUCKETS + 1, now + 1)
        known = (wanted <= self._at[slot]) & (wanted > self._at[slot] - BUCKETS)
        found: NDArray[np.float32] = np.where(known, self._bytes[wanted % BUCKETS, slot], np.float32(0))
        return found / np.float32(BUCKET_NS / 1e9)

    def _forget(self, slots: NDArray[np.int64], now: NDArray[np.int64]) -> None:
        """Empty the buckets between each slot's newest and now."""
        gap = np.minimum(now - self._at[slots], BUCKETS)
        for step in range(1, int(gap.max(initial=0)) + 1):
            behind = gap >= step
            self._bytes[(now[behind] - step + 1) % BUCKETS, slots[behind]] = 0
