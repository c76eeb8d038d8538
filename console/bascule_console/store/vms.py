"""VM rows: one line per VirtualMachine, joined from VM, VMI, migrations and attachments. Pure.

The VM says what should be, its instance (VMI) what is; a row prefers the instance and falls back to the VM, so
that a stopped VM still shows its VLAN, its MAC and the address it will get.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bascule_console.store.inventory import Inventory, Object, object_key

VMS, VMIS, MIGRATIONS = "virtualmachines", "virtualmachineinstances", "virtualmachineinstancemigrations"
ATTACHMENTS, NODES, NETWORKS = "network-attachment-definitions", "nodes", "networks"
ENDED_PHASES = frozenset({"Succeeded", "Failed"})
ADDRESS_ANNOTATION = "cni.projectcalico.org/{nic}.ipAddrs"


@dataclass(frozen=True, slots=True)
class VmRow:
    """One VM as shown; empty text means "not known". `move` is "node3 Running" while a migration is in flight."""

    key: str
    name: str
    namespace: str
    node: str
    network: str
    vlan: int | None
    ip: str
    mac: str
    phase: str
    ready: bool
    movable: bool
    why_not: str
    move: str

    @property
    def failed(self) -> bool:
        """The guest is dead: its instance failed or its VM is marked so."""
        return self.phase in ("Failed", "CrashLoopBackOff", "ErrorUnschedulable")


def vm_rows(inventory: Inventory) -> list[VmRow]:
    """Every VM, in the order of namespace and name."""
    moves = moves_in_flight(inventory.all(MIGRATIONS))
    return [vm_row(vm, inventory, moves) for vm in inventory.all(VMS)]


def vm_row(vm: Object, inventory: Inventory, moves: Mapping[str, str]) -> VmRow:
    """The row of one VM object."""
    key = object_key(vm)
    meta = vm.get("metadata") or {}
    namespace, name = str(meta.get("namespace", "")), str(meta.get("name", ""))
    vmi = inventory.get(VMIS, key) or {}
    status = vmi.get("status") or {}
    nic = first_nic(vm)
    interface = _interface(status.get("interfaces") or [], nic.get("name", ""))
    network, vlan = attachment_of(inventory, namespace, str(nic.get("attachment", "")))
    movable, why_not = live_migratable(status)
    return VmRow(
        key=key,
        name=name,
        namespace=namespace,
        node=str(status.get("nodeName", "")),
        network=network,
        vlan=vlan,
        ip=str(interface.get("ipAddress", "") or nic.get("ip", "")),
        mac=str(interface.get("mac", "") or nic.get("mac", "")),
        phase=phase_of(vm, vmi),
        ready=_condition(status, "Ready").get("status") == "True",
        movable=movable,
        why_not=why_not,
        move=moves.get(key, ""),
    )


def phase_of(vm: Object, vmi: Object) -> str:
    """The instance's phase; without an instance, the VM's printable status, else Stopped."""
    phase = str((vmi.get("status") or {}).get("phase", ""))
    if phase:
        return phase
    if vmi:
        return "Pending"
    return str((vm.get("status") or {}).get("printableStatus", "")) or "Stopped"


def first_nic(vm: Object) -> dict[str, str]:
    """The first secondary NIC of the VM's template: `name attachment mac ip`; empty when it has none."""
    template = (vm.get("spec") or {}).get("template") or {}
    spec = template.get("spec") or {}
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    interfaces = ((spec.get("domain") or {}).get("devices") or {}).get("interfaces") or []
    for network in spec.get("networks") or []:
        attachment = (network.get("multus") or {}).get("networkName", "")
        if not attachment:
            continue
        name = str(network.get("name", ""))
        return {
            "name": name,
            "attachment": str(attachment),
            "mac": str(_interface(interfaces, name).get("macAddress", "")),
            "ip": _first_address(annotations.get(ADDRESS_ANNOTATION.format(nic=name), "")),
        }
    return {}


def attachment_of(inventory: Inventory, namespace: str, name: str) -> tuple[str, int | None]:
    """(Network, VLAN) that an attachment names; ("", None) when it is absent or not readable."""
    if not name:
        return "", None
    nad = inventory.get(ATTACHMENTS, name if "/" in name else f"{namespace}/{name}")
    try:
        config = json.loads(str(((nad or {}).get("spec") or {}).get("config", "")))
    except ValueError:
        return "", None
    if not isinstance(config, dict):
        return "", None
    vlan = config.get("vlan")
    return str(config.get("network", "")), vlan if isinstance(vlan, int) else None


def moves_in_flight(migrations: Iterable[Object]) -> dict[str, str]:
    """VM key → "target phase" of its migration that has not ended."""
    found: dict[str, str] = {}
    for vmim in migrations:
        status = vmim.get("status") or {}
        phase = str(status.get("phase", "") or "Pending")
        if phase in ENDED_PHASES:
            continue
        meta, spec = vmim.get("metadata") or {}, vmim.get("spec") or {}
        target = (status.get("migrationState") or {}).get("targetNode") or migration_target(vmim)
        found[f"{meta.get('namespace', '')}/{spec.get('vmiName', '')}"] = f"{target} {phase}".strip()
    return found


def migration_target(vmim: Object) -> str:
    """The node a migration asks for by hostname, or ""."""
    selector = (vmim.get("spec") or {}).get("addedNodeSelector") or {}
    return str(selector.get("kubernetes.io/hostname", ""))


def live_migratable(vmi_status: Object) -> tuple[bool, str]:
    """(movable, reason why not) by the instance's LiveMigratable condition; without one it is not movable."""
    condition = _condition(vmi_status, "LiveMigratable")
    if condition.get("status") == "True":
        return True, ""
    if not condition:
        return False, "the instance has no LiveMigratable condition"
    return False, str(condition.get("message") or condition.get("reason") or "LiveMigratable is not True")


def _condition(status: Object, kind: str) -> Mapping[str, Any]:
    return next((c for c in status.get("conditions") or [] if c.get("type") == kind), {})


def _interface(interfaces: Iterable[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    return next((i for i in interfaces if i.get("name") == name), {})


def _first_address(text: str) -> str:
    try:
        addresses = json.loads(text)
    except ValueError:
        return ""
    return str(addresses[0]) if isinstance(addresses, list) and addresses else ""
