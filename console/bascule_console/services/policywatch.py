"""The console's policy world, kept current from the first moment somebody looks at it.

Watches of their own, because a cluster need not serve every kind of policy: a kind that is not there has no objects,
and is no trouble to be reported.
"""

from __future__ import annotations

import asyncio
from typing import Any

from bascule.policy.endpoints import endpoints_of
from bascule_console.services.policies import DOCUMENTS, typed
from bascule_console.services.policyimpact import live_lines
from bascule_console.store.policyworld import World
from bascule_console.store.store import Store
from bascule_console.store.vms import ATTACHMENTS, VMIS
from bascule_kube import Cluster, Informer, Kind
from bascule_kube.errors import Forbidden, NotFound
from bascule_kube.kinds import POD

LOOK_EVERY_S = 0.3
WATCHED = (*DOCUMENTS, POD)


async def keep_policies(cluster: Cluster, store: Store) -> None:
    """Keep `store.policy.world` current until cancelled."""
    while not store.policy.wanted:
        await asyncio.sleep(LOOK_EVERY_S)
    changes = _Changes()
    informers = {kind: Informer(cluster, kind, on_change=changes.count) for kind in WATCHED}
    for informer in informers.values():
        informer.start()
    try:
        await _keep(store, informers, changes)
    finally:
        for informer in informers.values():
            await informer.stop()


class _Changes:
    """Counts what the watches bring."""

    def __init__(self) -> None:
        self.seen = 0

    def count(self, _type: str, _obj: dict[str, Any]) -> None:
        self.seen += 1


async def _keep(store: Store, informers: dict[Kind, Informer], changes: _Changes) -> None:
    before: object = None
    mark, machines = 0, 0
    while True:
        mark, changed = store.inventory.changes(mark)
        machines += changed is None or any(kind in (VMIS, ATTACHMENTS) for kind, _ in changed)
        troubles = tuple(str(informer.error) for informer in informers.values() if informer.error)
        state = (changes.seen, machines, troubles)
        if state != before and all(informer.synced.is_set() or informer.error for informer in informers.values()):
            before = state
            caches = {kind: list(informer.cache.values()) for kind, informer in informers.items()}
            missing = _missing(informers)
            vmis, nads = store.inventory.all(VMIS), store.inventory.all(ATTACHMENTS)
            world = await asyncio.to_thread(_world, caches, vmis, nads, missing)
            if world != store.policy.world:
                store.policy.keep(world)
        await asyncio.sleep(LOOK_EVERY_S)


def _missing(informers: dict[Kind, Informer]) -> list[str]:
    """Kinds that could not be read, in words; one that is not served is not missing."""
    return [
        f"{kind.plural}.{kind.group or 'core'} {'are' if isinstance(informer.error, Forbidden) else 'may be'} "
        f"not current: {informer.error.message}"
        for kind, informer in informers.items()
        if informer.error is not None and not isinstance(informer.error, NotFound)
    ]


def _world(caches: dict[Kind, list[Any]], vmis: list[Any], nads: list[Any], missing: list[str]) -> World:
    """Made in a thread; also works out what every screen asks for first."""
    documents = [typed(obj, kind) for kind in DOCUMENTS for obj in caches[kind]]
    found = endpoints_of(caches[POD], vmis, nads)
    problems = [f"left out: {problem.message}" for problem in found.problems]
    world = World(documents, found.endpoints, (*missing, *problems))
    _ = world.selection
    for policy in world.every.values():
        live_lines(world, policy)
    return world
