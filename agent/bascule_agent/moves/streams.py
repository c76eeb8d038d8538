"""Probe streams of one move as they come in: points, late answers, what the session and the ARP table say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bascule.continuity import Probe, SeriesLog, folded
from bascule.protocol.gen.agent_pb2 import ProbeBatch

INTERVAL_MS = {"icmp": 5.0, "arp": 5.0, "tcp-echo": 20.0}
AFTER_INTERVAL_MS = 50.0
INTERVAL_ANNOTATION = "bascule.dev/probe-interval-ms"
LEAST_MS, MOST_MS = 1.0, 1000.0
RETRANSMITS_LISTED = 200


def intervals(annotations: Mapping[str, str]) -> dict[str, float]:
    """Interval in ms by kind: the defaults, or what the VMIM's annotation asks for all of them (1 to 1000)."""
    try:
        asked = float(annotations.get(INTERVAL_ANNOTATION, ""))
    except ValueError:
        return dict(INTERVAL_MS)
    if not LEAST_MS <= asked <= MOST_MS:
        return dict(INTERVAL_MS)
    return dict.fromkeys(INTERVAL_MS, asked)


@dataclass(slots=True)
class Stream:
    """One probe stream: from where, of what, and what it has said so far. `after` collects what is sent once the
    record's own series is closed."""

    kind: str
    vantage: str
    address: str
    interval_ms: float = 0.0
    points: SeriesLog = field(default_factory=SeriesLog)
    error: str = ""
    error_ns: int | None = None
    clock: Mapping[str, Any] | None = None
    neighbour: str = ""
    retransmits: list[list[int]] = field(default_factory=list)
    after: SeriesLog | None = None
    _before: str = ""

    def __post_init__(self) -> None:
        self.interval_ms = self.interval_ms or INTERVAL_MS[self.kind]

    def take(self, batch: ProbeBatch, now_ns: int) -> None:
        """Add a batch that came at `now_ns`."""
        self.points.add(batch.seq, batch.tx_ns, batch.rx_ns, batch.duplicates)
        if self.after is not None:
            self.after.add(batch.seq, batch.tx_ns, batch.rx_ns, batch.duplicates)
        if batch.error and not self.error:
            self.error, self.error_ns = batch.error, now_ns
        self.neighbour = batch.neighbour or self.neighbour
        known = self.retransmits[-1][1] if self.retransmits else 0
        if batch.retransmits > known and len(self.retransmits) < RETRANSMITS_LISTED:
            self.retransmits.append([batch.tx_ns[-1] if batch.tx_ns else now_ns, batch.retransmits])
        if batch.HasField("clock"):
            clock = batch.clock
            self.clock = {"offset_ns": clock.offset_ns, "error_ns": clock.error_ns, "source": clock.source}

    def watch_after(self) -> None:
        """The record's own series is closed: what is sent from now on belongs to the after-shock watch. An error from
        now on is the watch's too."""
        self.points.close()
        self.after = SeriesLog()
        self._before = self.error

    def probe(self) -> Probe:
        """The stream as a part of the record."""
        return Probe(
            kind=self.kind,
            source=self.vantage,
            address=self.address,
            interval_ms=self.interval_ms,
            series=self.points.points(),
            duplicates=self.points.duplicates,
            folded_sent=self.points.folded_sent,
            folded_lost=self.points.folded_lost,
            error=self.error if self.after is None else self._before,
            clock=self.clock,
            neighbour=self.neighbour,
            retransmits_at=self.retransmits,
        )

    def aftershock(self, from_ns: int) -> dict[str, Any]:
        """What it said since the record was closed, as a probe of `aftershock`."""
        log = self.after or SeriesLog()
        offset = int((self.clock or {}).get("offset_ns", 0))
        return folded(
            self.kind,
            self.vantage,
            self.address,
            self.interval_ms,
            log.points(),
            from_ns + offset,
            self.error,
            self.error_ns,
            self.retransmits[-1][1] if self.retransmits else 0,
        )
