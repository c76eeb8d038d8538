"""libvirt's XML for the old side's network, pool and domains.

The machine is the lab's guests' (guests/qemu.py): one emulated CPU, no device that a boot would wait for, every offload
of the NIC off, so that what a guest counts is what the wire carried.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, register_namespace, tostring

from bascule_lab.guests import qemu
from bascule_lab.hypervisor.estate import NETWORKS, OldVm
from bascule_lab.hypervisor.places import Places

POOL = "images"
EMULATOR = "/usr/bin/qemu-system-x86_64"
# what virt-install writes there, and an assessment reads: which system the guest has
_LIBOSINFO = "http://libosinfo.org/xmlns/libvirt/domain/1.0"
_HOST_OFFLOADS = ("csum", "gso", "tso4", "tso6", "ecn", "ufo")
_GUEST_OFFLOADS = ("csum", "tso4", "tso6", "ecn", "ufo")


@dataclass(frozen=True)
class Boot:
    """What every domain boots: direct kernel boot, so that no boot loader and no file system need to be on its disk."""

    vmlinux: Path
    initramfs: Path


def bridge(vlan: int) -> str:
    """The host's bridge of a VLAN."""
    return f"br{vlan}"


def network(vlan: int) -> str:
    """A libvirt network that is the host's bridge: no DHCP, no address, no VLAN number."""
    top = Element("network")
    SubElement(top, "name").text = NETWORKS[vlan]
    SubElement(top, "forward", mode="bridge")
    SubElement(top, "bridge", name=bridge(vlan))
    return _text(top)


def pool(places: Places) -> str:
    """A storage pool over the disks, so that they can be listed and downloaded."""
    top = Element("pool", type="dir")
    SubElement(top, "name").text = POOL
    SubElement(SubElement(top, "target"), "path").text = str(places.images)
    return _text(top)


def domain(vm: OldVm, places: Places, boot: Boot) -> str:
    """A VM with one disk, one NIC and a serial port."""
    top = Element("domain", type="qemu")
    SubElement(top, "name").text = vm.name
    SubElement(top, "uuid").text = vm.uuid
    about = SubElement(SubElement(top, "metadata"), f"{{{_LIBOSINFO}}}libosinfo")
    SubElement(about, f"{{{_LIBOSINFO}}}os", id="http://debian.org/debian/12")
    SubElement(top, "memory", unit="MiB").text = str(qemu.MEMORY_MIB)
    SubElement(top, "vcpu").text = "1"
    _os(top, boot)
    features = SubElement(top, "features")
    SubElement(features, "acpi")
    SubElement(features, "vmport", state="off")
    SubElement(SubElement(features, "tcg"), "tb-cache", unit="MiB").text = "32"
    for event, act in (("poweroff", "destroy"), ("reboot", "restart"), ("crash", "destroy")):
        SubElement(top, f"on_{event}").text = act
    devices = SubElement(top, "devices")
    SubElement(devices, "emulator").text = EMULATOR
    _disk(devices, places.disk(vm.file))
    _nic(devices, vm)
    serial = SubElement(devices, "serial", type="unix")
    SubElement(serial, "source", mode="bind", path=str(places.serial(vm.file)))
    SubElement(serial, "target", type="isa-serial", port="0")
    agent = SubElement(devices, "channel", type="unix")
    SubElement(agent, "target", type="virtio", name="org.qemu.guest_agent.0")
    SubElement(devices, "controller", type="usb", model="none")
    SubElement(SubElement(devices, "video"), "model", type="none")
    SubElement(devices, "memballoon", model="none")
    return _text(top)


def _os(top: Element, boot: Boot) -> None:
    found = SubElement(top, "os")
    SubElement(found, "type", arch="x86_64", machine="pc").text = "hvm"
    SubElement(found, "kernel").text = str(boot.vmlinux)
    SubElement(found, "initrd").text = str(boot.initramfs)
    SubElement(found, "cmdline").text = qemu.KERNEL_ARGUMENTS


def _disk(devices: Element, path: Path) -> None:
    disk = SubElement(devices, "disk", type="file", device="disk")
    SubElement(disk, "driver", name="qemu", type="qcow2")
    SubElement(disk, "source", file=str(path))
    SubElement(disk, "target", dev="vda", bus="virtio")


def _nic(devices: Element, vm: OldVm) -> None:
    nic = SubElement(devices, "interface", type="network")
    SubElement(nic, "mac", address=vm.mac)
    SubElement(nic, "source", network=NETWORKS[vm.vlan])
    SubElement(nic, "model", type=vm.model)
    if vm.model == "virtio":
        driver = SubElement(nic, "driver", name="qemu")
        SubElement(driver, "host", dict.fromkeys(_HOST_OFFLOADS, "off"))
        SubElement(driver, "guest", dict.fromkeys(_GUEST_OFFLOADS, "off"))
    # no network boot: its ROM is 0.3 s of every start
    SubElement(nic, "rom", enabled="no")


def _text(top: Element) -> str:
    register_namespace("libosinfo", _LIBOSINFO)
    indent(top)
    return tostring(top, encoding="unicode")
