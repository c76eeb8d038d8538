"""The minute after a move: what was still fine at the cut-over and broke later.

A shipped L2 product loses TCP sessions 12 to 20 s after the cut-over, when the source node removes the old endpoint
(CORE-13427), so a move is not over when the VM answers. The watch keeps the TCP session of the move and asks slowly by
ICMP; its series is folded into seconds, because sixty seconds of probes would be most of a record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bascule.continuity.series import Point, measure

SECONDS = 60.0
WINDOW_S = (12.0, 20.0)
LATE_S = 5.0
NEAR_S = 2.0
STATES = ("waiting", "running", "done", "interrupted")
LOST_LISTED = 200


def aftershock(
    state: str, from_ns: int | None, until_ns: int | None, probes: Sequence[Mapping[str, Any]] = (), why: str = ""
) -> dict[str, Any]:
    """The record's key `aftershock`. `from_ns` is the cut-over (CLOCK_REALTIME), `until_ns` when the watch ended or is
    to end; the window in which CORE-13427 strikes is marked whether anything happened there or not."""
    window = [from_ns + round(edge * 1e9) for edge in WINDOW_S] if from_ns else None
    return {
        "state": state,
        "seconds": SECONDS,
        "from_ns": from_ns,
        "until_ns": until_ns,
        "window_ns": window,
        "probes": [dict(probe) for probe in probes],
        "why": why,
    }


def folded(
    kind: str,
    vantage: str,
    address: str,
    interval_ms: float,
    series: Sequence[Point],
    from_ns: int,
    error: str = "",
    error_ns: int | None = None,
    retransmits: int = 0,
) -> dict[str, Any]:
    """One probe of the watch: its figures, and per second since `from_ns` (the vantage point's clock) `[second, sent,
    lost]`; seconds in which nothing was sent are left out."""
    stats = measure(series, interval_ms)
    seconds: dict[int, list[int]] = {}
    lost_at = []
    for _, tx, rx in series:
        row = seconds.setdefault(int((int(tx or 0) - from_ns) // 1_000_000_000), [0, 0])
        row[0] += 1
        if rx is None:
            row[1] += 1
            lost_at.append(int(tx or 0))
    return {
        "kind": kind,
        "from": vantage,
        "address": address,
        "interval_ms": interval_ms,
        "sent": stats.sent,
        "lost": stats.lost,
        "longest_gap_ms": stats.longest_gap_ms,
        "longest_gap_at_ns": stats.longest_gap_at_ns,
        "lost_window_ms": stats.lost_window_ms,
        "lost_window_at_ns": stats.lost_window_at_ns,
        "reordered": stats.reordered,
        "lost_at_ns": lost_at[:LOST_LISTED],
        "seconds": [[second, *row] for second, row in sorted(seconds.items())],
        "error": error,
        "error_ns": error_ns,
        "retransmits": retransmits,
    }


def after_s(record: Mapping[str, Any], at_ns: int) -> float | None:
    """Seconds from the cut-over to `at_ns`; None when the cut-over is not known."""
    start = (record.get("aftershock") or {}).get("from_ns") or record.get("cut_ns")
    return None if start is None else (at_ns - start) / 1e9


def in_window(seconds: float | None) -> bool:
    """Is this the time in which a late removal of the source endpoint is known to strike?"""
    return seconds is not None and WINDOW_S[0] <= seconds <= WINDOW_S[1]
