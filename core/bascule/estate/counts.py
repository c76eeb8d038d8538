"""An estate in numbers, and its objects as rows for people and scripts."""

from __future__ import annotations

from typing import Any

from bascule.estate.model import Estate


def counts(estate: Estate) -> dict[str, int]:
    """How many of each there are."""
    return {
        "vms": len(estate.vms),
        "movable": sum(1 for vm in estate.vms if vm.movable),
        "nics": sum(len(vm.nics) for vm in estate.vms),
        "disks": sum(len(vm.disks) for vm in estate.vms),
        "port_groups": len(estate.port_groups),
        "switches": len(estate.switches),
        "hosts": len(estate.hosts),
        "rejected": len(estate.rejected),
        "conflicts": len(estate.conflicts),
    }


def vm_rows(estate: Estate) -> list[dict[str, Any]]:
    """One row a VM."""
    vlans = {group.key: group.vlan.text for group in estate.port_groups}
    return [
        {
            "name": vm.name,
            "key": vm.key,
            "power": vm.power,
            "kind": "template" if vm.template else "placeholder" if vm.placeholder else "vm",
            "host": vm.host,
            "os": vm.os,
            "nics": [
                {
                    "mac": nic.mac,
                    "ips": list(nic.ips + nic.ips6),
                    "port_group": nic.network,
                    "vlan": vlans.get(nic.port_group, "unknown"),
                    "model": nic.model,
                }
                for nic in vm.nics
            ],
            "disk_mib": vm.disk_mib,
            "tags": dict(vm.tags),
            "place": vm.place,
        }
        for vm in estate.vms
    ]


def group_rows(estate: Estate) -> list[dict[str, Any]]:
    """One row a port group, with the number of NICs in it."""
    used: dict[str, int] = {}
    for vm in estate.vms:
        for nic in vm.nics:
            used[nic.port_group] = used.get(nic.port_group, 0) + 1
    return [
        {
            "name": group.name,
            "key": group.key,
            "switch": group.switch,
            "kind": group.kind,
            "vlan": group.vlan.text,
            "nics": used.get(group.key, 0),
            "promiscuous": group.promiscuous,
            "mac_changes": group.mac_changes,
            "forged": group.forged,
            "cidr": group.cidr,
            "gateway": group.gateway,
            "hosts": list(group.hosts),
            "place": group.place,
        }
        for group in estate.port_groups
    ]
