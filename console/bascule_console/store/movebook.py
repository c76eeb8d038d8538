"""Moves as rows and records: what the agents' streams told, completed by migrations that no agent has a record of.

A row is the JSON of `bascule moves list`. Rows are kept for all moves, whole records for the newest only: one holds
every probe that was sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bascule_console.store.inventory import Object
from bascule_console.store.topics import MOVES, Topics
from bascule_console.store.vms import migration_target

RECORDS_KEPT = 100
Row = dict[str, Any]


class MoveBook:
    """Records by migration uid; every change touches the topic `moves`."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._rows: dict[str, Row] = {}
        self._records: dict[str, Mapping[str, Any]] = {}

    def keep(self, uid: str, record: Mapping[str, Any]) -> None:
        """Add or replace one record; the oldest whole records are let go, their rows stay."""
        self._rows[uid] = record_row(record)
        self._records[uid] = record
        if len(self._records) > RECORDS_KEPT:
            oldest = min(self._records, key=lambda each: str(self._rows[each]["started"] or "~"))
            del self._records[oldest]
        self._topics.touch(MOVES)

    def rows(self, migrations: Iterable[Object]) -> list[Row]:
        """Every move, newest first; one that no record is held of is made from its VMIM."""
        return move_rows(list(self._rows.values()), migrations)

    def newest(self, namespace: str, vm: str) -> Mapping[str, Any] | None:
        """The newest whole record of one VM."""
        found = [r for r in self._records.values() if (r.get("namespace"), r.get("vm")) == (namespace, vm)]
        return max(found, key=lambda record: str(record.get("started") or ""), default=None)

    def record(self, uid: str) -> Mapping[str, Any] | None:
        """The whole record; None when no agent told one, or it is too long ago."""
        return self._records.get(uid)


def move_rows(rows: list[Row], migrations: Iterable[Object]) -> list[Row]:
    """Rows of records and of the VMIMs that no record is there for, newest first."""
    known = {row["migration_uid"] for row in rows}
    others = [migration_row(vmim) for vmim in migrations if vmim["metadata"].get("uid") not in known]
    return sorted([*rows, *others], key=lambda row: str(row["started"] or ""), reverse=True)


def record_row(record: Mapping[str, Any]) -> Row:
    """The row of one record; `lost`, `sent` and `longest_gap_ms` are those of its worst ICMP probe."""
    icmp = [probe for probe in record.get("probes") or [] if probe.get("kind") == "icmp"]
    worst: Mapping[str, Any] = max(icmp, key=lambda probe: probe.get("lost") or 0, default={})
    keys = ("migration", "migration_uid", "vm", "namespace", "source", "target", "started", "ended", "verdict")
    return {
        "name": record.get("vm"),
        **{key: record.get(key) for key in keys},
        "phase": next((phase.get("phase") for phase in reversed(record.get("phases") or [])), ""),
        **{key: worst.get(key) for key in ("lost", "sent", "longest_gap_ms")},
        "missing": record.get("missing") or [],
        "failure": record.get("failure") or "",
        "complete": bool(record.get("complete")),
    }


def migration_row(vmim: Object) -> Row:
    """The row of a migration that no agent has a record of."""
    meta, status = vmim["metadata"], vmim.get("status") or {}
    state = status.get("migrationState") or {}
    name = (vmim.get("spec") or {}).get("vmiName", "")
    return {
        "name": name,
        "migration": meta.get("name"),
        "migration_uid": meta.get("uid"),
        "vm": name,
        "namespace": meta.get("namespace", ""),
        "source": state.get("sourceNode", ""),
        "target": state.get("targetNode") or migration_target(vmim),
        "started": state.get("startTimestamp") or meta.get("creationTimestamp"),
        "ended": state.get("endTimestamp"),
        "verdict": None,
        "phase": status.get("phase") or "Pending",
        "lost": None,
        "sent": None,
        "longest_gap_ms": None,
        "missing": ["record"],
        "failure": state.get("failureReason") or "",
        "complete": False,
    }
