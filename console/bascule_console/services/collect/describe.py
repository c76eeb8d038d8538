"""What libvirt knows of a host as one document that bascule.estate.load reads: its own XML, and what that does not say.

Power, sizes of disks, addresses of running guests and VLANs of bridges are added in a namespace of their own
(bascule.estate.libvirt.LIVE). Secrets are taken out; so is the command line to QEMU, which may hold any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from xml.etree.ElementTree import Element, SubElement, register_namespace, tostring

from bascule.estate.libvirt import LIVE
from bascule.estate.model import OFF, ON, SUSPENDED
from bascule.estate.xmlread import local, root_of
from bascule_console.services.collect.faults import library

_SECRET = frozenset({"passwd", "password", "passphrase", "passwdValidTo"})
_AGENT = "org.qemu.guest_agent.0"
_AGENT_S = 3
register_namespace("live", LIVE)
register_namespace("libosinfo", "http://libosinfo.org/xmlns/libvirt/domain/1.0")


def describe(connection: Any, name: str, able: Callable[[], Any]) -> bytes:
    """The document of everything on a host. Raises libvirtError.

    `able` gives a connection that may ask guests' agents, which a read-only one may not; None when this user may not.
    """
    root = Element("libvirt")
    SubElement(root, f"{{{LIVE}}}host", name=connection.getHostname(), version=_version(connection))
    for bridge, vlan in sorted(_bridges(connection, name).items()):
        SubElement(root, f"{{{LIVE}}}bridge", name=bridge, vlan=vlan)
    for network in sorted(connection.listAllNetworks(), key=lambda each: str(each.name())):
        root.append(_stripped(root_of(name, network.XMLDesc(0).encode())))
    for domain in sorted(connection.listAllDomains(), key=lambda each: (each.name(), each.UUIDString())):
        found = _domain(connection, domain, name, able)
        if found is not None:
            root.append(found)
    return bytes(tostring(root, "utf-8", xml_declaration=True))


def _domain(connection: Any, domain: Any, name: str, able: Callable[[], Any]) -> Element | None:
    """One VM; None for one that was deleted since it was listed."""
    libvirt = library()
    try:
        element = _stripped(root_of(name, domain.XMLDesc(0).encode()))
        power = {libvirt.VIR_DOMAIN_SHUTOFF: OFF, libvirt.VIR_DOMAIN_CRASHED: OFF}.get(domain.state()[0], ON)
        if domain.state()[0] in (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PMSUSPENDED):
            power = SUSPENDED
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise
    element.set(f"{{{LIVE}}}power", power)
    for disk in element.iter("disk"):
        target = disk.find("target")
        size = _size(domain, target.get("dev", "") if target is not None else "")
        if size:
            disk.set(f"{{{LIVE}}}bytes", str(size))
    if power == ON:
        _add_addresses(element, _addresses(connection, domain, element, able))
    return element


def _stripped(element: Element) -> Element:
    for each in element.iter():
        for key in [key for key in each.attrib if local(key) in _SECRET]:
            del each.attrib[key]
        for child in [child for child in each if local(child.tag) in ("commandline", "secret", "sysinfo")]:
            each.remove(child)
    return element


def _size(domain: Any, target: str) -> int:
    """Bytes that the guest sees; 0 when the host does not tell (a CD-ROM without a disc)."""
    libvirt = library()
    try:
        return int(domain.blockInfo(target)[0]) if target else 0
    except libvirt.libvirtError:
        return 0


def _add_addresses(element: Element, found: dict[str, list[tuple[str, str]]]) -> None:
    for nic in element.iter("interface"):
        mac = nic.find("mac")
        for address, source in found.get((mac.get("address", "") if mac is not None else "").lower(), ()):
            SubElement(nic, f"{{{LIVE}}}address", address=address, source=source)


def _addresses(
    connection: Any, domain: Any, element: Element, able: Callable[[], Any]
) -> dict[str, list[tuple[str, str]]]:
    """MAC → (address, who says so): the guest's agent where one is connected, else leases and the host's ARP table."""
    libvirt = library()
    if connection.getType() == "TEST" and not _test_driver_can(connection, element):
        return {}
    found = {mac: [(each, "agent") for each in told] for mac, told in _by_agent(domain, element, able).items()}
    for source, word in (
        (libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_LEASE, "lease"),
        (libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP, "arp"),
    ):
        for mac, told in _told(domain, source).items():
            listed = found.setdefault(mac, [])
            known = {address for address, _ in listed}
            if not any(who == "agent" for _, who in listed):
                listed.extend((each, word) for each in told if each not in known)
    return found


def _by_agent(domain: Any, element: Element, able: Callable[[], Any]) -> dict[str, list[str]]:
    targets = element.findall("devices/channel/target")
    if not any(each.get("name") == _AGENT and each.get("state") == "connected" for each in targets):
        return {}
    libvirt, other = library(), able()
    if other is None:
        return {}
    try:
        domain = other.lookupByUUIDString(domain.UUIDString())
        domain.agentSetResponseTimeout(_AGENT_S, 0)
    except libvirt.libvirtError:
        return {}
    return _told(domain, libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)


def _told(domain: Any, source: int) -> dict[str, list[str]]:
    try:
        told = domain.interfaceAddresses(source, 0)
    except library().libvirtError:  # not every hypervisor has every source; what is not told stays empty
        return {}
    found: dict[str, list[str]] = {}
    for each in told.values():
        addresses = [one["addr"] for one in each["addrs"] or () if not one["addr"].lower().startswith("fe80:")]
        if addresses and each["hwaddr"]:
            found.setdefault(each["hwaddr"].lower(), []).extend(addresses)
    return found


def _test_driver_can(connection: Any, element: Element) -> bool:
    """libvirt's test driver makes addresses up from a network's subnet, and 9.0 dies of a network without one."""
    networks = [root_of("", each.XMLDesc(0).encode()) for each in connection.listAllNetworks()]
    with_subnet = {each.findtext("name", "") for each in networks if each.find("ip") is not None}
    sources = [nic.find("source") for nic in element.iter("interface")]
    return all(source is not None and source.get("network") in with_subnet for source in sources)


def _bridges(connection: Any, name: str) -> dict[str, str]:
    """Bridge → VLAN, where the host's own interfaces say that a bridge stands on one VLAN of a trunk."""
    libvirt = library()
    try:
        listed = [root_of(name, each.XMLDesc(0).encode()) for each in connection.listAllInterfaces(0)]
    except libvirt.libvirtError:  # few builds of libvirt can tell; then the bridge's VLAN is asked of the operator
        return {}
    found = {}
    for element in listed:
        tags = {each.get("tag", "") for each in _vlans(element)}
        if element.get("type") == "bridge" and len(tags) == 1:
            found[element.get("name", "")] = tags.pop()
    return found


def _vlans(element: Element) -> Iterable[Element]:
    return element.findall("bridge/interface[@type='vlan']/vlan")


def _version(connection: Any) -> str:
    number = int(connection.getLibVersion())
    return f"libvirt {number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
