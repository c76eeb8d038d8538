"""libvirt's domain and network XML (`virsh dumpxml`, `virsh net-dumpxml`), one or many in a file.

A network says more of a port group than its VLAN: the subnet, the gateway, and by its DHCP reservations which MAC has
which address. Who reads a host live (console/services/collect) adds in the namespace LIVE what XML does not say: on a
domain its power, on a disk its bytes, in an interface its addresses, beside the domains the host and the VLANs of its
bridges.
"""

from __future__ import annotations

from dataclasses import replace
from xml.etree.ElementTree import Element

from bascule.estate.cells import CellError, cidr, ipv4, mac, number, vlan
from bascule.estate.errors import EstateFileError
from bascule.estate.model import LIBVIRT, TAGGED, TRUNK, Disk, Estate, Host, Nic, PortGroup, Rejected, Vlan, Vm
from bascule.estate.ovf import ovf_estate
from bascule.estate.xmlread import root_of

LIVE = "https://bascule.dev/libvirt/live/1"
_MIB_SHIFT = {"b": 0, "bytes": 0, "kb": 10, "k": 10, "kib": 10, "m": 20, "mib": 20, "g": 30, "gib": 30, "t": 40}


def read_xml(name: str, data: bytes) -> tuple[str, Estate]:
    """libvirt or OVF, whichever an XML file is: the kind and the estate. Raises EstateFileError."""
    root = root_of(name, data)
    if root.tag.endswith("Envelope"):
        return "ovf", ovf_estate(name, root)
    return "libvirt", _Reader(name).estate(root)


