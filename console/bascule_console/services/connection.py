"""What a session does once it runs: open the cluster, watch it, follow its agents, look at the journal, lint.

Apart from session.py, because all that is imported here costs more than the first paint does.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import bascule_kube.config  # noqa: F401 - imported here, in the thread that loads this module, and not in the loop
from bascule.errors import BasculeError
from bascule_console.services import access
from bascule_console.services.cluster import open_cluster
from bascule_console.services.credentials import Access
from bascule_console.services.gather import MoveStreams, keep_reporting, keep_reserving
from bascule_console.services.journal import journal_path
from bascule_console.services.lookout import keep_linting, keep_reading
from bascule_console.services.policycounts import keep_counting
from bascule_console.services.policywatch import keep_policies
from bascule_console.services.streams import FlowStreams
from bascule_console.services.trunk_calls import TrunkAgents
from bascule_console.services.watches import Watches
from bascule_console.store.nodes import AgentTarget

if TYPE_CHECKING:
    from bascule_console.services.session import Session

DECAY_EVERY_S = 1.0


async def serve(session: Session, wanted: Access) -> None:
    """Connect, watch, follow and look until cancelled; what cannot be opened is left in the session's `problem`."""
    looking = [
        asyncio.create_task(keep_reading(session.store, journal_path()), name="journal"),
        asyncio.create_task(keep_linting(session.store), name="lint"),
    ]
    try:
        await _connected(session, wanted)
        await asyncio.gather(*looking)  # without a cluster there is still a journal
    finally:
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)


async def _connected(session: Session, wanted: Access) -> None:
    store = session.store
    try:
        cluster = await open_cluster(wanted)
    except BasculeError as error:
        session.problem = error
        return
    agents = TrunkAgents(cluster.bearer_token)
    session.opened(cluster, agents)
    streams, moves = FlowStreams(agents, store), MoveStreams(agents, store)

    def follow(targets: list[AgentTarget]) -> None:
        streams.reconcile(targets)
        moves.reconcile(targets)

    watches = Watches(cluster, store, follow)
    watches.start()
    asking = [
        asyncio.create_task(access.ask(cluster, store.rights), name="access reviews"),
        asyncio.create_task(keep_reporting(cluster, agents, store), name="node reports"),
        asyncio.create_task(keep_reserving(cluster, store), name="address reservations"),
        asyncio.create_task(keep_policies(cluster, store), name="policies"),
        asyncio.create_task(keep_counting(cluster, store), name="policy hits"),
    ]
    try:
        while True:
            store.flows.decay(time.time_ns())
            await asyncio.sleep(DECAY_EVERY_S)
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await watches.close()
        await streams.close()
        await moves.close()
        await agents.close()
        await cluster.close()
