"""The wire as the agents see it: where probes of a VLAN may start, and their answers as they come.

A vantage point (contracts.md section 3) stands on the gateway's side and asks where the address is routed; a node has
no address in the VLAN and asks over its trunk.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from bascule.errors import UnreachableError
from bascule_console.services.addresses import vantage_points
from bascule_console.services.agents import CALL_TIMEOUT_S, AgentError, Agents, _named
from bascule_console.services.cluster import list_if_served
from bascule_console.services.run.ends import Asked, Seen
from bascule_console.store.nodes import AgentTarget, agent_target, is_ready
from bascule_kube import Cluster
from bascule_kube.kinds import NODE


class AgentWire:
    """Probes through the agents' `Probe`."""

    def __init__(self, cluster: Cluster, agents: Agents) -> None:
        self._cluster = cluster
        self._agents = agents
        self._known: dict[str, AgentTarget] = {}
        self._nodes: set[str] = set()

    async def places(self, avoid: str = "") -> list[str]:
        """At most one vantage point and enough nodes (not `avoid`, ready ones first) that there are two places."""
        nodes = await list_if_served(self._cluster, NODE)
        ready = sorted(nodes, key=lambda node: (not is_ready(node), node["metadata"]["name"]))
        own = [agent for agent in map(agent_target, ready) if agent is not None and agent.node != avoid]
        self._nodes = {node["metadata"]["name"] for node in nodes}
        outside = [point for point in await vantage_points(self._cluster) if point.node not in self._nodes]
        chosen = [*outside[:1], *own[: 1 if outside else 2]]
        self._known.update({agent.node: agent for agent in chosen})
        return [agent.node for agent in chosen]

    async def probe(self, place: str, asked: Asked, seconds: float = 0.0) -> AsyncGenerator[Seen, None]:
        """Probe until closed, or for `seconds`. Raises AgentError, AgentRefused."""
        from bascule.protocol.gen import agent_pb2

        agent = self._known.get(place)
        if agent is None:
            raise UnreachableError(f"{place} is no place that probes", "it was not among the agents when asked")
        request = agent_pb2.ProbeRequest(
            address=asked.address, kind=asked.kind, interval_ms=asked.interval_ms, seconds=seconds, mac=asked.mac
        )
        if asked.kind == "arp" and place in self._nodes:
            request.network, request.vlan = asked.network, asked.vlan
        with _named(agent):
            stub, metadata = await self._agents._dial(agent)
            call = stub.Probe(request, metadata=metadata, timeout=seconds + CALL_TIMEOUT_S if seconds else None)
            try:
                async for batch in call:
                    if batch.error and not batch.seq:  # with probes beside it, it is a way that is down: measured
                        raise AgentError(f"{place} cannot probe {asked.address}", cause=batch.error)
                    heard = tuple(batch.answered_by)
                    yield Seen(tuple(batch.seq), tuple(batch.tx_ns), tuple(batch.rx_ns), batch.duplicates, heard)
            finally:
                call.cancel()


async def heard(wire: AgentWire, place: str, asked: Asked, seconds: float) -> tuple[set[str], int]:
    """Who answered (MACs) within `seconds`, and how many answers that were."""
    macs: set[str] = set()
    answers = 0
    async with aclosing(wire.probe(place, asked, seconds)) as batches:
        async for seen in batches:
            macs.update(seen.answered_by)
            answers += sum(1 for rx in seen.rx_ns if rx)
    return macs, answers
