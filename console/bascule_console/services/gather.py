"""What agents tell without being asked by anybody in particular: node reports every few seconds, and move records.

Both write the store and run until they are cancelled.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Any

from bascule.errors import BasculeError
from bascule.watch.backoff import Backoff
from bascule_console.services.addresses import IPRESERVATION
from bascule_console.services.agents import Agents
from bascule_console.services.cluster import list_if_served
from bascule_console.services.peragent import PerAgent
from bascule_console.services.reports import node_reports
from bascule_console.store.nodes import AgentTarget
from bascule_console.store.store import Store
from bascule_kube import Cluster

REPORT_EVERY_S, RESERVATIONS_EVERY_S = 5.0, 60.0


async def keep_reporting(cluster: Cluster, agents: Agents, store: Store) -> None:
    """Keep the store's node reports at most a few seconds old. While the API is away the last ones stay."""
    while True:
        with suppress(BasculeError):  # the watch on Nodes fails too, and says why on screen
            documents, answers = await node_reports(cluster, agents)
            store.reports.put(documents, answers.silent)
        await asyncio.sleep(REPORT_EVERY_S)


class MoveStreams(PerAgent):
    """One following task per agent; every state of every record goes to the store's move book, and stays there."""

    what = "moves"

    def __init__(self, agents: Agents, store: Store) -> None:
        super().__init__()
        self._agents = agents
        self._store = store

    async def _follow(self, agent: AgentTarget) -> None:
        delays = Backoff(random.random, base=0.5, cap=10.0)
        while True:
            with suppress(BasculeError):  # the flow stream of the same agent breaks too, and names it silent
                async for update in self._agents.moves(agent, follow=True):
                    delays.reset()
                    self._store.moves.keep(update.migration_uid, update.record)
            await asyncio.sleep(delays.next())


async def keep_reserving(cluster: Cluster, store: Store) -> None:
    """Keep IPReservations in the inventory. Asked for now and then, not watched: many clusters do not serve the kind,
    and a watch on it would be reported as broken."""
    known: dict[str, Any] = {}
    while True:
        with suppress(BasculeError):
            found = {obj["metadata"]["name"]: obj for obj in await list_if_served(cluster, IPRESERVATION)}
            for name in known.keys() - found.keys():
                store.inventory.remove(IPRESERVATION.plural, name)
            for name, obj in found.items():
                if known.get(name) != obj:
                    store.inventory.put(IPRESERVATION.plural, obj)
            known = found
        await asyncio.sleep(RESERVATIONS_EVERY_S)
