"""What happened in one move, in order: API phases, the hypervisor, the ports, the probes, on one axis.

API times have a resolution of one second, so a phase is placed by its text and never used to measure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Moment:
    """One event: CLOCK_REALTIME ns, who says so (`api`, `hypervisor`, `port`, `source`, `probe`), and what."""

    at_ns: int
    source: str
    text: str


def timeline(record: Mapping[str, Any]) -> list[Moment]:
    """All moments of a record (JSON shape of schema.json), oldest first; equal times keep their source's order."""
    moments = [*_phases(record), *_hypervisor(record), *_ports(record), *_probes(record)]
    return sorted(moments, key=lambda moment: moment.at_ns)


def iso_to_ns(text: str) -> int:
    """An API time (RFC 3339) as ns since the epoch."""
    moment = datetime.fromisoformat(text)
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000


def _phases(record: Mapping[str, Any]) -> Iterator[Moment]:
    for phase in record["phases"]:
        if phase["at"]:
            yield Moment(iso_to_ns(phase["at"]), "api", f"phase {phase['phase']}")


def _hypervisor(record: Mapping[str, Any]) -> Iterator[Moment]:
    for event in record["hypervisor_events"]:
        status = f" {event['status']}" if event["status"] else ""
        yield Moment(event["at_ns"], "hypervisor", f"{event['event']}{status} on the {event['side']}")


def _ports(record: Mapping[str, Any]) -> Iterator[Moment]:
    for item in record["announcements"]:
        text = f"first {item['kind'].upper()} of the VM's MAC at {item['port']} on {item['node']}"
        yield Moment(item["at"], "port", text)
    half = record["source_half"] or {}
    for nic in half.get("nics", []):
        if nic["moved_ns"]:
            removed = len(nic["entries_removed"])
            yield Moment(
                nic["moved_ns"], "source", f"{half['node']} let go of {nic['port']}, {removed} entries removed"
            )


def _probes(record: Mapping[str, Any]) -> Iterator[Moment]:
    for probe in record["probes"]:
        name = f"{probe['kind']} from {probe['from']}"
        offset = (probe["clock"] or {}).get("offset_ns", 0)
        if probe["lost_window_at_ns"] is not None:
            text = f"{name}: first lost of the longest run, {probe['lost_window_ms']:.1f} ms"
            yield Moment(probe["lost_window_at_ns"] - offset, "probe", text)
        if probe["longest_gap_at_ns"] is not None:
            text = f"{name}: last reply before the longest gap, {probe['longest_gap_ms']:.1f} ms"
            yield Moment(probe["longest_gap_at_ns"] - offset, "probe", text)
