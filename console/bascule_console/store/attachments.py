"""NAD rows: which segment each NetworkAttachmentDefinition leads to, from which pools, and who uses it. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bascule.resources.attachment import Attachment
from bascule.resources.network import Network
from bascule_console.store.inventory import Inventory
from bascule_console.store.vms import NETWORKS
from bascule_console.store.workloads import Workloads


@dataclass(frozen=True, slots=True)
class NadRow:
    """One NAD; `problem` says why it leads nowhere, "" when it does not."""

    name: str
    namespace: str
    network: str
    vlan: int | None
    pools: tuple[str, ...]
    type: str
    used_by: tuple[str, ...]
    problem: str

    @property
    def key(self) -> str:
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    def document(self) -> dict[str, Any]:
        """The JSON of `nads list`."""
        return asdict(self) | {"pools": list(self.pools), "used_by": list(self.used_by)}


def nad_rows(inventory: Inventory, workloads: Workloads) -> dict[str, NadRow]:
    """Every NAD by `namespace/name`."""
    networks = {network.name: network for network in map(Network.of, inventory.all(NETWORKS))}
    known = inventory.synced(NETWORKS)
    rows = (_row(nad, networks, workloads, known=known) for nad in workloads.nads)
    return {row.key: row for row in rows}


def _row(nad: Attachment, networks: dict[str, Network], workloads: Workloads, *, known: bool) -> NadRow:
    return NadRow(
        name=nad.meta.name,
        namespace=nad.meta.namespace,
        network=nad.network,
        vlan=nad.vlan,
        pools=nad.pools,
        type=nad.type,
        used_by=tuple(workloads.users_of(nad.name)),
        problem=_problem(nad, networks, known=known),
    )


def _problem(nad: Attachment, networks: dict[str, Network], *, known: bool) -> str:
    if nad.problem:
        return f"spec.config: {nad.problem}"
    if not nad.network:
        return "" if nad.vlan is None else "it has a vlan but names no Network"
    if not known:
        return ""
    if nad.network not in networks:
        return f"there is no Network {nad.network}"
    if nad.vlan is None:
        return "it has no vlan"
    return "" if nad.vlan in networks[nad.network].carried_vlans() else f"{nad.network} does not carry {nad.vlan}"
