"""The cluster's objects, kept in the store: one informer per kind, and what follows from a change.

Nodes decide which agents are followed; Networks name the gateways in flow rows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bascule_console.store.inventory import object_key
from bascule_console.store.nodes import AgentTarget, agent_target
from bascule_console.store.store import Store
from bascule_kube import Cluster, Informer, Kind
from bascule_kube.informer import Obj
from bascule_kube.kinds import IPPOOL, NAD, NETWORK, NODE, VM, VMI, VMIM

WATCHED: tuple[Kind, ...] = (NODE, NETWORK, IPPOOL, NAD, VM, VMI, VMIM)
HEALTH_EVERY_S = 0.5


class Watches:
    """Informers on every watched kind, from `start` to `close`. `on_agents` hears the agents that Nodes publish."""

    def __init__(self, cluster: Cluster, store: Store, on_agents: Callable[[list[AgentTarget]], None]) -> None:
        self._store = store
        self._on_agents = on_agents
        self._targets: list[AgentTarget] = []
        self._informers = {kind: Informer(cluster, kind, on_change=self._changed(kind)) for kind in WATCHED}
        self._health: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch, in the running loop."""
        for informer in self._informers.values():
            informer.start()
        self._health = asyncio.create_task(self._watch_health(), name="watch health")

    async def close(self) -> None:
        """End every watch."""
        if self._health is not None:
            self._health.cancel()
            await asyncio.gather(self._health, return_exceptions=True)
        for informer in self._informers.values():
            await informer.stop()

    def _changed(self, kind: Kind) -> Callable[[str, Obj], None]:
        def on_change(change: str, obj: Obj) -> None:
            if change == "DELETED":
                self._store.inventory.remove(kind.plural, object_key(obj))
            else:
                self._store.inventory.put(kind.plural, obj)
            if kind is NODE:
                self._tell_agents()
            elif kind is NETWORK:
                self._store.flows.set_networks(self._store.inventory.all(kind.plural))

        return on_change

    def _tell_agents(self) -> None:
        nodes = self._store.inventory.all(NODE.plural)
        targets = [t for t in (agent_target(node) for node in nodes) if t is not None]
        if targets != self._targets:
            self._targets = targets
            self._on_agents(targets)

    async def _watch_health(self) -> None:
        """Informers say what troubles them in an attribute; the store wants to know when that changes."""
        inventory = self._store.inventory
        while True:
            for kind, informer in self._informers.items():
                if informer.synced.is_set():
                    inventory.mark_synced(kind.plural)
                inventory.report_problem(kind.plural, str(informer.error) if informer.error else "")
            await asyncio.sleep(HEALTH_EVERY_S)
