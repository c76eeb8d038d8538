"""Taking a running migration back, KubeVirt's way: deleting its VMIM.

virt-controller then asks virt-handler to cancel the job at the source; the guest goes on where it was. Once a
migration is in post-copy the guest runs at the target with half its memory, and nobody can take it back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from bascule.errors import BasculeError, RefusedError
from bascule.resources.kubevirt import Instance, Migration
from bascule_console.services.cluster import list_if_served
from bascule_console.store.vms import ENDED_PHASES
from bascule_kube import Cluster
from bascule_kube.errors import NotFound
from bascule_kube.kinds import VMI, VMIM

POLL_S = 0.1
Obj = Mapping[str, Any]


class AbortRefused(RefusedError):
    """There is nothing that could be taken back."""


class NotAborted(BasculeError):
    """The migration was deleted and the VM moved all the same, or nobody says what became of it."""


async def find_running(cluster: Cluster, name: str) -> dict[str, Any]:
    """The migration in flight that `name` means: a VM, `namespace/VM`, or a migration. Raises AbortRefused."""
    for document in await list_if_served(cluster, VMIM):
        vmim = Migration.of(document)
        names = (vmim.name, vmim.meta.uid, vmim.vmi, f"{vmim.meta.namespace}/{vmim.vmi}")
        if name in names and vmim.phase not in ENDED_PHASES:
            if vmim.phase == "Running" and vmim.state and vmim.state.mode == "PostCopy":
                raise AbortRefused(
                    f"the migration {vmim.meta.namespace}/{vmim.name} can no longer be taken back",
                    cause="it is in post-copy: the guest runs at the target already",
                    fix="wait for its end, then move the VM back",
                )
            return document
    raise AbortRefused(
        f"no migration of {name!r} is running", cause="it has ended, or there was none", fix="bascule moves list"
    )


async def abort(cluster: Cluster, document: Obj, timeout: float) -> str:
    """Delete the migration and wait until the VM is seen to stay; the node it stays on.

    Raises NotAborted when the VM turns up at the target, or no word came within `timeout` seconds.
    """
    vmim = Migration.of(document)
    namespace = vmim.meta.namespace
    source = Instance.of(await cluster.get(VMI, vmim.vmi, namespace)).node
    await cluster.delete(VMIM, vmim.name, namespace=namespace)
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        vmi = Instance.of(await cluster.get(VMI, vmim.vmi, namespace))
        if vmi.node != source:
            raise NotAborted(
                f"{namespace}/{vmim.vmi} moved to {vmi.node} all the same",
                cause="the migration was past the point where it can be cancelled",
                fix=f"move it back: bascule vms move {namespace}/{vmim.vmi} --to {source}",
            )
        if await _gone(cluster, vmim) and _over(vmi, vmim.meta.uid):
            return source
        await asyncio.sleep(POLL_S)
    raise NotAborted(
        f"the migration was deleted, and after {timeout:g} s nobody says that it ended",
        cause=f"{namespace}/{vmim.vmi} still runs on {source}",
        fix="look at the VMI's status.migrationState, and at the virt-handler of the source",
    )


async def _gone(cluster: Cluster, vmim: Migration) -> bool:
    try:
        found = await cluster.get(VMIM, vmim.name, vmim.meta.namespace)
    except NotFound:
        return True
    return str(found["metadata"].get("uid")) != vmim.meta.uid


def _over(vmi: Instance, uid: str) -> bool:
    """The instance knows nothing of the migration, or knows that it ended."""
    state = vmi.migration
    return state is None or state.migration_uid != uid or state.completed or state.abort_status == "Succeeded"
