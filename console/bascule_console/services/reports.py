"""What every node's agent reports, asked at once, with the silent ones named instead of left out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bascule.errors import BasculeError, PartialError
from bascule_console.services.agents import Agents
from bascule_console.services.cluster import list_if_served
from bascule_console.store.nodereports import node_document
from bascule_console.store.nodes import AgentTarget, agent_target, node_name
from bascule_kube import Cluster
from bascule_kube.kinds import LEASE, NODE

T = TypeVar("T")
LEASES = "bascule-system"


@dataclass
class Answers:
    """What came back, by node, and why the others are silent."""

    silent: dict[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0, or DESIGN section 5's "partial" when some nodes are silent."""
        return PartialError.exit_code if self.silent else 0


async def ask_all(
    nodes: list[Mapping[str, Any]], ask: Callable[[AgentTarget], Awaitable[T]], answers: Answers
) -> dict[str, T]:
    """`ask` of every node's agent at once, by node name; who does not answer goes to `answers.silent`."""

    async def one(node: Mapping[str, Any]) -> T | None:
        agent = agent_target(node)
        if agent is None:
            answers.silent[node_name(node)] = "its Node has no annotation bascule.dev/agent: no agent runs there"
            return None
        try:
            return await ask(agent)
        except BasculeError as error:
            answers.silent[node_name(node)] = f"{error.message}: {error.cause}" if error.cause else error.message
            return None

    found = await asyncio.gather(*(one(node) for node in nodes))
    return {node_name(n): answer for n, answer in zip(nodes, found, strict=True) if answer is not None}


async def node_reports(cluster: Cluster, agents: Agents, only: str = "") -> tuple[list[dict[str, Any]], Answers]:
    """One document per node (DESIGN section 6, `nodes list`), by name; a silent agent leaves `agent: null`.

    `only` asks one node. Raises NotFound for a node that is not there.
    """
    nodes: list[Mapping[str, Any]] = [await cluster.get(NODE, only)] if only else [*await cluster.list(NODE)]
    leases = {lease["metadata"]["name"]: lease for lease in await list_if_served(cluster, LEASE)}
    answers = Answers()
    reports = await ask_all(nodes, agents.node_report, answers)
    documents = [node_document(node, reports.get(node_name(node)), _renewed(leases, node_name(node))) for node in nodes]
    return sorted(documents, key=lambda document: str(document["name"])), answers


def _renewed(leases: Mapping[str, Mapping[str, Any]], node: str) -> str:
    spec = (leases.get(f"agent-{node}") or {}).get("spec") or {}
    return str(spec.get("renewTime") or "")
