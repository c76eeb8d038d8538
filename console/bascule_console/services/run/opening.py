"""A runner with everything real behind it: cluster, agents, journal, source, disks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bascule_console.services.cluster import connect
from bascule_console.services.collect.hypervisor import Ask
from bascule_console.services.collect.hypervisor import connect as connect_source
from bascule_console.services.credentials import Access
from bascule_console.services.disks import Disks
from bascule_console.services.journal import Journal, journal_path
from bascule_console.services.run.events import Tell
from bascule_console.services.run.loaded import Loaded
from bascule_console.services.run.moving import Ends
from bascule_console.services.run.runner import Runner
from bascule_console.services.run.wire import AgentWire
from bascule_console.services.trunk_calls import TrunkAgents


@asynccontextmanager
async def opened(
    loaded: Loaded, access: Access, source: str, tell: Tell, ask: Ask | None = None
) -> AsyncIterator[Runner]:
    """A runner whose ends are closed with it. `source` is the hypervisor's URI. Raises what connecting raises."""
    async with connect(access) as cluster:
        agents = TrunkAgents(cluster.bearer_token)
        journal = Journal(journal_path(), cluster.context, cluster.server)
        hypervisor = await connect_source(source, write=True, ask=ask)
        try:
            storage = str(loaded.document["options"].get("storage_class") or "")
            disks = Disks(cluster, storage)
            ends = Ends(cluster, agents, journal, hypervisor, disks, AgentWire(cluster, agents))
            yield Runner(loaded, ends, tell)
        finally:
            await hypervisor.close()
            await agents.close()
