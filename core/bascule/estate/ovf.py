"""OVF envelopes, alone or inside an OVA: VMs with adapters and disks.

An OVF has no VLANs, and addresses only in rare cases (DMTF DSP0243)."""

from __future__ import annotations

import tarfile
from typing import BinaryIO
from xml.etree.ElementTree import Element

from bascule.estate.cells import CellError, mac, number
from bascule.estate.errors import EstateFileError
from bascule.estate.model import LISTED, Disk, Estate, Nic, PortGroup, Rejected, Vm
from bascule.estate.xmlread import attribute, child_text, children, local, root_of

MAX_OVF = 16 << 20
_NIC, _DISKS = "10", ("17", "31")
_UNITS = {"byte": 0, "kilobytes": 10, "megabytes": 20, "gigabytes": 30}


def ovf_member(name: str, stream: BinaryIO) -> bytes:
    """The .ovf inside an OVA; nothing is unpacked, and of the disks only the headers are passed. Raises
    EstateFileError."""
    try:
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            for member in archive:
                if member.isfile() and member.name.lower().endswith(".ovf"):
                    if member.size > MAX_OVF:
                        raise EstateFileError(
                            f"{name}: its .ovf is larger than {MAX_OVF >> 20} MiB", "", "check the file"
                        )
                    content = archive.extractfile(member)
                    assert content is not None
                    return content.read()
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise EstateFileError(
            f"{name}: no OVA", f"it is no tar archive, or a damaged one: {error}", "export it again"
        ) from None
    raise EstateFileError(f"{name}: no OVA", "there is no .ovf in it", "export it again")


def read_ovf(name: str, data: bytes) -> Estate:
    """The VMs of an envelope. Raises EstateFileError."""
    return ovf_estate(name, root_of(name, data))


def ovf_estate(name: str, root: Element) -> Estate:
    """As `read_ovf`, of an element that was parsed."""
    disks = {attribute(each, "diskId"): each for each in root.iter() if local(each.tag) == "Disk"}
    files = {attribute(each, "id"): attribute(each, "href") for each in root.iter() if local(each.tag) == "File"}
    rejected: list[Rejected] = []
    vms = []
    for system in (each for each in root.iter() if local(each.tag) == "VirtualSystem"):
        vms.append(_vm(name, system, disks, files, rejected))
    networks = [attribute(each, "name") for each in root.iter() if local(each.tag) == "Network"]
    networks += [nic.network for vm in vms for nic in vm.nics]
    groups = [PortGroup(f"//{each}", each, kind=LISTED, place=name) for each in dict.fromkeys(networks) if each]
    if not vms:
        raise EstateFileError(f"{name}: no OVF", "there is no VirtualSystem in it", "export it again")
    return Estate(vms=tuple(vms), port_groups=tuple(groups), rejected=tuple(rejected))


def _vm(name: str, system: Element, disks: dict[str, Element], files: dict[str, str], rejected: list[Rejected]) -> Vm:
    called = child_text(system, "Name") or attribute(system, "id") or "unnamed"
    place = f"{name}:{called}"
    items = [item for section in children(system, "VirtualHardwareSection") for item in section]
    nics: list[Nic] = []
    drives: list[Disk] = []
    sizes = {"3": 0, "4": 0}
    for at, item in enumerate(items):
        kind = child_text(item, "ResourceType")
        if kind == _NIC:
            nics.append(_nic(name, called, item, len(nics), at, rejected))
        elif kind in _DISKS:
            drive = _disk(item, disks, files, place)
            drives += [drive] if drive else []
        elif kind in sizes:
            try:
                sizes[kind] = number(child_text(item, "VirtualQuantity"))
            except CellError as error:
                rejected.append(Rejected("cell", name, called, at + 1, "VirtualQuantity", str(error), "correct it"))
    system_type = next((child_text(each, "Description") for each in children(system, "OperatingSystemSection")), "")
    return Vm(f"/{called}", called, cpus=sizes["3"], memory_mib=sizes["4"], os=system_type, nics=tuple(nics),
              disks=tuple(drives), power="off", place=place)  # fmt: skip


def _nic(name: str, vm: str, item: Element, index: int, at: int, rejected: list[Rejected]) -> Nic:
    network, address = child_text(item, "Connection"), ""
    try:
        address = mac(child_text(item, "Address"))
    except CellError as error:
        rejected.append(Rejected("cell", name, vm, at + 1, "Address", str(error), "correct it"))
    connected = {"true": True, "false": False}.get(child_text(item, "AutomaticAllocation").lower())
    label, model = child_text(item, "ElementName"), child_text(item, "ResourceSubType")
    group = f"//{network}" if network else ""
    return Nic(index, label, address, network, "", group, model, connected, place=f"{name}:{vm} item {at + 1}")


def _disk(item: Element, disks: dict[str, Element], files: dict[str, str], place: str) -> Disk | None:
    identity = child_text(item, "HostResource").rpartition("/")[2]
    element = disks.get(identity)
    if element is None:
        return None
    units = attribute(element, "capacityAllocationUnits").lower()
    shift = int(units.rpartition("^")[2]) if units.rpartition("^")[2].strip().isdecimal() else _UNITS.get(units, 0)
    capacity = attribute(element, "capacity")
    size = int(capacity) << min(shift, 60) if capacity.isdecimal() and len(capacity) < 20 else 0
    return Disk(files.get(attribute(element, "fileRef"), identity), "", -(-size >> 20), place=place)
