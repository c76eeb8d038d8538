"""A plain CSV (or one sheet) written by hand: one row a NIC. The common denominator of every tool.

Columns, of which only `vm` must be there: vm, power, template, os, cpus, memory_mib, host, cluster, server, uuid, nic,
mac, ip, portgroup, switch, vlan, subnet, gateway, model, connected, disk, disk_mib. Other columns are tags.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bascule.estate.cells import addresses, cidr, ipv4, mac, number, vlan, yes_no
from bascule.estate.errors import EstateFileError
from bascule.estate.model import LISTED, UNKNOWN, Disk, Estate, Nic, PortGroup, Vlan, Vm
from bascule.estate.rvtools.vms import power
from bascule.estate.sheet import Aliases, Sheet

COLUMNS: Aliases = {
    "vm": ("vm", "vmname", "name", "hostname", "guest"),
    "power": ("power", "powerstate", "state", "status"),
    "template": ("template", "istemplate"),
    "os": ("os", "guestos", "operatingsystem"),
    "cpus": ("cpus", "cpu", "vcpus", "vcpu"),
    "memory": ("memorymib", "memorymb", "memory", "ram"),
    "host": ("host", "hypervisor", "node", "esxhost"),
    "cluster": ("cluster",),
    "server": ("server", "vcenter"),
    "uuid": ("uuid", "vmuuid"),
    "label": ("nic", "niclabel", "interface", "adapter"),
    "mac": ("mac", "macaddress", "hwaddr"),
    "ip": ("ip", "ipaddress", "address", "ipv4", "ipv4address", "ips"),
    "network": ("portgroup", "network", "segment", "bridge"),
    "switch": ("switch", "vswitch", "dvswitch"),
    "vlan": ("vlan", "vlanid", "tag", "vid"),
    "subnet": ("subnet", "cidr", "prefix"),
    "gateway": ("gateway", "gw", "defaultgateway"),
    "model": ("model", "nicmodel", "nictype"),
    "connected": ("connected",),
    "disk": ("disk", "diskpath"),
    "mib": ("diskmib", "diskmb", "capacitymib", "capacity"),
}


def read_table(name: str, cells: Sequence[Sequence[Any]], sheet_name: str = "", first: int = 1) -> Estate:
    """The estate of one table. Raises EstateFileError when no column names VMs."""
    sheet = Sheet(name, sheet_name, COLUMNS, cells, first)
    if "vm" not in sheet.fields:
        fix = f"give the first row names, such as {', '.join(('vm', 'mac', 'ip', 'portgroup', 'vlan'))}"
        raise EstateFileError(f"{name}: no column 'vm'", "the first rows name no VMs", fix)
    texts = {each: sheet.texts(each) for each in _TEXTS}
    vlans, macs = sheet.values("vlan", vlan, Vlan()), sheet.values("mac", mac, "")
    subnets, gateways = sheet.values("subnet", cidr, ""), sheet.values("gateway", ipv4, "")
    connected, templates = sheet.values("connected", yes_no, None), sheet.values("template", yes_no, None)
    cpus, memory, mibs = (sheet.values(each, number, 0) for each in ("cpus", "memory", "mib"))
    tags = [(header, sheet.column(column)) for header, column in sheet.extra]
    vms: dict[str, Vm] = {}
    nics: dict[str, list[Nic]] = defaultdict(list)
    disks: dict[str, list[Disk]] = defaultdict(list)
    groups: dict[str, PortGroup] = {}
    for at, called in enumerate(sheet.names("vm")):
        row = {each: column[at] for each, column in texts.items()}
        if not called:
            if not sheet.is_blank(at):
                sheet.reject(at, "the VM has no name", "name it in column vm")
            continue
        key = f"{row['server']}/{row['uuid'].lower() or called}"
        if key not in vms:
            vms[key] = Vm(
                key, called, row["server"], "", row["uuid"].lower(), power(row["power"]), bool(templates[at]),
                cpus=cpus[at], memory_mib=memory[at], os=row["os"], host=row["host"], cluster=row["cluster"],
                tags=tuple((header, column[at]) for header, column in tags if column[at]), place=sheet.place(at),
            )  # fmt: skip
        group = _group(row, vlans[at], subnets[at], gateways[at], sheet.place(at))
        if group is not None:
            _agree(sheet, at, groups, group)
        four, six, bad = addresses(row["ip"])
        if bad:
            sheet.reject(at, f"{bad[0][:40]!r} is no address", "correct the cell", "ip")
        if row["network"] or macs[at] or four or six or group:
            nic = Nic(
                len(nics[key]), row["label"], macs[at], row["network"], row["switch"], group.key if group else "",
                row["model"], connected[at], four, six, None, sheet.place(at),
            )  # fmt: skip
            nics[key].append(nic)
        if row["disk"] or mibs[at]:
            disks[key].append(Disk(row["disk"], "", mibs[at], place=sheet.place(at)))
    found = [replace(vm, nics=tuple(nics[key]), disks=tuple(disks[key])) for key, vm in vms.items()]
    return Estate(vms=tuple(found), port_groups=tuple(groups.values()), rejected=tuple(sheet.rejected))


_TEXTS = ("power", "os", "host", "cluster", "server", "uuid", "label", "ip", "network", "switch", "model", "disk")


def _group(row: dict[str, str], number: Vlan, subnet: str, gateway: str, place: str) -> PortGroup | None:
    """The port group a row names; one without a name is called after its VLAN."""
    called = row["network"] or ("" if number.kind == UNKNOWN else f"vlan {number.text}")
    if not called:
        return None
    key = f"{row['server']}/{row['switch']}/{called}"
    return PortGroup(
        key, called, row["switch"], LISTED, row["server"], vlan=number, cidr=subnet, gateway=gateway, place=place
    )


def _agree(sheet: Sheet, at: int, groups: dict[str, PortGroup], group: PortGroup) -> None:
    """Take what a row says of its port group; what differs from an earlier row is rejected."""
    known = groups.setdefault(group.key, group)
    for name, title in (("vlan", "vlan"), ("cidr", "subnet"), ("gateway", "gateway")):
        old, new = getattr(known, name), getattr(group, name)
        if new in ("", Vlan()) or new == old:
            continue
        if old in ("", Vlan()):
            known = groups[group.key] = replace(known, **{name: new})
            continue
        said = (old.text, new.text) if isinstance(old, Vlan) else (old, new)
        why = f"port group {group.name} has {title} {said[0]} in {known.place} and {said[1]} here"
        sheet.reject(at, why, "make both rows say the same, or give the port groups different names", title)
