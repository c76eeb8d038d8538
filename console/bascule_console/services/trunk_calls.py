"""The agents' trunk methods: proof, candidates, plan, a word on a change. Each is one call of one agent."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from bascule_console.services.agents import AgentError, Agents, _named
from bascule_console.store.nodes import AgentTarget

PROOF_TIMEOUT_S = 30.0
Row = dict[str, Any]


class TrunkAgents(Agents):
    """Agents, with what they answer about their trunks. Every method raises AgentError and AgentRefused."""

    async def prove(self, agent: AgentTarget, network: str = "", vlans: Iterable[int] = (), mtu: int = 0) -> list[Row]:
        """The node's cells of the matrix."""
        from bascule.protocol.gen import agent_pb2

        request = agent_pb2.TrunkProofRequest(network=network, vlans=list(vlans), mtu=mtu)
        return _rows(agent, await self._call(agent, "TrunkProof", request))

    async def candidates(self, agent: AgentTarget, listen_seconds: float) -> list[Row]:
        """Links that could be a trunk."""
        from bascule.protocol.gen import agent_pb2

        request = agent_pb2.CandidatesRequest(listen_seconds=listen_seconds)
        return _rows(agent, await self._call(agent, "Candidates", request))

    async def plan(self, agent: AgentTarget, network: Row | None) -> Row:
        """What the node would do with this Network; None for all as they are."""
        from bascule.protocol.gen import agent_pb2

        text = json.dumps(network) if network else ""
        return _row(agent, await self._call(agent, "Plan", agent_pb2.PlanRequest(network_json=text)))

    async def answer(self, agent: AgentTarget, change: str, keep: bool) -> Row:
        """Confirm the change that waits, or take it back."""
        from bascule.protocol.gen import agent_pb2

        method = "Confirm" if keep else "Rollback"
        return _row(agent, await self._call(agent, method, agent_pb2.ChangeRequest(change=change)))

    async def _call(self, agent: AgentTarget, method: str, request: Any) -> Any:
        with _named(agent):
            stub, metadata = await self._dial(agent)
            reply = await getattr(stub, method)(request, metadata=metadata, timeout=PROOF_TIMEOUT_S)
        try:
            return json.loads(reply.json)
        except ValueError as error:
            raise AgentError(f"the agent of {agent.node} sent broken JSON", cause=str(error)) from error


def _rows(agent: AgentTarget, value: Any) -> list[Row]:
    if not isinstance(value, list):
        raise AgentError(f"the agent of {agent.node} sent no list", cause=str(value)[:80])
    return [row for row in value if isinstance(row, dict)]


def _row(agent: AgentTarget, value: Any) -> Row:
    if not isinstance(value, dict):
        raise AgentError(f"the agent of {agent.node} sent no object", cause=str(value)[:80])
    return value
