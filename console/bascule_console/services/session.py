"""A console's live connection: cluster, watches, agents and flow streams, all writing one store.

The Kubernetes client takes half a second to import, so it is opened here, in a task that runs after the first paint.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from bascule.errors import BasculeError, UnreachableError
from bascule_console.services.agents import Agents
from bascule_console.services.streams import FlowStreams
from bascule_console.services.watches import Watches
from bascule_console.store.store import Store
from bascule_kube import Cluster

DECAY_EVERY_S = 1.0


class Session:
    """One cluster as one user. `run` works until it is cancelled; `context` and `problem` say how it stands."""

    def __init__(self, store: Store, kubeconfig: Path | None = None, context: str | None = None) -> None:
        self.store = store
        self.context = context or ""
        self.server = ""
        self.problem: BasculeError | None = None
        self._kubeconfig = kubeconfig
        self._wanted_context = context
        self._cluster: Cluster | None = None
        self._agents: Agents | None = None

    @property
    def cluster(self) -> Cluster:
        """The open cluster. Raises UnreachableError before it is open."""
        if self._cluster is None:
            raise self.problem or UnreachableError("the cluster is not connected yet", fix="wait a moment")
        return self._cluster

    @property
    def agents(self) -> Agents:
        """The agents' client. Raises UnreachableError before the cluster is open."""
        if self._agents is None:
            raise self.problem or UnreachableError("the cluster is not connected yet", fix="wait a moment")
        return self._agents

    async def run(self) -> None:
        """Connect, watch and follow until cancelled; what cannot be opened is left in `problem`."""
        try:
            cluster = self._cluster = await Cluster.open(self._kubeconfig, self._wanted_context)
        except BasculeError as error:
            self.problem = error
            return
        self.context, self.server = cluster.context, cluster.server
        agents = self._agents = Agents(cluster.bearer_token)
        streams = FlowStreams(agents, self.store)
        watches = Watches(cluster, self.store, streams.reconcile)
        watches.start()
        try:
            while True:
                self.store.flows.decay(time.time_ns())
                await asyncio.sleep(DECAY_EVERY_S)
        finally:
            await watches.close()
            await streams.close()
            await agents.close()
            await cluster.close()
