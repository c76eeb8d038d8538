"""Move records of every node, newest first, and the one that is asked for by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bascule.continuity import Record
from bascule.errors import BasculeError
from bascule.resources.kubevirt import Migration
from bascule_console.services.agents import Agents, MoveUpdate
from bascule_console.services.cluster import list_if_served
from bascule_console.services.reports import Answers, ask_all
from bascule_console.store import movebook
from bascule_console.store.movebook import record_row
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
    return movebook.move_rows([record_row(record) for record in records], await list_if_served(cluster, VMIM))


def find_record(records: list[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    """The newest record of VM `name` or `namespace/name`, or the one of that migration. Raises NoSuchMove."""
    for record in records:
        if is_named(record, name):
            return record
    raise NoSuchMove(
        f"no agent has a record of a move {name!r}",
        cause="a record is kept by the agent of the move's target, while it runs",
        fix="bascule moves list",
    )


def is_named(record: Mapping[str, Any], name: str) -> bool:
    """Is this the record of that VM, or of that migration?"""
    vm, namespace = record.get("vm"), record.get("namespace")
    return name in (vm, f"{namespace}/{vm}", record.get("migration"), record.get("migration_uid"))


async def records_of_migrations(cluster: Cluster) -> list[Mapping[str, Any]]:
    """What the VMIMs alone tell, newest first, for moves of which no agent has a record: one that never got a target
    has nobody to keep it. Only those that have ended."""
    found = [record_of(vmim) for vmim in await list_if_served(cluster, VMIM) if Migration.of(vmim).ended]
    return sorted(found, key=lambda record: str(record["started"] or ""), reverse=True)


def record_of(vmim: Mapping[str, Any]) -> dict[str, Any]:
    """A record (schema.json) made of a VMIM's own words: nothing was measured, and `missing` says so."""
    migration = Migration.of(vmim)
    state = migration.state
    target = (state.target_node if state else "") or migration_target(vmim) or "?"
    record = Record(migration.meta.uid, migration.vmi, migration.meta.namespace, target, complete=True)
    record.migration, record.source = migration.name, state.source_node if state else ""
    record.phases = [{"phase": phase, "at": at or None} for phase, at in migration.transitions]
    record.started = (state.started if state else "") or migration.meta.created or None
    record.ended = (state.ended if state else "") or None
    record.failure = state.failure_reason if state else ""
    why = "no agent that answers has one: the move never came to a target, or its agent is silent"
    record.missing = {"record": why}
    return record.to_json()
