"""Names of VMs in the cluster: the old one where that is possible, unique always, the same on every day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from bascule.estate.model import Vm
from bascule.translate.names import digest, plain, slug

MOST = 50


def target_names(vms: Iterable[Vm]) -> dict[str, str]:
    """VM key → name: a DNS label; one that two VMs would have carries a hash of the key for each of them."""
    listed = list(vms)
    wanted = {vm.key: slug(vm.name, MOST) for vm in listed}
    count = Counter(wanted.values())
    return {key: name if count[name] == 1 else f"{plain(name, MOST - 9)}-{digest(key)}" for key, name in wanted.items()}
