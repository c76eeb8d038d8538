"""The record of one VM's move (`bascule-run/1`): phases, outage, probes, and how both sides fared meanwhile.

Times are CLOCK_REALTIME nanoseconds (`*_ns`). The outage is from the last answer that the address gave before it was
silent to the first one after its start, at the place that asked most often.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bascule.continuity.series import measure
from bascule.migration.machine import APPLY, VERIFY
from bascule.migration.run import Deed

FORMAT = "bascule-run/1"
Doc = dict[str, Any]
Point = Sequence[int | None]
PHASES = (
    ("stop", "stop", APPLY),
    ("silent", "stop", VERIFY),
    ("disks", "disks", APPLY),
    ("start", "start", APPLY),
    ("first answer", "start", VERIFY),
)


@dataclass(frozen=True, slots=True)
class Stream:
    """One series of probes: `role` is moving, old side or cluster, `vm` whom it asked."""

    role: str
    vm: str
    kind: str
    place: str
    address: str
    interval_ms: float
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Outage:
    """`ms` None while one of both ends is not known."""

    last_ns: int | None
    first_ns: int | None

    @property
    def ms(self) -> float | None:
        """Milliseconds between them."""
        if self.last_ns is None or self.first_ns is None or self.first_ns < self.last_ns:
            return None
        return round((self.first_ns - self.last_ns) / 1e6, 3)


def outage(points: Sequence[Point], stopped_ns: int, started_ns: int) -> Outage:
    """The last answer before `started_ns` and the first one after it; `stopped_ns` is when the stop was asked for.
    An answer between both counts as before: the source was still there."""
    answers = sorted(int(rx) for _, _, rx in points if rx is not None)
    before = [rx for rx in answers if rx < started_ns]
    after = [rx for rx in answers if rx >= started_ns]
    return Outage(before[-1] if before and stopped_ns else None, after[0] if after else None)


def phases(deeds: Iterable[Deed]) -> list[Doc]:
    """When each phase began and how long it took, of the actions that succeeded; a phase done twice counts last."""
    by = {(deed.step, deed.action): deed for deed in deeds if deed.ok}
    found = []
    for name, step, action in PHASES:
        deed = by.get((step, action))
        if deed is not None:
            began, ended = deed.evidence.get("began_ns"), deed.evidence.get("ended_ns")
            ms = round((ended - began) / 1e6, 1) if isinstance(began, int) and isinstance(ended, int) else None
            found.append({"phase": name, "began_ns": began, "ended_ns": ended, "ms": ms})
    return found


def probe(stream: Stream) -> Doc:
    """One stream with its figures: seen + lost = sent."""
    found = measure(stream.points, stream.interval_ms)
    return {
        "role": stream.role, "vm": stream.vm, "kind": stream.kind, "from": stream.place, "address": stream.address,
        "interval_ms": stream.interval_ms, "sent": found.sent, "seen": found.sent - found.lost, "lost": found.lost,
        "longest_gap_ms": found.longest_gap_ms, "longest_gap_at_ns": found.longest_gap_at_ns,
        "series": [list(point) for point in stream.points],
    }  # fmt: skip


def record(vm: Mapping[str, Any], deeds: Sequence[Deed], streams: Sequence[Stream], missing: Mapping[str, str]) -> Doc:
    """The whole record of one VM of a plan's document, as far as its run has come."""
    last = deeds[-1] if deeds else None
    start = next((d.evidence for d in reversed(deeds) if (d.step, d.action, d.ok) == ("start", VERIFY, True)), {})
    copied = next((d.evidence for d in reversed(deeds) if (d.step, d.action, d.ok) == ("disks", APPLY, True)), {})
    stopped = next((d.evidence for d in reversed(deeds) if (d.step, d.action, d.ok) == ("stop", VERIFY, True)), {})
    nics = start.get("nics") or [
        {"nic": nic["name"], "vlan": nic["vlan"], "ip": nic["ip"], "mac": nic["mac"]} for nic in vm["nics"]
    ]
    return {
        "format": FORMAT, "vm": vm["name"], "key": vm["key"], "target": vm["target"],
        "namespace": last.namespace if last else "", "wave": vm["wave"], "plan": last.plan if last else "",
        "node": start.get("node", ""), "nics": nics, "phases": phases(deeds),
        "outage": {"ms": start.get("outage_ms"), "last_answer_ns": start.get("last_answer_ns"),
                   "first_answer_ns": start.get("first_answer_ns"), "from": start.get("outage_from", "")},
        "fence": {"silent_before_start": start.get("fence") or [], "silent_after_stop": stopped.get("silent") or []},
        "disks": copied.get("disks") or [], "probes": [probe(s) for s in streams],
        "failed": [{"step": d.step, "action": d.action, "why": d.evidence.get("why", ""), "at": d.at}
                   for d in deeds if not d.ok],
        "missing": dict(missing),
    }  # fmt: skip
