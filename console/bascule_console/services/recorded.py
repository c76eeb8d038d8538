"""The flows that the agents still remember, as one array of records."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule.flows.record import RECORD
from bascule_console.services.agents import Agents
from bascule_console.services.reports import Answers, ask_all
from bascule_console.store.nodes import AgentTarget
from bascule_kube import Cluster
from bascule_kube.kinds import NODE


async def recorded(cluster: Cluster, seconds: float) -> tuple[NDArray[Any], Answers]:
    """RECORDs of all nodes, drain after drain, of the last `seconds`; silent nodes are named in the Answers."""
    parts: list[NDArray[Any]] = [np.zeros(0, RECORD)]
    answers, agents = Answers(), Agents(cluster.bearer_token)

    async def history(agent: AgentTarget) -> bool:
        async with aclosing(agents.flows(agent, seconds, follow=False)) as batches:
            async for batch in batches:
                parts.append(batch.records)
        return True

    try:
        await ask_all([*await cluster.list(NODE)], history, answers)
    finally:
        await agents.close()
    return np.concatenate(parts, dtype=RECORD), answers
