"""Move records of every node, newest first, and the one that is asked for by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bascule.errors import BasculeError
from bascule_console.services.agents import Agents, MoveUpdate
from bascule_console.services.cluster import list_if_served
from bascule_console.services.reports import Answers, ask_all
from bascule_console.store import movebook
from bascule_console.store.movebook import record_row
from bascule_console.store.nodes import AgentTarget
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
        vm, namespace = record.get("vm"), record.get("namespace")
        if name in (vm, f"{namespace}/{vm}", record.get("migration"), record.get("migration_uid")):
            return record
    raise NoSuchMove(
        f"no agent has a record of a move {name!r}",
        cause="a record is kept by the agent of the move's target, while it runs",
        fix="bascule moves list",
    )
