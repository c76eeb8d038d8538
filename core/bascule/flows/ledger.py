"""What became of every frame a node's ports saw: seen = sent + lost, by cause (+ filtered, where one asked for less).

A table of flows is only worth trusting when it says what it left out, so the ledger travels with every batch and is
checked, never assumed. All numbers are frames (segments of a GSO super-frame count one by one), counted since the
node's BPF maps were made; they only grow, so a viewer takes differences.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

MAP_FULL = "map-full"  # the kernel's flow map had no room: counted per port, not per flow
AGENT_QUEUE = "agent-queue"  # drained, then dropped because a viewer or the history was too slow or too small
STORE_FULL = "store-full"  # delivered, then evicted from a viewer's bounded store
HISTORY_FULL = "history-full"  # recorded, then removed from the node's history because it had no room
NOT_RECORDED = "not-recorded"  # drained, but the history could not be written


@dataclass(frozen=True)
class Ledger:
    """`seen` frames at the ports, `sent` frames in records, `lost` frames by cause; `filtered` were not asked for."""

    seen: int = 0
    sent: int = 0
    lost: Mapping[str, int] = field(default_factory=dict)
    filtered: int = 0

    @property
    def lost_total(self) -> int:
        """Frames lost, all causes."""
        return sum(self.lost.values())

    @property
    def missing(self) -> int:
        """Frames that nothing accounts for; 0 when the ledger adds up, negative when frames were counted twice."""
        return self.seen - self.sent - self.filtered - self.lost_total

    @property
    def balanced(self) -> bool:
        """Whether every frame seen is sent, filtered out on request, or lost by a named cause."""
        return self.missing == 0

    def __add__(self, other: Ledger) -> Ledger:
        lost = Counter(self.lost)
        lost.update(other.lost)
        return Ledger(self.seen + other.seen, self.sent + other.sent, dict(lost), self.filtered + other.filtered)

    def since(self, before: Ledger) -> Ledger:
        """The difference to an earlier ledger of the same node; causes that did not move are left out."""
        causes = set(self.lost) | set(before.lost)
        lost = {c: self.lost.get(c, 0) - before.lost.get(c, 0) for c in causes}
        kept = {c: n for c, n in sorted(lost.items()) if n}
        return Ledger(self.seen - before.seen, self.sent - before.sent, kept, self.filtered - before.filtered)

    def moved(self, cause: str, frames: int) -> Ledger:
        """The same frames seen, with `frames` of them lost by `cause` instead of sent."""
        if not frames:
            return self
        lost = dict(self.lost)
        lost[cause] = lost.get(cause, 0) + frames
        return Ledger(self.seen, self.sent - frames, lost, self.filtered)

    def without(self, frames: int) -> Ledger:
        """The same frames seen, with `frames` of them filtered out instead of sent."""
        return Ledger(self.seen, self.sent - frames, self.lost, self.filtered + frames) if frames else self

    def to_dict(self) -> dict[str, object]:
        """The JSON of DESIGN section 6: `seen`, `sent`, `lost{cause: n}`, `filtered`."""
        lost = dict(sorted(self.lost.items()))
        return {"seen": self.seen, "sent": self.sent, "lost": lost, "filtered": self.filtered}


def merge(ledgers: Iterable[Ledger]) -> Ledger:
    """The sum over nodes."""
    return sum(ledgers, Ledger())
