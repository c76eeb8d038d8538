"""A probe series and what it proves: sent, lost, the longest silence, the longest run of lost probes, round trips.

A series is `[[seq, tx_ns, rx_ns or None], …]`, one entry per probe sent, in sending order; times are one clock's
nanoseconds. Two measures of an outage stand side by side, because they fail differently:

* **longest gap**: the longest time in which no reply arrived. The instants are the first tx, every rx in order, and
  the last tx; the gap is the largest distance between neighbours. So silence at the start counts, and so does silence
  that never ends. A block of B ms shows as more than B and less than B + 2 intervals (+ RTT jitter): what a user feels.
  Time in which nobody asked is no silence: where a probe leaves more than two intervals after an answered one (the
  prober itself was kept waiting), the observation ends with that answer and begins anew.
* **lost window**: over every run of consecutive lost probes, the tx of the next answered probe minus the tx of the
  run's first lost one; the largest. A run that never ends is closed by the last tx plus one interval. A block of B ms
  shows as B ± one interval whatever the RTT: what the network did. A late answer is no loss here.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

Point = Sequence[int | None]

LIMIT = 20_000


@dataclass(frozen=True, slots=True)
class SeriesStats:
    """Figures of one series: counts, milliseconds, and the nanosecond at which each outage began (None: nothing)."""

    sent: int = 0
    lost: int = 0
    longest_gap_ms: float | None = None
    longest_gap_at_ns: int | None = None
    lost_window_ms: float = 0.0
    lost_window_at_ns: int | None = None
    rtt_before_ms: float | None = None
    rtt_after_ms: float | None = None
    reordered: int = 0


def measure(series: Sequence[Point], interval_ms: float, cut_ns: int | None = None) -> SeriesStats:
    """The figures of a series sent every `interval_ms`; `cut_ns` (cut-over) splits the RTT medians in before, after."""
    points = [(int(tx), rx) for _, tx, rx in series if tx is not None]
    if not points:
        return SeriesStats()
    interval_ns = round(interval_ms * 1e6)
    gap, gap_at = _longest_gap(points, interval_ns)
    window, window_at = _lost_window(points, interval_ns)
    before = [rx - tx for tx, rx in points if rx is not None and (cut_ns is None or tx < cut_ns)]
    after = [rx - tx for tx, rx in points if rx is not None and cut_ns is not None and tx >= cut_ns]
    return SeriesStats(
        sent=len(points),
        lost=sum(rx is None for _, rx in points),
        longest_gap_ms=_ms(gap),
        longest_gap_at_ns=gap_at,
        lost_window_ms=_ms(window),
        lost_window_at_ns=window_at,
        rtt_before_ms=_ms(median(before)) if before else None,
        rtt_after_ms=_ms(median(after)) if after else None,
        reordered=_reordered(points),
    )


def _reordered(points: list[tuple[int, int | None]]) -> int:
    """Replies that came after the reply to a probe sent later."""
    found, earliest = 0, None
    for _, rx in reversed(points):
        if rx is None:
            continue
        found += earliest is not None and rx > earliest
        earliest = rx if earliest is None else min(earliest, rx)
    return found


def _ms(nanoseconds: float) -> float:
    return round(nanoseconds / 1e6, 3)


def _longest_gap(points: list[tuple[int, int | None]], interval_ns: int) -> tuple[int, int]:
    """The longest time without any reply, and when it began. Whose reply it is does not matter: ARP's answers have no
    number, so a late one may stand at a probe of another observation."""
    best = (0, points[0][0])
    replies = sorted(rx for _, rx in points if rx is not None)
    for part in _observations(points, interval_ns):
        # A reply can come after the last tx: the end of the observation is whichever is later.
        began, ended = part[0][0], max(part[-1][0], *(rx for _, rx in part if rx is not None), 0)
        within = replies[bisect_right(replies, began) : bisect_left(replies, ended)]
        best = max([best, *((b - a, a) for a, b in pairwise((began, *within, ended)))], key=lambda item: item[0])
    return best


def _observations(points: list[tuple[int, int | None]], interval_ns: int) -> list[list[tuple[int, int | None]]]:
    parts = [[points[0]]]
    for (last_tx, last_rx), point in pairwise(points):
        if last_rx is not None and point[0] - last_tx > 2 * interval_ns:
            parts.append([])
        parts[-1].append(point)
    return parts


def _lost_window(points: list[tuple[int, int | None]], interval_ns: int) -> tuple[int, int | None]:
    best: tuple[int, int | None] = (0, None)
    began: int | None = None
    for tx, rx in [*points, (points[-1][0] + interval_ns, 0)]:
        if rx is None:
            began = tx if began is None else began
        elif began is not None:
            best = max(best, (tx - began, began), key=lambda item: item[0])
            began = None
    return best


class SeriesLog:
    """Collects probes as they are reported: new ones, answers that come late, duplicates.

    At most `limit` probes are held (100 s at 5 ms); what is older is folded into `folded_sent` and `folded_lost`, so
    that a move that takes an hour neither fills the memory nor loses a count. Gaps are those of the probes held.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._points: dict[int, list[int | None]] = {}
        self._limit = limit
        self._closed = False
        self._floor = -1
        self.duplicates = 0
        self.folded_sent = 0
        self.folded_lost = 0

    def __len__(self) -> int:
        return len(self._points)

    def add(self, seqs: Iterable[int], tx_ns: Iterable[int], rx_ns: Iterable[int], duplicates: int = 0) -> None:
        """One batch, arrays of equal length; rx 0 is "not answered yet". A known seq takes the answer it lacks."""
        self.duplicates += duplicates
        for seq, tx, rx in zip(seqs, tx_ns, rx_ns, strict=True):
            known = self._points.get(seq)
            if known is None:
                if not self._closed and seq > self._floor:
                    self._points[seq] = [seq, tx, rx or None]
            elif known[2] is None and rx:
                known[2] = rx
        while len(self._points) > self._limit:
            self._floor = next(iter(self._points))
            oldest = self._points.pop(self._floor)
            self.folded_sent += 1
            self.folded_lost += oldest[2] is None

    def close(self) -> None:
        """Take no new probe from now on, only answers to those already sent."""
        self._closed = True

    def points(self) -> list[list[int | None]]:
        """A copy of the series in sending order."""
        return [list(point) for point in sorted(self._points.values(), key=lambda point: point[1] or 0)]
