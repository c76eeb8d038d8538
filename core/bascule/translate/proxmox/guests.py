"""VMs of a Proxmox cluster from their `<vmid>.conf`: name, NICs with MAC, VLAN and firewall switch, addresses."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from bascule.translate.model import Nic, Segment, Vm

_NIC = re.compile(r"net(\d+):\s*(\S+)")
_IPCONFIG = re.compile(r"ipconfig(\d+):\s*(\S+)")
_MAC = re.compile(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}")


@dataclass(frozen=True, slots=True)
class Guest:
    """One VM. `nics` are governed where their firewall switch is on; the file's own switch is not in them."""

    vm: Vm
    nics: tuple[Nic, ...]
    segments: tuple[Segment, ...]


def vmid(name: str) -> str:
    """`100` for `firewall/100.fw` and `qemu-server/100.conf`, "" for a file that is of no VM."""
    stem = name.rsplit("/", 1)[-1].rsplit(".", 1)[0]
    return stem if stem.isdecimal() else ""


def read_guest(identity: str, name: str, text: str) -> Guest:
    """A VM's configuration; only the part before the first snapshot counts."""
    called = identity
    nics: dict[str, tuple[str, str]] = {}
    addresses: dict[str, int] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line, place = raw.strip(), f"{name}:{number}"
        if line.startswith("["):
            break
        key, _, value = line.partition(":")
        if key == "name":
            called = value.strip() or identity
        elif found := _NIC.fullmatch(line):
            nics[found.group(1)] = found.group(2), place
        elif found := _IPCONFIG.fullmatch(line):
            address = _address(found.group(2))
            if address is not None:
                addresses[found.group(1)] = address
    made = [_nic(identity, number, *given, addresses.get(number)) for number, given in sorted(nics.items())]
    vm = Vm(identity, called, attributes=(("Name", called),), position=f"{name}:1")
    segments = {segment.id: segment for _, segment in made}
    return Guest(vm, tuple(nic for nic, _ in made), tuple(segments.values()))


def _nic(vm: str, number: str, given: str, place: str, address: int | None) -> tuple[Nic, Segment]:
    options = dict(part.partition("=")[::2] for part in given.split(","))
    macs = [value for value in options.values() if _MAC.fullmatch(value)]
    bridge, tag = options.get("bridge", ""), options.get("tag", "")
    vlan = int(tag) if tag.isdecimal() and 0 < int(tag) < 4095 else 0
    segment = Segment(
        f"{bridge}/{vlan}" if vlan else bridge, f"{bridge}/{vlan}" if vlan else bridge, ((vlan, vlan),) if vlan else ()
    )
    nic = Nic(
        vm,
        f"net{number}",
        macs[0].lower() if macs else "",
        () if address is None else (address,),
        segment.id,
        options.get("firewall") == "1",
        place,
    )
    return nic, segment


def _address(given: str) -> int | None:
    options = dict(part.partition("=")[::2] for part in given.split(","))
    try:
        return int(ipaddress.IPv4Interface(options.get("ip", "")).ip)
    except ValueError:
        return None  # dhcp, auto, or IPv6 only
