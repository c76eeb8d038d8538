"""vHost, vNIC and vSC_VMK: the hypervisors, their ports and their own addresses, which name subnets and gateways."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from bascule.estate.cells import CellError, cidr, ipv4, number
from bascule.estate.model import Host, HostAddress
from bascule.estate.rvtools.vms import server_of
from bascule.estate.sheet import Sheet

FIX = "correct the cell"


def read_hosts(sheets: Iterable[tuple[str, Sheet]]) -> list[Host]:
    """All three sheets, as (kind, sheet); a host that only the latter two name is taken in as well."""
    hosts: dict[str, Host] = {}
    uplinks: dict[str, set[str]] = defaultdict(set)
    addresses: dict[str, list[HostAddress]] = defaultdict(list)
    for kind, sheet in sheets:
        servers, names, versions = server_of(sheet), sheet.texts("host"), sheet.texts("version")
        clusters, centres, devices = sheet.texts("cluster"), sheet.texts("datacenter"), sheet.texts("device")
        own = _addresses(sheet) if kind == "vscvmk" else []
        for at, name in enumerate(names):
            if not name or name == sheet.header("host"):
                continue
            key = f"{servers[at]}/{name}"
            known = hosts.setdefault(key, Host(key, name, servers[at], clusters[at], centres[at], "", place=""))
            if kind == "vhost":
                hosts[key] = replace(known, version=versions[at], place=sheet.place(at))
            elif kind == "vnic" and devices[at]:
                uplinks[key].add(devices[at])
            elif kind == "vscvmk":
                addresses[key].append(own[at])
    return [
        replace(host, uplinks=tuple(sorted(uplinks[key])), addresses=tuple(addresses[key]))
        for key, host in hosts.items()
    ]


def _addresses(sheet: Sheet) -> list[HostAddress]:
    devices, groups = sheet.texts("device"), sheet.texts("group")
    ips, gateways = sheet.values("ip", ipv4, ""), sheet.values("gateway", ipv4, "")
    masks, mtus = sheet.texts("mask"), sheet.values("mtu", number, 0)
    found = []
    for at, ip in enumerate(ips):
        subnet = ""
        if ip and masks[at]:
            try:
                subnet = cidr(ip, masks[at])
            except CellError as error:
                sheet.reject(at, str(error), FIX, "mask")
        found.append(HostAddress(devices[at], groups[at], ip, subnet, gateways[at], mtus[at], sheet.place(at)))
    return found
