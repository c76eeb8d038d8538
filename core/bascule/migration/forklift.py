"""A plan as Forklift's objects (forklift.konveyor.io/v1beta1), for VMs of a vCenter; reference/calico-l2.md section 8.

Without the Calico block every port group goes to its NAD. With it (Tigera's fork, tech preview) the first NIC of a VM
becomes the pod's own, placed by `calico: {network, vlan}`; a map may hold one such pair, so there is a map and a plan
for each wave and first VLAN. Written after the field reference; it was not tried against a live Forklift.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from bascule.estate.model import Vm
from bascule.migration.plan import Plan, VmPlan

Doc = dict[str, Any]
API = "forklift.konveyor.io/v1beta1"


def vcenter_vms(plan: Plan, vms: Mapping[str, Vm]) -> list[VmPlan]:
    """Those that Forklift can fetch: of a vCenter, with its id."""
    return [each for each in plan.moving if vms[each.key].server and vms[each.key].id.startswith("vm-")]


def forklift(plan: Plan, vms: Mapping[str, Vm], calico: bool) -> list[Doc]:
    """Providers, maps, plans and migrations; empty when no VM is of a vCenter."""
    moving = vcenter_vms(plan, vms)
    if not moving:
        return []
    options = plan.options
    source = {"name": options.source_provider, "namespace": options.forklift_namespace}
    target = {"name": "host", "namespace": options.forklift_namespace}
    ends = {"source": source, "destination": target}
    documents = [
        _doc(plan, "Provider", source["name"], {
            "type": "vsphere",
            "url": "https://VCENTER/sdk",
            "secret": {"name": source["name"], "namespace": source["namespace"]},
            "settings": {"sdkEndpoint": "vcenter"},
        }),
        _doc(plan, "Provider", "host", {"type": "openshift", "url": "", "secret": {}}),
        _doc(plan, "StorageMap", "bascule-storage", {"provider": ends, "map": _storage(plan, moving, vms)}),
    ]  # fmt: skip
    parts: dict[tuple[int, int], list[VmPlan]] = defaultdict(list)
    for each in moving:
        parts[each.wave, each.nics[0].vlan if calico and each.nics else 0].append(each)
    for (wave, vid), members in sorted(parts.items()):
        name = f"bascule-wave-{wave}" + (f"-vlan-{vid}" if vid else "")
        documents.append(_doc(plan, "NetworkMap", name, {"provider": ends, "map": _network(members, vid)}))
        documents.append(_doc(plan, "Plan", name, _plan(plan, ends, name, members, vms)))
        refs = {"name": name, "namespace": options.forklift_namespace}
        documents.append(_doc(plan, "Migration", name, {"plan": refs}))
    return documents


def _doc(plan: Plan, kind: str, name: str, spec: Doc) -> Doc:
    meta = {"name": name, "namespace": plan.options.forklift_namespace}
    return {"apiVersion": API, "kind": kind, "metadata": meta, "spec": spec}


def _storage(plan: Plan, moving: list[VmPlan], vms: Mapping[str, Vm]) -> list[Doc]:
    stores = sorted({disk.datastore for each in moving for disk in vms[each.key].disks if disk.datastore})
    destination = {"storageClass": plan.options.storage_class} if plan.options.storage_class else {}
    return [{"source": {"name": store}, "destination": destination} for store in stores]


def _network(members: list[VmPlan], vid: int) -> list[Doc]:
    """One pair a port group; with `vid` the first NIC's is the pod's own and carries the Calico block."""
    pairs: dict[str, Doc] = {}
    for member in members:
        for nic in member.nics:
            namespace, _, name = nic.nad.partition("/")
            pairs.setdefault(nic.port_group, {"type": "multus", "namespace": namespace, "name": name})
    first = members[0].nics[0] if vid and members[0].nics else None
    if first is not None:
        pairs[first.port_group] = {"type": "pod", "calico": {"network": first.network, "vlan": first.vlan}}
    found: list[Doc] = [{"source": {"name": name}, "destination": to} for name, to in sorted(pairs.items())]
    return [{**each, "networkIPMode": "preserve"} for each in found] if vid else found


def _plan(plan: Plan, ends: Doc, name: str, members: list[VmPlan], vms: Mapping[str, Vm]) -> Doc:
    namespace = plan.options.forklift_namespace
    return {
        "provider": ends,
        "targetNamespace": plan.options.namespace,
        "map": {
            "network": {"name": name, "namespace": namespace},
            "storage": {"name": "bascule-storage", "namespace": namespace},
        },
        "type": "cold",
        "preserveStaticIPs": True,
        "targetPowerState": "off",
        "networkNameTemplate": "net-{{.NetworkIndex}}",
        "vms": [{"id": vms[each.key].id, "targetName": each.target} for each in members],
    }
