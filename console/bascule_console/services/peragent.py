"""One task for each agent that is followed, started and ended as nodes and agents come and go."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from bascule_console.store.nodes import AgentTarget


class PerAgent(ABC):
    """`reconcile` says whom to follow; `what` names the tasks."""

    what: str

    def __init__(self) -> None:
        self._tasks: dict[AgentTarget, asyncio.Task[None]] = {}

    def reconcile(self, wanted: list[AgentTarget]) -> None:
        """Follow exactly the agents in `wanted`."""
        for agent in set(self._tasks) - set(wanted):
            self._tasks.pop(agent).cancel()
            if agent.node not in {w.node for w in wanted}:
                self._left(agent.node)
        for agent in wanted:
            if agent not in self._tasks:
                self._tasks[agent] = asyncio.create_task(self._follow(agent), name=f"{self.what} of {agent.node}")

    async def close(self) -> None:
        """End every task."""
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @abstractmethod
    async def _follow(self, agent: AgentTarget) -> None:
        """Follow one agent until cancelled."""

    def _left(self, node: str) -> None:  # noqa: B027 - what was told of the node may well stay
        """No agent of this node is followed any more."""
