"""A plan as Kubernetes objects: VirtualMachines that keep address, MAC and VLAN, halted until a step starts them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bascule.estate.model import Vm
from bascule.migration.plan import NicPlan, Plan, VmPlan

Doc = dict[str, Any]
FROM = "bascule.dev/moved-from"


def virtual_machines(plan: Plan, vms: Mapping[str, Vm]) -> list[Doc]:
    """One VirtualMachine for every VM in a wave, wave by wave; `vms` is the estate by key."""
    return [_machine(plan, each, vms[each.key]) for each in plan.moving]


def _machine(plan: Plan, planned: VmPlan, vm: Vm) -> Doc:
    disks = [f"disk-{number}" for number in range(max(len(vm.disks), 1))]
    devices: Doc = {
        "disks": [{"name": name, "disk": {"bus": "virtio"}} for name in disks],
        "interfaces": [_interface(nic) for nic in planned.nics],
    }
    domain: Doc = {"devices": devices}
    if vm.cpus:
        domain["cpu"] = {"cores": vm.cpus}
    if vm.memory_mib:
        domain["memory"] = {"guest": f"{vm.memory_mib}Mi"}
    if vm.firmware == "efi":
        domain["firmware"] = {"bootloader": {"efi": {"secureBoot": False}}}
    spec: Doc = {
        "evictionStrategy": "LiveMigrate",
        "domain": domain,
        "networks": [{"name": nic.name, "multus": {"networkName": nic.nad}} for nic in planned.nics],
        "volumes": [
            {"name": name, "persistentVolumeClaim": {"claimName": f"{planned.target}-{name}"}} for name in disks
        ],
    }
    pinned = {f"cni.projectcalico.org/{nic.name}.ipAddrs": json.dumps([nic.ip]) for nic in planned.nics if nic.ip}
    labels = {"app": planned.target, **planned.labels}
    meta = {"name": planned.target, "namespace": plan.options.namespace, "labels": labels}
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {**meta, "annotations": {FROM: planned.key}},
        "spec": {
            "runStrategy": "Halted",
            "template": {"metadata": {"labels": labels, "annotations": pinned}, "spec": spec},
        },
    }


def _interface(nic: NicPlan) -> Doc:
    found: Doc = {"name": nic.name, "bridge": {}, "model": "virtio"}
    if nic.mac:
        found["macAddress"] = nic.mac
    return found if nic.connected else {**found, "state": "down"}
