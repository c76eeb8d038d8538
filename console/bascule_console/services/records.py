"""Move records of every node, newest first, completed by migrations that no agent has a record of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bascule.errors import BasculeError
from bascule_console.services.agents import Agents, MoveUpdate
from bascule_console.services.cluster import list_if_served
from bascule_console.services.reports import Answers, ask_all
from bascule_console.store.nodes import AgentTarget
from bascule_console.store.vms import migration_target
from bascule_kube import Cluster
from bascule_kube.kinds import NODE, VMIM


class NoSuchMove(BasculeError):
    """No record matches."""


async def move_records(cluster: Cluster, agents: Agents) -> tuple[list[Mapping[str, Any]], Answers]:
    """Every record that the agents hold, newest first."""

    async def ask(agent: AgentTarget) -> list[MoveUpdate]:
        return [update async for update in agents.moves(agent)]

    answers = Answers()
    found = await ask_all([*await cluster.list(NODE)], ask, answers)
    records = [update.record for updates in found.values() for update in updates]
    return sorted(records, key=lambda record: str(record.get("started") or ""), reverse=True), answers


async def move_rows(cluster: Cluster, records: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per move: from its record, or from its VMIM when no agent has one."""
    rows = [record_row(record) for record in records]
    known = {row["migration_uid"] for row in rows}
    for vmim in await list_if_served(cluster, VMIM):
        if vmim["metadata"].get("uid") not in known:
            rows.append(_migration_row(vmim))
    return sorted(rows, key=lambda row: str(row["started"] or ""), reverse=True)


def record_row(record: Mapping[str, Any]) -> dict[str, Any]:
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
        "complete": bool(record.get("complete")),
    }


def find_record(records: list[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    """The newest record of VM `name` or `namespace/name`, or the one of that migration. Raises NoSuchMove."""
    for record in records:
        vm, namespace = record.get("vm"), record.get("namespace")
        if name in (vm, f"{namespace}/{vm}", record.get("migration"), record.get("migration_uid")):
            return record
    raise NoSuchMove(
        f"no agent has a record of a move {name!r}",
        cause="a record is kept by the agent of the move's target, while it runs",
        fix="bascule moves list",
    )


def _migration_row(vmim: Mapping[str, Any]) -> dict[str, Any]:
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
        "complete": False,
    }
