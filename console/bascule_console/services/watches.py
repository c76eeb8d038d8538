"""The cluster's objects, kept in the store: one informer per kind, and what follows from a change.

Nodes decide which agents are followed; Networks and NetworkSets name addresses in flow rows. Of Pods only those count
that use a Network without being a VM's launcher: VMs and their instances tell of themselves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bascule_console.store.inventory import object_key
from bascule_console.store.nodes import AgentTarget, agent_target
from bascule_console.store.store import Store
from bascule_console.store.workloads import uses_networks
from bascule_kube import Cluster, Informer, Kind
from bascule_kube.informer import Obj
from bascule_kube.kinds import GLOBALNETWORKSET, IPPOOL, NAD, NETWORK, NETWORKSET, NODE, POD, VM, VMI, VMIM

WATCHED: tuple[Kind, ...] = (NODE, NETWORK, IPPOOL, NAD, VM, VMI, VMIM)
SETS = (NETWORKSET, GLOBALNETWORKSET)
"""They name addresses in flow rows; without the right to read them, or on a cluster without, those stay addresses."""
NO_LAUNCHERS = "kubevirt.io!=virt-launcher"
HEALTH_EVERY_S = 0.5


class Watches:
    """Informers on every watched kind, from `start` to `close`. `on_agents` hears the agents that Nodes publish."""

    def __init__(self, cluster: Cluster, store: Store, on_agents: Callable[[list[AgentTarget]], None]) -> None:
        self._store = store
        self._on_agents = on_agents
        self._targets: list[AgentTarget] = []
        self._informers = {kind: Informer(cluster, kind, on_change=self._changed(kind)) for kind in WATCHED}
        self._pods = Informer(cluster, POD, label_selector=NO_LAUNCHERS, on_change=self._pod_changed)
        self._sets = {kind: Informer(cluster, kind, on_change=self._changed(kind)) for kind in SETS}
        self._health: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch, in the running loop."""
        for informer in (*self._informers.values(), *self._sets.values(), self._pods):
            informer.start()
        self._health = asyncio.create_task(self._watch_health(), name="watch health")

    async def close(self) -> None:
        """End every watch."""
        if self._health is not None:
            self._health.cancel()
            await asyncio.gather(self._health, return_exceptions=True)
        for informer in (*self._informers.values(), *self._sets.values(), self._pods):
            await informer.stop()

    def _pod_changed(self, change: str, obj: Obj) -> None:
        """A user who may not read Pods is told of no trouble: it is one column that then counts VMs only."""
        if change != "DELETED" and uses_networks(obj):
            self._store.inventory.put(POD.plural, obj)
        else:
            self._store.inventory.remove(POD.plural, object_key(obj))

    def _changed(self, kind: Kind) -> Callable[[str, Obj], None]:
        def on_change(change: str, obj: Obj) -> None:
            if change == "DELETED":
                self._store.inventory.remove(kind.plural, object_key(obj))
            else:
                self._store.inventory.put(kind.plural, obj)
            if kind is NODE:
                self._tell_agents()
            elif kind in (NETWORK, *SETS):
                named = self._store.inventory.all
                sets = [{"kind": each.kind, **document} for each in SETS for document in named(each.plural)]
                self._store.flows.set_documents(named(NETWORK.plural), sets)

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
