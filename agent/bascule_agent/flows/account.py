"""The node's ledger, from what each swap of the maps brings: exact by construction, checked by the port totals.

Flows and port counters are swapped together, so what one swap yields adds up by itself: a port's total is the frames in
its records plus the frames whose insert failed, by errno. Sums are kept here because the kernel's are cleared; they
start with what an agent finds in the maps when it starts.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Mapping

from bascule.flows.ledger import MAP_FULL, Ledger


class Account:
    """Sums over all swaps since this agent started."""

    def __init__(self) -> None:
        self._seen = 0
        self._sent = 0
        self._lost: Counter[str] = Counter()

    def add(self, totals: int, recorded: int, failed: Mapping[int, int]) -> Ledger:
        """One swap: frames by the ports' totals, frames in records, frames by errno of a failed insert."""
        self._seen += totals
        self._sent += recorded
        for code, frames in failed.items():
            self._lost[cause_of(code)] += frames
        return self.ledger

    @property
    def ledger(self) -> Ledger:
        """The sums so far."""
        return Ledger(self._seen, self._sent, dict(self._lost))


def cause_of(code: int) -> str:
    """The loss cause for the errno of a failed map insert: E2BIG is a full map."""
    if code == errno.E2BIG:
        return MAP_FULL
    return f"map-{errno.errorcode.get(code, str(code)).lower()}"
