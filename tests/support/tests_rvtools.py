"""Writes what RVTools writes: a book, or its sheets as CSV, of an estate of any size with any faults.

The spelling of sheets and headers is reference/vms.md section 5's; openpyxl is the writer, so that nothing of the
reader under test takes part.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Sequence
from typing import Any

HEADERS: dict[str, list[str]] = {
    "vInfo": [
        "VM", "Powerstate", "Template", "SRM Placeholder", "Config status", "DNS Name", "Connection state",
        "Guest state", "CPUs", "Memory", "NICs", "Disks", "Primary IP Address", "Network #1", "Network #2",
        "Resource pool", "Folder", "Provisioned MiB", "In Use MiB", "Firmware", "Annotation", "Application",
        "Datacenter", "Cluster", "Host", "OS according to the configuration file", "OS according to the VMware Tools",
        "VM ID", "SMBIOS UUID", "VM UUID", "VI SDK Server type", "VI SDK API Version", "VI SDK Server", "VI SDK UUID",
    ],
    "vNetwork": [
        "VM", "Powerstate", "Template", "SRM Placeholder", "NIC label", "Adapter", "Network", "Switch", "Connected",
        "Starts Connected", "Mac Address", "Type", "IPv4 Address", "IPv6 Address", "Direct Path IO", "Annotation",
        "Datacenter", "Cluster", "Host", "Folder", "VM ID", "VM UUID", "VI SDK Server", "VI SDK UUID",
    ],
    "vDisk": [
        "VM", "Powerstate", "Template", "Disk", "Disk Key", "Disk Path", "Capacity MiB", "Raw", "Disk Mode",
        "Sharing mode", "Thin", "Controller", "Host", "VM ID", "VM UUID", "VI SDK Server", "VI SDK UUID",
    ],
    "dvPort": [
        "Port", "Switch", "Type", "# Ports", "VLAN", "Allow Promiscuous", "Mac Changes", "Forged Transmits",
        "In Traffic Shaping", "Vlan Override", "Object ID", "VI SDK Server", "VI SDK UUID",
    ],
    "vPort": [
        "Host", "Datacenter", "Cluster", "Port Group", "Switch", "VLAN", "Promiscuous Mode", "Mac Changes",
        "Forged Transmits", "Traffic Shaping", "VI SDK Server", "VI SDK UUID",
    ],
    "vSwitch": ["Host", "Datacenter", "Cluster", "Switch", "# Ports", "MTU", "VI SDK Server", "VI SDK UUID"],
    "dvSwitch": ["Switch", "Datacenter", "Name", "Host members", "Max MTU", "VI SDK Server", "VI SDK UUID"],
    "vHost": ["Host", "Datacenter", "Cluster", "ESX Version", "VI SDK Server", "VI SDK UUID"],
    "vSC_VMK": [
        "Host", "Datacenter", "Cluster", "Port Group", "Device", "Mac Address", "IP Address", "Subnet mask", "Gateway",
        "MTU", "VI SDK Server", "VI SDK UUID",
    ],
}  # fmt: skip
"""Sheet → headers."""
VC = {"VI SDK Server": "vc1.example", "VI SDK UUID": "0a1b2c3d-0000-4000-8000-000000000001"}
Rows = dict[str, list[dict[str, Any]]]


def estate(vms: int, *, server: dict[str, str] = VC, vlans: Sequence[int] = (110, 120, 130), hosts: int = 8) -> Rows:
    """An estate without faults: `vms` VMs with one NIC and three disks each, on distributed port groups."""
    rows: Rows = {name: [] for name in HEADERS}
    for number in range(vms):
        at = number % len(vlans)
        nth = number // len(vlans)
        vid = vlans[at]
        vm = {
            "VM": f"app{number:05}",
            "Powerstate": "poweredOn",
            "Template": False,
            "SRM Placeholder": False,
            "Host": f"esx{number % hosts}.example",
            "Cluster": "c1",
            "Datacenter": "dc1",
            "Folder": "/prod",
            "Annotation": "",
            "VM ID": f"vm-{1000 + number}",
            "VM UUID": f"5032{number:028x}",
            **server,
        }
        ip = f"10.{vid}.{nth // 240}.{nth % 240 + 10}"
        info = {
            **vm, "DNS Name": f"app{number}.example", "Guest state": "running", "CPUs": 2, "Memory": 4096, "NICs": 1,
            "Disks": 3, "Primary IP Address": ip, "Network #1": f"pg-{vid}", "Firmware": "bios",
            "OS according to the VMware Tools": "Red Hat Enterprise Linux 9 (64-bit)", "Application": f"shop{nth % 50}",
        }  # fmt: skip
        rows["vInfo"].append(info)
        nic = {
            **vm, "NIC label": "Network adapter 1", "Adapter": "Vmxnet3", "Network": f"pg-{vid}", "Switch": "dvs1",
            "Connected": True, "Starts Connected": True, "Mac Address": f"00:50:56:{number >> 16:02x}:"
            f"{number >> 8 & 255:02x}:{number & 255:02x}", "Type": "assigned", "IPv4 Address": ip,
            "Direct Path IO": False,
        }  # fmt: skip
        rows["vNetwork"].append(nic)
        for disk in range(3):
            path = f"[ds{number % 4}] app{number:05}/app{number:05}_{disk}.vmdk"
            rows["vDisk"].append(
                {
                    **vm,
                    "Disk": f"Hard disk {disk + 1}",
                    "Disk Path": path,
                    "Capacity MiB": 40960,
                    "Raw": False,
                    "Disk Mode": "persistent",
                    "Sharing mode": "sharingNone",
                }  # fmt: skip
            )
    for vid in vlans:
        rows["dvPort"].append(
            {
                "Port": f"pg-{vid}",
                "Switch": "dvs1",
                "Type": "earlyBinding",
                "VLAN": vid,
                "Allow Promiscuous": False,
                "Mac Changes": False,
                "Forged Transmits": False,
                "Vlan Override": False,
                **server,
            }  # fmt: skip
        )
    rows["dvSwitch"].append({"Switch": "dvs1", "Name": "dvs1", "Max MTU": 1500, **server})
    for number in range(hosts):
        host = {"Host": f"esx{number}.example", "Datacenter": "dc1", "Cluster": "c1", **server}
        rows["vHost"].append({**host, "ESX Version": "VMware ESXi 8.0.2"})
        rows["vSC_VMK"].append(
            {
                **host,
                "Port Group": "Management",
                "Device": "vmk0",
                "IP Address": f"10.9.0.{10 + number}",
                "Subnet mask": "255.255.255.0",
                "Gateway": "10.9.0.1",
                "MTU": 1500,
            }  # fmt: skip
        )
    return rows


def cells(name: str, rows: Iterable[dict[str, Any]]) -> list[list[Any]]:
    """Header and rows of one sheet."""
    header = HEADERS[name]
    return [header, *([row.get(column, "") for column in header] for row in rows)]


def book(rows: Rows | dict[str, list[list[Any]]]) -> bytes:
    """The .xlsx; a value that is a list of lists is written as it is, under its sheet's name."""
    from openpyxl import Workbook

    found = Workbook(write_only=True)
    for name, content in rows.items():
        sheet = found.create_sheet(name)
        for line in cells(name, content) if not content or isinstance(content[0], dict) else content:
            sheet.append(line)
    stream = io.BytesIO()
    found.save(stream)
    found.close()
    return _dated(stream.getvalue())


def _dated(data: bytes) -> bytes:
    """The same book as if it had been saved in 1980: what was written twice is equal, whenever that was."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"1980-01-01T00:00:00Z", source.read(name))
            target.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def folder(rows: Rows) -> list[tuple[str, bytes]]:
    """The CSV files."""
    files = []
    for name, content in rows.items():
        stream = io.StringIO()
        csv.writer(stream).writerows(cells(name, content))
        files.append((f"RVTools_tab{name}.csv", stream.getvalue().encode("utf-8-sig")))
    return files
