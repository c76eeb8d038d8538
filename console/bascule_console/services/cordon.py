"""Keeping pods off a node, and letting them come again: `spec.unschedulable`, recorded in the journal."""

from __future__ import annotations

from bascule_console.services.journal import Journal
from bascule_kube import Cluster
from bascule_kube.kinds import NODE


async def cordon(cluster: Cluster, journal: Journal, node: str, off: bool = False) -> bool:
    """Cordon a node, or uncordon it with `off`; False when it was so already.

    Raises NotFound, Forbidden, Unreachable, JournalError (then nothing was changed).
    """
    journal.ready()
    patch = {"spec": {"unschedulable": None if off else True}}
    await cluster.merge_patch(NODE, node, patch, dry_run=True)
    before = await cluster.get(NODE, node)
    if bool((before.get("spec") or {}).get("unschedulable")) is not off:
        return False
    after = await cluster.merge_patch(NODE, node, patch)
    journal.append("uncordon" if off else "cordon", before, after)
    return True
