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
from bascule_console.services.peragent import PerAgent
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


class FlowStreams(PerAgent):
    """One following task per agent; `reconcile` starts and ends them as nodes come and go."""

    what = "flows"

    def __init__(self, agents: Agents, sink: FlowSink, history_s: float = HISTORY_S, wanted: str = "") -> None:
        super().__init__()
        self._agents = agents
        self._wanted = wanted
        self._sink = sink
        self._history_s = history_s
        self._had_history: set[str] = set()

    def _left(self, node: str) -> None:
        """Its flows are not going on, and its next agent has a history to tell."""
        self._sink.forget_node(node)
        self._had_history.discard(node)

    async def _follow(self, agent: AgentTarget) -> None:
        delays = Backoff(random.random, base=0.5, cap=10.0)
        while True:
            problem = "the stream ended"
            try:
                async for batch in self._agents.flows(agent, self._history(agent), follow=True, wanted=self._wanted):
                    delays.reset()
                    self._had_history.add(agent.node)
                    self._sink.add_flows(batch)
            except BasculeError as error:
                problem = str(error)
            self._sink.agent_silent(agent.node, problem)
            await asyncio.sleep(delays.next())

    def _history(self, agent: AgentTarget) -> float:
        return 0.0 if agent.node in self._had_history else self._history_s
