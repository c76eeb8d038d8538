"""What the API objects say about a move, as parts of its record. Pure: documents in, values out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bascule.continuity import Record, judged
from bascule.resources.kubevirt import Migration

EVENTS_ANNOTATION = "bascule.dev/hypervisor-events"
MAX_EVENTS = 200
RAM = ("ram_bytes", "ram_mbps", "fault_requests", "fault_stall_ms")


def apply_migration(record: Record, migration: Migration, annotations: Mapping[str, str]) -> None:
    """Copy phases, times, nodes, failure and the hypervisor's own report of a VMIM into the record."""
    record.migration = migration.name
    record.phases = [{"phase": phase, "at": at or None} for phase, at in migration.transitions]
    if not record.phases and migration.phase:
        record.phases = [{"phase": migration.phase, "at": None}]
    state = migration.state
    if state:
        record.source = state.source_node or record.source
        record.failure = state.failure_reason
    record.started = (state.started if state else "") or _first_time(record) or None
    if migration.ended:
        record.ended = (state.ended if state else "") or _last_time(record) or None
    _apply_hypervisor(record, annotations.get(EVENTS_ANNOTATION))


def is_cut_off(document: Mapping[str, Any]) -> bool:
    """Was this record closed because its agent ended, before the migration had?"""
    return "agent" in document["missing_why"] and document["ended"] is None


def ended(document: Mapping[str, Any], migration: Migration, annotations: Mapping[str, str]) -> dict[str, Any]:
    """The same record with what the VMIM says of its end, judged anew; what was measured stays as it is."""
    told = Record(document["migration_uid"], document["vm"], document["namespace"], document["target"])
    apply_migration(told, migration, annotations)
    keys = ("migration", "phases", "started", "ended", "failure", "qemu", "hypervisor_events")
    more: dict[str, Any] = {key: getattr(told, key) for key in keys}
    missing = {**document["missing_why"], **told.missing}
    if told.qemu is not None:
        missing.pop("hypervisor-events", None)
    more |= {"source": told.source or document["source"], "missing_why": missing, "missing": sorted(missing)}
    return judged({**document, **more})


def _first_time(record: Record) -> str:
    return next((str(phase["at"]) for phase in record.phases if phase["at"]), "")


def _last_time(record: Record) -> str:
    return next((str(phase["at"]) for phase in reversed(record.phases) if phase["at"]), "")


def _apply_hypervisor(record: Record, text: str | None) -> None:
    if text is None:
        return
    try:
        document = json.loads(text)
        events = [_event(entry) for entry in document["events"][:MAX_EVENTS]]
        downtime, total = _number(document.get("downtime_ms")), _number(document.get("total_ms"))
        ram = {key: _number(document[key]) for key in RAM if key in document}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        problem = f"annotation {EVENTS_ANNOTATION}: {type(error).__name__}: {error}"
        record.missing["hypervisor-events"] = problem
        return
    record.missing.pop("hypervisor-events", None)
    stop = next((e["at_ns"] for e in reversed(events) if (e["side"], e["event"]) == ("source", "STOP")), None)
    resume = next((e["at_ns"] for e in events if (e["side"], e["event"]) == ("target", "RESUME")), None)
    between = (resume - stop) / 1e6 if stop is not None and resume is not None else None
    if between is not None and between < 0:
        record.missing["stop-to-resume"] = "the two hypervisors' clocks disagree: RESUME before STOP"
        between = None
    record.hypervisor_events = events
    record.qemu = {
        "downtime_ms": downtime,
        "total_ms": total,
        "stop_ns": stop,
        "resume_ns": resume,
        "stop_to_resume_ms": between,
        "mode": str(document.get("mode") or ""),
        **ram,
    }


def _event(entry: Mapping[str, Any]) -> dict[str, Any]:
    side = entry["side"]
    if side not in ("source", "target"):
        raise ValueError(f"side is {side!r}, not source or target")
    return {
        "side": side,
        "event": str(entry["event"]),
        "status": str(entry.get("status") or ""),
        "at_ns": int(entry["at_ns"]),
    }


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
        raise ValueError(f"{value!r} is not a time in milliseconds")
    return value
