"""What a node's flow history still has: told with every answer, so that nobody takes a part for the whole."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Extent:
    """Times are CLOCK_REALTIME ns, 0 is never.

    `oldest_ns` is its first block; up to `rolled_until_ns` a record is one flow's whole minute; up to
    `dropped_until_ns` blocks with `dropped_frames` frames were removed for room; `bytes` on disk.
    """

    oldest_ns: int = 0
    rolled_until_ns: int = 0
    dropped_until_ns: int = 0
    dropped_frames: int = 0
    bytes: int = 0

    def to_dict(self) -> dict[str, int]:
        """As JSON."""
        return dict(vars(self))
