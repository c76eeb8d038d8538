"""A console's live connection: cluster, watches, agents and flow streams, all writing one store.

The Kubernetes client takes half a second to import, so everything that works (services/connection.py) is loaded by a
thread after the first paint, while the screen already answers keys.
"""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from bascule.errors import BasculeError, UnreachableError
from bascule_console.services.credentials import Access
from bascule_console.services.secrets import Secret
from bascule_console.store.store import Store

if TYPE_CHECKING:
    from bascule_console.services.journal import Journal
    from bascule_console.services.trunk_calls import TrunkAgents
    from bascule_kube import Cluster


class Session:
    """One cluster as one user. `run` works until it is cancelled; `context` and `problem` say how it stands."""

    def __init__(
        self, store: Store, kubeconfig: Path | None = None, context: str | None = None, token: Secret | None = None
    ) -> None:
        self.store = store
        self.context = context or ""
        self.server = ""
        self.problem: BasculeError | None = None
        self._access = Access(kubeconfig, context, "", token)
        self._cluster: Cluster | None = None
        self._agents: TrunkAgents | None = None

    @property
    def access(self) -> Access:
        """What the cluster is opened with, for services that open it themselves."""
        return self._access

    @property
    def cluster(self) -> Cluster:
        """The open cluster. Raises UnreachableError before it is open."""
        if self._cluster is None:
            raise self.problem or UnreachableError("the cluster is not connected yet", fix="wait a moment")
        return self._cluster

    @property
    def agents(self) -> TrunkAgents:
        """The agents' client. Raises UnreachableError before the cluster is open."""
        if self._agents is None:
            raise self.problem or UnreachableError("the cluster is not connected yet", fix="wait a moment")
        return self._agents

    def journal(self) -> Journal:
        """Where this session's changes are recorded."""
        from bascule_console.services.journal import Journal, journal_path

        return Journal(journal_path(), self.context, self.server)

    def opened(self, cluster: Cluster, agents: TrunkAgents) -> None:
        """The cluster is open: from here on it can be used."""
        self._cluster, self._agents = cluster, agents
        self.context, self.server = cluster.context, cluster.server

    async def run(self) -> None:
        """Connect, watch, follow and look until cancelled; what cannot be opened is left in `problem`."""
        connection = await asyncio.to_thread(importlib.import_module, "bascule_console.services.connection")
        await connection.serve(self, self._access)