class _Reader:
    def __init__(self, name: str) -> None:
        self._name = name
        self._rejected: list[Rejected] = []
        self._groups: dict[str, PortGroup] = {}
        self._leases: dict[str, str] = {}
        self._bridges: dict[str, Vlan] = {}
        self._host = Host("", "")

    def estate(self, root: Element) -> Estate:
        networks = [each for each in root.iter("network") if each.find("name") is not None]
        domains = list(root.iter("domain"))
        domains = [each for each in domains if each.find("name") is not None]
        self._live(root)
        if not networks and not domains and not self._host.key:
            cause = f"its root is <{root.tag}>"
            raise EstateFileError(f"{self._name}: no libvirt domain or network, and no OVF", cause, "virsh dumpxml VM")
        for each in networks:
            self._network(each)
        vms = [self._domain(each) for each in domains]
        return Estate(
            vms=tuple(vms),
            port_groups=tuple(self._groups.values()),
            hosts=(self._host,) if self._host.key else (),
            rejected=tuple(dict.fromkeys(self._rejected)),
        )

    def _live(self, root: Element) -> None:
        """What was added of the host."""
        found = root.find(f"{{{LIVE}}}host")
        if found is not None:
            name = found.get("name", "")
            self._host = Host(f"/{name}", name, version=found.get("version", ""), place=f"{self._name}:host {name}")
        for each in root.findall(f"{{{LIVE}}}bridge"):
            try:
                self._bridges[each.get("name", "")] = vlan(each.get("vlan", ""))
            except CellError as error:
                self._reject("host", 0, "vlan", str(error))

    def _reject(self, section: str, at: int, field: str, why: str) -> None:
        self._rejected.append(Rejected("cell", self._name, section, at, field, why, "correct it in the XML"))

    def _network(self, element: Element) -> None:
        called = element.findtext("name", "").strip()
        bridge = element.find("bridge")
        switch = bridge.get("name", "") if bridge is not None else ""
        subnet, gateway = self._subnet(called, element)
        own = self._vlan(called, element)
        own = self._bridges.get(switch, own) if own == Vlan() else own
        place = f"{self._name}:network {called}"
        whole = PortGroup(f"/{called}", called, switch, LIBVIRT, vlan=own, cidr=subnet, gateway=gateway, place=place)
        self._groups[whole.key] = whole
        for part in element.findall("portgroup"):
            name = part.get("name", "")
            tagged = self._vlan(f"{called}/{name}", part)
            key = f"/{called}/{name}"
            vid = tagged if part.find("vlan") is not None else own
            self._groups[key] = replace(whole, key=key, name=f"{called}/{name}", vlan=vid, cidr="", gateway="")
        for at, host in enumerate(element.iter("host")):
            try:
                address, ip = mac(host.get("mac", "")), ipv4(host.get("ip", ""))
            except CellError as error:
                self._reject(f"network {called}", at + 1, "dhcp host", str(error))
                continue
            if address and ip:
                self._leases[address] = ip

    def _subnet(self, called: str, element: Element) -> tuple[str, str]:
        for part in element.findall("ip"):
            if part.get("family", "ipv4") != "ipv4":
                continue
            try:
                gateway = ipv4(part.get("address", ""))
                mask = part.get("prefix") or part.get("netmask") or ""
                return (cidr(gateway, mask) if gateway and mask else ""), gateway
            except CellError as error:
                self._reject(f"network {called}", 0, "ip", str(error))
        return "", ""

    def _vlan(self, where: str, element: Element) -> Vlan:
        found = element.find("vlan")
        if found is None:
            return Vlan()
        tags = [each.get("id", "") for each in found.findall("tag")]
        try:
            one = vlan(",".join(tags))
        except CellError as error:
            self._reject(where, 0, "vlan", str(error))
            return Vlan()
        return Vlan(TRUNK, one.ranges) if found.get("trunk") == "yes" and one.kind == TAGGED else one

    def _domain(self, element: Element) -> Vm:
        called = element.findtext("name", "").strip() or "unnamed"
        uuid = element.findtext("uuid", "").strip().lower()
        nics = [self._nic(called, at, each) for at, each in enumerate(element.iter("interface"))]
        disks = [self._disk(called, each) for each in element.iter("disk") if each.get("device", "disk") == "disk"]
        loader = element.find("os/loader")
        cpus = element.findtext("vcpu", "").strip()
        return Vm(
            key=f"/{uuid or called}",
            name=called,
            uuid=uuid,
            power=element.get(f"{{{LIVE}}}power") or ("on" if element.get("id") else ""),
            cpus=int(cpus) if cpus.isdecimal() and len(cpus) < 6 else 0,
            memory_mib=self._memory(called, element),
            os=next((each.get("id", "") for each in element.iter() if str(each.tag).endswith("}os")), ""),
            host=self._host.name,
            firmware="efi" if element.find("os[@firmware='efi']") is not None or loader is not None else "bios",
            nics=tuple(nics),
            disks=tuple(disks),
            tags=(("title", title),) if (title := element.findtext("title", "").strip()) else (),
            place=f"{self._name}:domain {called}",
        )

    def _memory(self, called: str, element: Element) -> int:
        found = element.find("memory")
        if found is None:
            return 0
        try:
            amount = number((found.text or "").strip())
        except CellError as error:
            self._reject(f"domain {called}", 0, "memory", str(error))
            return 0
        return amount << _MIB_SHIFT.get(found.get("unit", "KiB").lower(), 10) >> 20

    def _nic(self, called: str, index: int, element: Element) -> Nic:
        where = f"domain {called}"
        address = ""
        source, target, model = element.find("source"), element.find("mac"), element.find("model")
        try:
            address = mac(target.get("address", "") if target is not None else "")
        except CellError as error:
            self._reject(where, index + 1, "mac", str(error))
        given = source.attrib if source is not None else {}
        network = given.get("network") or given.get("bridge") or given.get("dev") or ""
        if given.get("portgroup"):
            network = f"{network}/{given['portgroup']}"
        own = self._vlan(where, element)
        key = f"/{network}" if network else ""
        if key and own != Vlan():
            key = f"/{network}@{own.text}"
        if key and key not in self._groups:
            base = self._groups.get(f"/{network}", self._plain(key, network))
            vid = own if own != Vlan() else base.vlan
            name = network if own == Vlan() else f"{network} VLAN {own.text}"
            self._groups[key] = replace(base, key=key, name=name, vlan=vid, place=f"{self._name}:{where}")
        link = element.find("link")
        told = element.findall("ip") or element.findall(f"{{{LIVE}}}address")
        ips = [each.get("address", "") for each in told]
        four = tuple(each for each in ips if ":" not in each and _is_ip(each))
        if not four and address in self._leases:
            four = (self._leases[address],)
        return Nic(
            index=index,
            mac=address,
            network=network,
            port_group=key,
            model=model.get("type", "") if model is not None else "",
            connected=link is None or link.get("state") != "down",
            ips=four,
            ips6=tuple(each for each in ips if ":" in each),
            direct_path=element.get("type") == "hostdev",
            place=f"{self._name}:{where} interface {index + 1}",
        )

    def _plain(self, key: str, network: str) -> PortGroup:
        """A bridge or device of the host, which no network describes."""
        return PortGroup(key, network, kind=LIBVIRT, vlan=self._bridges.get(network, Vlan()))

    def _disk(self, called: str, element: Element) -> Disk:
        source = element.find("source")
        given = source.attrib if source is not None else {}
        path = next((given[each] for each in ("file", "dev", "volume", "name") if each in given), "")
        shared = element.find("shareable") is not None
        raw = element.get("type") == "block"
        size = element.get(f"{{{LIVE}}}bytes", "")
        mib = -(-int(size) >> 20) if size.isdecimal() and len(size) < 20 else 0
        return Disk(path, given.get("pool", ""), mib, "", shared, raw, f"{self._name}:domain {called}")


def _is_ip(text: str) -> bool:
    try:
        return bool(ipv4(text))
    except CellError:
        return False
