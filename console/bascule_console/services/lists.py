"""The inventory by one list of each kind, for a command that looks once."""

from __future__ import annotations

import asyncio

from bascule.errors import BasculeError, UsageError
from bascule_console.services.cluster import list_if_served
from bascule_console.store.inventory import Inventory
from bascule_console.store.topics import Topics
from bascule_console.store.vms import VmRow, vm_rows
from bascule_kube import Cluster, Kind
from bascule_kube.kinds import NAD, NODE, VM, VMI, VMIM

KINDS: tuple[Kind, ...] = (NODE, NAD, VM, VMI, VMIM)


class NoSuchVm(BasculeError):
    """A VM that the cluster does not have."""


async def load(cluster: Cluster, kinds: tuple[Kind, ...] = KINDS) -> Inventory:
    """Every object of `kinds` as it is now. The first kind must be readable; one of the others counts as empty when it
    is not served or not allowed."""
    first, *others = kinds
    inventory = Inventory(Topics())
    lists = await asyncio.gather(cluster.list(first), *(list_if_served(cluster, kind) for kind in others))
    for kind, objects in zip(kinds, lists, strict=True):
        for obj in objects:
            inventory.put(kind.plural, obj)
        inventory.mark_synced(kind.plural)
    return inventory


def find_vm(inventory: Inventory, name: str) -> VmRow:
    """The VM called `name` or `namespace/name`. Raises NoSuchVm, and UsageError when the name is ambiguous."""
    rows = [row for row in vm_rows(inventory) if name in (row.name, row.key)]
    if not rows:
        raise NoSuchVm(f"there is no VM {name!r}", fix="bascule vms list")
    if len(rows) > 1:
        keys = ", ".join(row.key for row in rows)
        raise UsageError(f"VM {name!r} is ambiguous", cause=f"it may be {keys}", fix="write NAMESPACE/NAME")
    return rows[0]
