"""Who is attached to which Network: VMs, their instances and Pods, through a NAD or by the primary annotation. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from bascule.resources.attachment import Attachment
from bascule.resources.kubevirt import Instance, VirtualMachine, VmNic, qualified
from bascule.resources.meta import Meta
from bascule.resources.pod import NETWORKS
from bascule.resources.read import dig, items, text
from bascule_console.store.derived import PerObject
from bascule_console.store.inventory import Inventory, Object, object_key
from bascule_console.store.vms import ATTACHMENTS, VMIS, VMS

PODS = "pods"
PRIMARY = "cni.projectcalico.org/networks"


@dataclass(frozen=True, slots=True)
class User:
    """One workload: `nads` it uses, `primary` Network of its first NIC, `vm` that a launcher pod belongs to."""

    kind: str
    key: str
    nads: frozenset[str]
    primary: str
    vm: str = ""


@dataclass(frozen=True, slots=True)
class Workloads:
    """NADs and everything that can be attached through them."""

    nads: tuple[Attachment, ...]
    users: tuple[User, ...]

    @classmethod
    def of(
        cls, nads: Iterable[Object], vms: Iterable[Object], vmis: Iterable[Object], pods: Iterable[Object]
    ) -> Workloads:
        """From API objects."""
        users = [*map(_vm_user, vms), *map(_instance_user, vmis), *map(_pod_user, pods)]
        return cls(tuple(map(Attachment.of, nads)), tuple(users))

    def nads_of(self, network: str) -> list[str]:
        """`namespace/name` of each NAD into the Network."""
        return sorted(nad.name for nad in self.nads if nad.network == network)

    def attached(self, network: str) -> list[str]:
        """`VM ns/name` and `Pod ns/name` on the Network, launcher pods left out where their VM is named."""
        nads = set(self.nads_of(network))
        return self._named(lambda user: not nads.isdisjoint(user.nads) or user.primary == network)

    def users_of(self, nad: str) -> list[str]:
        """`VM ns/name` and `Pod ns/name` that use one NAD."""
        return self._named(lambda user: nad in user.nads)

    def _named(self, wanted: Callable[[User], bool]) -> list[str]:
        found = [user for user in self.users if wanted(user)]
        vms = {user.key for user in found if user.kind == "VM"}
        pods = {user.key for user in found if user.kind == "Pod" and user.vm not in vms}
        return [f"VM {key}" for key in sorted(vms)] + [f"Pod {key}" for key in sorted(pods)]


class WorkloadsSeen:
    """Workloads from what the watches or lists have brought so far, each object read once."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._nads = PerObject(Attachment.of)
        self._users = [(VMS, PerObject(_vm_user)), (VMIS, PerObject(_instance_user)), (PODS, PerObject(_pod_user))]

    def now(self) -> Workloads:
        """As things are now."""
        nads = self._nads.of(self._inventory.all(ATTACHMENTS))
        users = [user for kind, made in self._users for user in made.of(self._inventory.all(kind))]
        return Workloads(tuple(nads), tuple(users))


def uses_networks(pod: Object) -> bool:
    """Whether a Pod asks for any Network beside the cluster's own."""
    annotations = dig(pod, "metadata", "annotations") or {}
    return NETWORKS in annotations or PRIMARY in annotations


def _vm_user(document: Object) -> User:
    vm = VirtualMachine.of(document)
    return User("VM", object_key(document), _nads(vm.nics), _primary(vm.template))


def _instance_user(document: Object) -> User:
    """An instance counts as its VM: what runs holds the segment also when the VM's document has moved on."""
    vmi = Instance.of(document)
    return User("VM", object_key(document), _nads(vmi.nics), _primary(vmi.meta))


def _pod_user(document: Object) -> User:
    meta = Meta.of(document)
    vm = f"{meta.namespace}/{meta.labels.get('vm.kubevirt.io/name', '')}"
    return User("Pod", object_key(document), frozenset(_pod_nads(meta)), _primary(meta), vm)


def _nads(nics: Iterable[VmNic]) -> frozenset[str]:
    return frozenset(nic.nad for nic in nics if nic.nad)


def _primary(meta: Meta) -> str:
    """The primary NIC's Network: plain `dc1` or `["dc1"]` (reference/calico-l2.md 2.3)."""
    return meta.annotations.get(PRIMARY, "").strip('[]" ')


def _pod_nads(pod: Meta) -> set[str]:
    """The NADs of a pod's Multus annotation, a JSON list or the short form `ns/name@interface, …`."""
    raw = pod.annotations.get(NETWORKS, "").strip()
    if not raw:
        return set()
    if not raw.startswith("["):
        return {qualified(part.strip().partition("@")[0], pod.namespace) for part in raw.split(",")}
    try:
        entries = items(json.loads(raw))
    except (ValueError, RecursionError):
        return set()
    return {_entry_nad(entry, pod) for entry in entries}


def _entry_nad(entry: Any, pod: Meta) -> str:
    return qualified(text(dig(entry, "name")), text(dig(entry, "namespace")) or pod.namespace)
