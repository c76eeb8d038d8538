"""Hits per rule and refusals, asked of every agent: once for a verb, every few seconds for the console."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from bascule.errors import BasculeError
from bascule_console.services.agents import CALL_TIMEOUT_S, AgentError, Agents, _named
from bascule_console.services.policyhits import fold
from bascule_console.services.reports import Answers, ask_all
from bascule_console.store.nodes import AgentTarget
from bascule_console.store.policybook import Hits
from bascule_console.store.store import Store
from bascule_kube import Cluster
from bascule_kube.kinds import NODE

COUNT_EVERY_S = 2.0


async def policies_of(agents: Agents, agent: AgentTarget) -> dict[str, Any]:
    """What one agent says about the policy at its NICs. Raises AgentError, AgentRefused."""
    from bascule.protocol.gen import agent_pb2

    with _named(agent):
        stub, metadata = await agents._dial(agent)
        reply = await stub.Policies(agent_pb2.PoliciesRequest(), metadata=metadata, timeout=CALL_TIMEOUT_S)
    found = json.loads(reply.json)
    if not isinstance(found, dict):
        raise AgentError(f"the agent of {agent.node} sent JSON that is no object", cause=reply.json[:80])
    return found


async def counted(cluster: Cluster) -> tuple[Hits, Answers]:
    """What all agents count now; silent ones are named in the Answers."""
    answers, agents = Answers(), Agents(cluster.bearer_token)
    try:
        nodes: list[Mapping[str, Any]] = [*await cluster.list(NODE)]
        reports = await ask_all(nodes, lambda agent: policies_of(agents, agent), answers)
    finally:
        await agents.close()
    return fold(reports), answers


async def keep_counting(cluster: Cluster, store: Store) -> None:
    """Keep the store's hits current from the moment somebody looks at policies, until cancelled."""
    while True:
        if store.policy.wanted:
            with suppress(BasculeError):  # the watch on Nodes fails too, and says why on screen
                hits, _ = await counted(cluster)
                store.policy.keep_hits(hits)
        await asyncio.sleep(COUNT_EVERY_S)
