"""The bookkeeping of one prober: which probes are out, which came back, what has not been reported yet.

Two threads write (the sender and the receiver), the event loop drains. Numbers are never reused, so a late answer
finds its probe however far the 16-bit counter on the wire has wrapped; only the newest `WINDOW` probes are remembered.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

WINDOW = 200_000


@dataclass(frozen=True, slots=True)
class Drained:
    """What happened since the last drain: arrays of equal length, rx 0 for what is still out. `neighbour` is the MAC
    of the namespace's own ARP entry ("" for none), `retransmits` counts TCP segments sent again since the start.
    `answered_by` are the MACs that answered an ARP probe since the last drain."""

    seq: list[int]
    tx_ns: list[int]
    rx_ns: list[int]
    duplicates: int
    error: str
    neighbour: str = ""
    retransmits: int = 0
    answered_by: tuple[str, ...] = ()


class Ledger:
    """Thread-safe; every probe is reported once when sent, and once more if its answer came after that report."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._out: dict[int, int] = {}
        self._answered: dict[int, None] = {}
        self._fresh: dict[int, tuple[int, int]] = {}
        self._duplicates = 0
        self._error = ""

    def sent(self, seq: int, tx_ns: int) -> None:
        """A probe is about to leave (called before the send, so that no answer can overtake it)."""
        with self._lock:
            self._out[seq] = tx_ns
            self._fresh[seq] = (tx_ns, 0)
            if len(self._out) > WINDOW:
                self._out.pop(next(iter(self._out)))

    def withdraw(self, seq: int) -> None:
        """It did not leave after all, and is no probe."""
        with self._lock:
            self._out.pop(seq, None)
            self._fresh.pop(seq, None)

    def answered(self, seq: int, rx_ns: int) -> None:
        """An answer came; a second one for the same probe is a duplicate, one for an unknown probe is nobody's."""
        with self._lock:
            tx_ns = self._out.pop(seq, None)
            if tx_ns is None:
                self._duplicates += seq in self._answered
                return
            self._fresh[seq] = (tx_ns, rx_ns)
            self._answered[seq] = None
            if len(self._answered) > WINDOW:
                self._answered.pop(next(iter(self._answered)))

    def failed(self, error: str) -> None:
        """Keep the first error that is worth reporting."""
        with self._lock:
            self._error = self._error or error

    def drain(self) -> Drained:
        """Take what is new; duplicates are those since the last drain, the error stays."""
        with self._lock:
            fresh, self._fresh = self._fresh, {}
            duplicates, self._duplicates = self._duplicates, 0
            error = self._error
        order = sorted(fresh)
        return Drained(order, [fresh[seq][0] for seq in order], [fresh[seq][1] for seq in order], duplicates, error)
