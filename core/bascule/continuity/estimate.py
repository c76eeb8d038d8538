"""How long a move will take, from moves that were measured; with none to go by it is unknown, and said so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bascule.continuity.timeline import iso_to_ns


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds from creating the migration to its end, and the longest silence to expect; None is unknown. `basis` says
    from what."""

    seconds: float | None
    gap_ms: float | None
    basis: str

    @property
    def words(self) -> str:
        """One line for a person."""
        if self.seconds is None:
            return f"unknown: {self.basis}"
        gap = "" if self.gap_ms is None else f", longest silence {self.gap_ms:.0f} ms"
        return f"{self.seconds:.1f} s{gap} ({self.basis})"


def estimate(records: Iterable[Mapping[str, Any]], vm: str, source: str, target: str) -> Estimate:
    """From past records: of this VM, else between these nodes, else of any VM; succeeded ones only. `vm` is
    `namespace/name`."""
    past = [record for record in records if record.get("complete") and _seconds(record) is not None]
    past = [record for record in past if record["phases"] and record["phases"][-1]["phase"] == "Succeeded"]
    for what, chosen in (
        (f"of {vm}", [r for r in past if f"{r['namespace']}/{r['vm']}" == vm]),
        (f"from {source} to {target}", [r for r in past if (r["source"], r["target"]) == (source, target)]),
        ("of other VMs", past),
    ):
        if chosen:
            return _from(chosen, what)
    return Estimate(None, None, "no move has been measured yet")


def _from(records: Sequence[Mapping[str, Any]], what: str) -> Estimate:
    took = sorted(seconds for record in records if (seconds := _seconds(record)) is not None)
    gaps = [
        probe["longest_gap_ms"]
        for record in records
        for probe in record["probes"]
        if probe["kind"] == "icmp" and probe["longest_gap_ms"] is not None
    ]
    plural = "move" if len(took) == 1 else "moves"
    basis = f"median of {len(took)} measured {plural} {what}, {took[0]:.1f} to {took[-1]:.1f} s"
    return Estimate(round(median(took), 2), round(median(gaps), 1) if gaps else None, basis)


def _seconds(record: Mapping[str, Any]) -> float | None:
    times = [phase["at"] for phase in record.get("phases") or [] if phase["at"]]
    if len(times) < 2:
        return None
    try:
        took = (iso_to_ns(times[-1]) - iso_to_ns(times[0])) / 1e9
    except ValueError:
        return None
    return took if took >= 0 else None
