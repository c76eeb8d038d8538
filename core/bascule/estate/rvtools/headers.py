"""What RVTools has called its sheets and columns (versions 3 and 4, legacy MB headers, database-like re-exports)."""

from __future__ import annotations

import re

from bascule.estate.sheet import Aliases

_COMMON: Aliases = {
    "host": ("host", "esxhost", "hostname"),
    "cluster": ("cluster", "clustername"),
    "datacenter": ("datacenter", "datacentre", "dc"),
    "server": ("visdkuuid", "vcenteruuid", "visdkserveruuid", "vcenterid"),
    "server_name": ("visdkserver", "vcenter", "vcenterserver", "visdkservername"),
}
_OF_VM: Aliases = {
    **_COMMON,
    "vm": ("vm", "vmname", "name", "virtualmachine"),
    "id": ("vmid", "vmmoref", "moref", "objectid"),
    "uuid": ("vmuuid", "instanceuuid", "vminstanceuuid"),
    "bios": ("smbiosuuid", "biosuuid"),
    "power": ("powerstate", "power", "state"),
    "template": ("template", "istemplate"),
    "placeholder": ("srmplaceholder",),
    "folder": ("folder", "vmfolder"),
    "os_config": ("osaccordingtotheconfigurationfile", "osconfig", "guestos", "os"),
    "os_tools": ("osaccordingtothevmwaretools", "ostools"),
}
SHEETS: dict[str, Aliases] = {
    "vinfo": {
        **_OF_VM,
        "dns": ("dnsname", "guesthostname"),
        "guest": ("gueststate", "toolsstatus"),
        "cpus": ("cpus", "cpu", "#cpus", "numcpu", "vcpus"),
        "memory": ("memory", "memorymib", "memorymb", "memorysize"),
        "ip": ("primaryipaddress", "ipaddress", "primaryip"),
        "firmware": ("firmware",),
        "annotation": ("annotation",),
        **{f"network{n}": (f"network#{n}", f"network{n}") for n in range(1, 9)},
    },
    "vnetwork": {
        **_OF_VM,
        "label": ("niclabel", "label", "networkadapter"),
        "model": ("adapter", "adaptertype", "nictype"),
        "network": ("network", "networkname", "portgroup", "networklabel"),
        "switch": ("switch", "switchname", "vswitch", "dvswitch"),
        "connected": ("connected",),
        "starts": ("startsconnected", "startconnected", "connectatpoweron"),
        "mac": ("macaddress", "mac"),
        "ip": ("ipv4address", "ipaddress", "ipv4", "ip"),
        "ip6": ("ipv6address", "ipv6"),
        "direct": ("directpathio", "directpath"),
    },
    "vdisk": {
        **_OF_VM,
        "disk": ("disk", "label", "disklabel"),
        "path": ("diskpath", "path", "filename"),
        "mib": ("capacitymib", "capacitymb", "capacity"),
        "raw": ("raw", "rdm"),
        "mode": ("diskmode", "mode"),
        "sharing": ("sharingmode", "sharing"),
        "shared_bus": ("sharedbus", "scsibussharing"),
    },
    "vtools": {**_OF_VM, "tools": ("tools", "toolsrunningstatus", "toolsstatus")},
    "dvport": {
        **_COMMON,
        "name": ("port", "portgroup", "name", "dvportgroup"),
        "switch": ("switch", "dvswitch", "switchname"),
        "vlan": ("vlan", "vlanid"),
        "promiscuous": ("allowpromiscuous", "promiscuousmode", "promiscuous"),
        "mac_changes": ("macchanges", "macaddresschanges"),
        "forged": ("forgedtransmits", "forged"),
        "shaping": ("intrafficshaping", "outtrafficshaping", "trafficshaping"),
        "override": ("vlanoverride",),
        "type": ("type",),
        "id": ("objectid",),
    },
    "vport": {
        **_COMMON,
        "name": ("portgroup", "port", "name"),
        "switch": ("switch", "vswitch", "switchname"),
        "vlan": ("vlan", "vlanid"),
        "promiscuous": ("promiscuousmode", "allowpromiscuous", "promiscuous"),
        "mac_changes": ("macchanges", "macaddresschanges"),
        "forged": ("forgedtransmits", "forged"),
        "shaping": ("trafficshaping",),
    },
    "vswitch": {**_COMMON, "name": ("switch", "vswitch", "name"), "mtu": ("mtu", "maxmtu")},
    "dvswitch": {
        **_COMMON,
        "name": ("switch", "name", "dvswitch"),
        "mtu": ("maxmtu", "mtu"),
        "members": ("hostmembers", "hosts"),
    },
    "vhost": {**_COMMON, "version": ("esxversion", "version")},
    "vnic": {**_COMMON, "device": ("networkdevice", "device"), "switch": ("switch",)},
    "vscvmk": {
        **_COMMON,
        "group": ("portgroup",),
        "device": ("device",),
        "ip": ("ipaddress",),
        "mask": ("subnetmask", "netmask"),
        "gateway": ("gateway",),
        "mtu": ("mtu",),
    },
}
"""Sheet, as `kind_of` names it → field → normalised headers, the best first."""
OF_VMS = ("vinfo", "vnetwork", "vdisk", "vtools")
_NAME = re.compile(r"(?:rvtools[_ -]*)?(?:tab)?(?P<kind>[a-z_]+?)(?:[_ -]*\(?\d+\)?)?(?:\.csv)?", re.IGNORECASE)


def kind_of(name: str) -> str:
    """Which sheet a tab or a CSV file is (`RVTools_tabvInfo.csv`, `vInfo (2)`), "" for none that is read."""
    match = _NAME.fullmatch(name.rpartition("/")[2].strip())
    found = match["kind"].lower().replace("_", "") if match else ""
    return found if found in SHEETS else ""
