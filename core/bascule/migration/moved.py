"""The cluster as it would be without the VMs that this estate's own move has made there.

What was moved holds its old name, address and MAC on the cluster. That is the purpose, no conflict: a plan that is made
again after its first wave has to be the same plan.
"""

from __future__ import annotations

from bascule.estate.model import Estate
from bascule.migration.manifests import FROM
from bascule.migration.target import Target
from bascule.resources.read import dig

VM = "VirtualMachine"


def without_moved(target: Target, estate: Estate) -> Target:
    """The target without VirtualMachines whose annotation names a VM of the estate as what they were."""
    keys = {vm.key for vm in estate.vms}
    machines = target.documents.get(VM, [])
    kept = [each for each in machines if dig(each, "metadata", "annotations", FROM) not in keys]
    if len(kept) == len(machines):
        return target
    others = [each for kind, found in target.documents.items() if kind != VM for each in found]
    return Target([*others, *kept], target.known)
