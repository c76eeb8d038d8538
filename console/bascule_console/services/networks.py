"""Networks of a cluster: their rows by one look, and safe deletion."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bascule.errors import RefusedError
from bascule_console.services.journal import Journal
from bascule_console.services.lists import load
from bascule_console.store.networks import NetworksSeen
from bascule_console.store.workloads import Workloads
from bascule_kube import Cluster
from bascule_kube.kinds import NAD, NETWORK, NODE, POD, VM, VMI

KINDS = (NETWORK, NODE, NAD, VM, VMI, POD)
SHOWN_AT_MOST = 8


class NetworkInUse(RefusedError):
    """A Network that cannot be deleted, because workloads hang on it."""


async def rows(cluster: Cluster, name: str | None = None) -> list[dict[str, Any]]:
    """Every Network (`store.networks.NetworkRow.document`), or the one of that name with its `matrix` of node × VLAN.

    Kinds that are not served or not allowed count as empty. Raises NotFound.
    """
    if name is not None:
        await cluster.get(NETWORK, name)
    seen = NetworksSeen(await load(cluster, KINDS))
    found = seen.rows()
    if name is None:
        return [row.document() for row in found.values()]
    return [found[name].document() | {"matrix": [asdict(cell) for cell in seen.matrix(found[name])]}]


async def require_unused(cluster: Cluster, name: str) -> None:
    """Raise NetworkInUse when a workload is attached; every kind must be readable, so nothing is left out silently."""
    users = [await cluster.list(kind) for kind in (NAD, VM, VMI, POD)]
    attached = Workloads.of(*users).attached(name)
    if attached:
        more = f" and {len(attached) - SHOWN_AT_MOST} more" if len(attached) > SHOWN_AT_MOST else ""
        raise NetworkInUse(
            f"refused to delete Network {name}: {len(attached)} attached",
            f"{', '.join(attached[:SHOWN_AT_MOST])}{more}; deleting it removes the bridge under them",
            "delete or re-attach them first",
        )


async def delete(cluster: Cluster, name: str, journal: Journal) -> None:
    """Delete a Network that nobody uses, and journal it. Raises NotFound, NetworkInUse, JournalError."""
    before = await cluster.get(NETWORK, name)
    await require_unused(cluster, name)
    journal.ready()
    await cluster.delete(NETWORK, name)
    journal.append("delete", before, None)
