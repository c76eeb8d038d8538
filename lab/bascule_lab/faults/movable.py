"""A VM that cannot be moved: its VMI says LiveMigratable=False, as virt-handler would say of one with a host device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bascule_kube import Cluster
from bascule_kube.kinds import VMI
from bascule_lab.faults.errors import FaultError
from bascule_lab.standins.world import condition, with_condition

WHY = ("HostDeviceNotLiveMigratable", "VMI uses a PCI host device (planted by lab fault unmigratable)")


async def set_movable(state: Path, vm: str, movable: bool) -> dict[str, Any]:
    """Write the condition; it stays until the VM starts anew. Raises FaultError, KubeError."""
    async with await Cluster.open(state / "kubeconfig") as cluster:
        found = [vmi for vmi in await cluster.list(VMI) if vmi["metadata"]["name"] == vm]
        if not found:
            raise FaultError(f"there is no VMI {vm}", fix="start the VM first")
        new = condition("LiveMigratable", True, "Lab") if movable else condition("LiveMigratable", False, *WHY)
        patch = {"status": {"conditions": with_condition(found[0], new)}}
        await cluster.merge_patch(VMI, vm, patch, found[0]["metadata"]["namespace"], subresource="status")
    return {"live_migratable": movable, "reason": new["reason"]}
