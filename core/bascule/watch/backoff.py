"""How long to wait before asking again: doubling, capped, and jittered so that a fleet does not return in step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """`random` gives floats in [0, 1); delays are seconds, between half and all of base * 2^failures, at most cap."""

    random: Callable[[], float]
    base: float = 0.2
    cap: float = 15.0
    failures: int = 0

    def next(self) -> float:
        """The delay for one more failure."""
        delay = min(self.cap, self.base * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return delay * (0.5 + self.random() / 2)

    def reset(self) -> None:
        """After success."""
        self.failures = 0
