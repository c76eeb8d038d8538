"""Flow streams of every agent, kept alive: connect, follow, and when one breaks, name it and try again.

History is asked for once only. After a reconnect it would be merged a second time, and a table that counts frames
twice is worse than one that says a stream was down.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Protocol

from bascule.errors import BasculeError
from bascule.watch.backoff import Backoff
from bascule_console.services.agents import Agents
from bascule_console.store.nodes import AgentTarget

if TYPE_CHECKING:
    from bascule.flows.store import Batch

HISTORY_S = 60.0


class FlowSink(Protocol):
    """Where streams write: the console's store, or a command that prints."""

    def add_flows(self, batch: Batch) -> None:
        """One batch of one agent."""

    def agent_silent(self, node: str, why: str) -> None:
        """A stream broke."""

    def forget_node(self, node: str) -> None:
        """No agent of this node is followed any more."""


class FlowStreams:
    """One following task per agent; `reconcile` starts and ends them as nodes come and go."""

    def __init__(self, agents: Agents, sink: FlowSink, history_s: float = HISTORY_S) -> None:
        self._agents = agents
        self._sink = sink
        self._history_s = history_s
        self._tasks: dict[AgentTarget, asyncio.Task[None]] = {}
        self._had_history: set[str] = set()

    def reconcile(self, wanted: list[AgentTarget]) -> None:
        """Follow exactly the agents in `wanted`."""
        for agent in set(self._tasks) - set(wanted):
            self._tasks.pop(agent).cancel()
            if agent.node not in {w.node for w in wanted}:
                self._sink.forget_node(agent.node)
                self._had_history.discard(agent.node)
        for agent in wanted:
            if agent not in self._tasks:
                self._tasks[agent] = asyncio.create_task(self._follow(agent), name=f"flows of {agent.node}")

    async def close(self) -> None:
        """End every stream."""
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, agent: AgentTarget) -> None:
        delays = Backoff(random.random, base=0.5, cap=10.0)
        while True:
            problem = "the stream ended"
            try:
                async for batch in self._agents.flows(agent, self._history(agent), follow=True):
                    delays.reset()
                    self._had_history.add(agent.node)
                    self._sink.add_flows(batch)
            except BasculeError as error:
                problem = str(error)
            self._sink.agent_silent(agent.node, problem)
            await asyncio.sleep(delays.next())

    def _history(self, agent: AgentTarget) -> float:
        return 0.0 if agent.node in self._had_history else self._history_s
