"""Networks as an operator asks about them: what they carry, where they stand, who is attached; and safe deletion."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bascule.errors import RefusedError
from bascule.resources.attachment import Attachment
from bascule.resources.kubevirt import Instance, VirtualMachine, qualified
from bascule.resources.meta import Meta
from bascule.resources.network import HostConfig, Network
from bascule.resources.node import Node
from bascule.resources.pod import NETWORKS
from bascule.resources.read import dig, items, text
from bascule_console.services.cluster import list_if_served
from bascule_console.services.journal import Journal
from bascule_kube import Cluster
from bascule_kube.cluster import Obj, Objects
from bascule_kube.kinds import NAD, NETWORK, NODE, POD, VM, VMI

PRIMARY = "cni.projectcalico.org/networks"
SHOWN_AT_MOST = 8


class NetworkInUse(RefusedError):
    """A Network that cannot be deleted, because workloads hang on it."""


@dataclass(frozen=True, slots=True)
class Workloads:
    """Everything that can be attached to a Network."""

    nads: Objects
    vms: Objects
    vmis: Objects
    pods: Objects

    @classmethod
    async def of(cls, cluster: Cluster) -> Workloads:
        """Read them; for deletion all four must be readable, so nothing is left out silently."""
        return cls(await cluster.list(NAD), await cluster.list(VM), await cluster.list(VMI), await cluster.list(POD))

    @classmethod
    async def seen(cls, cluster: Cluster) -> Workloads:
        """As `of`, but a kind that is not served or not allowed counts as empty: for showing."""
        return cls(*[await list_if_served(cluster, kind) for kind in (NAD, VM, VMI, POD)])

    def nads_of(self, network: str) -> list[str]:
        """`namespace/name` of each NAD into the Network."""
        return sorted(nad.name for nad in map(Attachment.of, self.nads) if nad.network == network)

    def attached(self, network: str) -> list[str]:
        """`VM ns/name` and `Pod ns/name` attached through a NAD or by the primary annotation, launcher pods left out
        where their VM is named."""
        nads = set(self.nads_of(network))
        vms = {_name(vm.meta) for vm in map(VirtualMachine.of, self.vms) if _uses(vm, vm.template, network, nads)}
        vms |= {_name(vmi.meta) for vmi in map(Instance.of, self.vmis) if _uses(vmi, vmi.meta, network, nads)}
        pods = {_name(pod) for pod in map(Meta.of, self.pods) if _pod_uses(pod, network, nads) and not _of_vm(pod, vms)}
        return [f"VM {name}" for name in sorted(vms)] + [f"Pod {name}" for name in sorted(pods)]


def row(document: Obj, nodes: Iterable[Node], workloads: Workloads) -> dict[str, Any]:
    """One Network for `networks list` and `show`; `ready` is "n/m" of the nodes that report about it."""
    network = Network.of(document)
    reports = [(node.name, node.network_condition(network.name)) for node in nodes]
    states: list[dict[str, Any]] = [
        {"node": name, "ready": found.status == "True", "reason": found.reason, "message": found.message}
        for name, found in reports
        if found is not None
    ]
    return {
        "name": network.name,
        "vlans": sorted(network.carried_vlans()),
        "bridges": [_bridge(config) for config in network.host_configs],
        "trunks": [config.trunk.interface for config in network.host_configs if config.trunk],
        "ready": f"{sum(state['ready'] for state in states)}/{len(states)}" if states else "no agent",
        "nodes": states,
        "nads": workloads.nads_of(network.name),
        "attached": workloads.attached(network.name),
    }


async def rows(cluster: Cluster, name: str | None = None) -> list[dict[str, Any]]:
    """Every Network, or the one of that name. Raises NotFound."""
    networks = await cluster.list(NETWORK) if name is None else [await cluster.get(NETWORK, name)]
    nodes = [Node.of(node) for node in await list_if_served(cluster, NODE)]
    workloads = await Workloads.seen(cluster)
    return [row(network, nodes, workloads) for network in networks]


async def delete(cluster: Cluster, name: str, journal: Journal) -> None:
    """Delete a Network that nobody uses, and journal it. Raises NotFound, NetworkInUse, JournalError."""
    before = await cluster.get(NETWORK, name)
    attached = (await Workloads.of(cluster)).attached(name)
    if attached:
        more = f" and {len(attached) - SHOWN_AT_MOST} more" if len(attached) > SHOWN_AT_MOST else ""
        raise NetworkInUse(
            f"refused to delete Network {name}: {len(attached)} attached",
            f"{', '.join(attached[:SHOWN_AT_MOST])}{more}; deleting it removes the bridge under them",
            "delete or re-attach them first",
        )
    journal.ready()
    await cluster.delete(NETWORK, name)
    journal.append("delete", before, None)


def _uses(vm: VirtualMachine | Instance, template: Meta, network: str, nads: set[str]) -> bool:
    return any(nic.nad in nads for nic in vm.nics) or _primary(template, network)


def _pod_uses(pod: Meta, network: str, nads: set[str]) -> bool:
    return not nads.isdisjoint(_pod_nads(pod)) or _primary(pod, network)


def _pod_nads(pod: Meta) -> set[str]:
    """The NADs of a pod's Multus annotation, a JSON list or the short form `ns/name@interface, …`."""
    raw = pod.annotations.get(NETWORKS, "").strip()
    if not raw.startswith("["):
        return {qualified(part.strip().partition("@")[0], pod.namespace) for part in raw.split(",")}
    try:
        entries = items(json.loads(raw))
    except (ValueError, RecursionError):
        return set()
    return {qualified(text(dig(entry, "name")), text(dig(entry, "namespace")) or pod.namespace) for entry in entries}


def _primary(meta: Meta, network: str) -> bool:
    """The primary NIC on the Network: plain `dc1` or `["dc1"]` (reference/calico-l2.md 2.3)."""
    return meta.annotations.get(PRIMARY, "").strip('[]" ') == network


def _of_vm(pod: Meta, vms: set[str]) -> bool:
    return f"{pod.namespace}/{pod.labels.get('vm.kubevirt.io/name', '')}" in vms


def _name(meta: Meta) -> str:
    return f"{meta.namespace}/{meta.name}"


def _bridge(config: HostConfig) -> str:
    return "managed" if config.bridge.managed else config.bridge.name or "none"
