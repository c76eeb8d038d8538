"""Rules on VirtualMachines: their MACs, their addresses, the NADs they hang on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from ipaddress import IPv4Address

from bascule.lint.finding import Problem, show
from bascule.lint.registry import rule
from bascule.lint.vm_nics import ANNOTATIONS, INTERFACES, NETWORKS, Nic
from bascule.lint.world import VM, Document, Port, World
from bascule.resources.network import Subnet
from bascule.resources.pod import CALICO

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_KEY = re.compile(re.escape(CALICO) + r"(.+)\.(ipAddrs|ipAddrsNoIpam|hwAddr)")


@rule("vm-nad-not-found", VM)
def nad_not_found(document: Document, world: World) -> Iterator[Problem]:
    """A network of the VM names a NAD that does not exist."""
    for nic in document.nics:
        if nic.nad and nic.nad not in world.attachments:
            known = ", ".join(sorted(world.attachments)[:6]) or "none"
            field = f"{NETWORKS}[{nic.network_position}].multus.networkName"
            fix = "Create the NAD first, or name one that exists."
            yield Problem(field, f"there is no NetworkAttachmentDefinition {nic.nad}", f"NADs: {known}"[:120], fix)


@rule("vm-mac-missing", VM, "warning")
def mac_missing(document: Document, world: World) -> Iterator[Problem]:
    """A NIC on a VLAN without macAddress: the VM loses its network after a live migration (CORE-13418)."""
    for nic in document.nics:
        if nic.nad and not nic.mac:
            message = "no MAC is set: the VM loses its VLAN after a live migration (CORE-13418)"
            fix = "Set macAddress, for example the one that the machine has today."
            yield Problem(f"{INTERFACES}[{nic.position}].macAddress", message, f"NIC {show(nic.name)}", fix)


@rule("vm-mac-invalid", VM)
def mac_invalid(document: Document, world: World) -> Iterator[Problem]:
    """A macAddress that is none, or has the multicast bit, or is all zeros."""
    for nic in document.nics:
        if not nic.mac:
            continue
        problem = ""
        if not _MAC.fullmatch(nic.mac):
            problem = "not a MAC address"
        elif int(nic.mac[1], 16) & 1:
            problem = "a multicast address: the lowest bit of the first byte is set"
        elif nic.mac == "00:00:00:00:00:00":
            problem = "all zeros"
        if problem:
            field = f"{INTERFACES}[{nic.position}].macAddress"
            yield Problem(field, problem, show(nic.mac), "Write a unicast MAC address such as 52:54:00:00:6e:01.")


@rule("vm-mac-duplicate", VM)
def mac_duplicate(document: Document, world: World) -> Iterator[Problem]:
    """A MAC that another NIC on the same VLAN has: both start, one is reachable (CORE-13457)."""
    for nic in document.nics:
        others = _others(world.mac_owners.get((world.place(nic.nad), nic.mac), []), document, nic)
        if others:
            yield Problem(
                f"{INTERFACES}[{nic.position}].macAddress",
                f"{others[0]} has this MAC on the same VLAN: only one of them is reachable (CORE-13457)",
                show(nic.mac),
                "Give every NIC of a VLAN a MAC of its own.",
            )


@rule("vm-address-annotation", VM)
def address_annotation(document: Document, world: World) -> Iterator[Problem]:
    """An ipAddrs annotation that is not a JSON list of one IPv4 address."""
    for nic in document.nics:
        if nic.addresses is None or len(nic.addresses) > 1 or any(_ipv4(each) is None for each in nic.addresses):
            value = document.vm.template.annotations.get(f"{CALICO}{nic.name}.ipAddrs")
            message, fix = "not a JSON list of one IPv4 address", """Write '["10.110.0.11"]'."""
            yield Problem(nic.annotation, message, show(value), fix)


@rule("vm-address-duplicate", VM)
def address_duplicate(document: Document, world: World) -> Iterator[Problem]:
    """An address that another NIC asks for: IPAM refuses the second one."""
    for nic in document.nics:
        for address in nic.addresses or ():
            others = _others(world.address_owners.get(address, []), document, nic)
            if others:
                message = f"{others[0]} asks for this address too: the second one will not start"
                yield Problem(nic.annotation, message, show(address), "Give every NIC an address of its own.")


@rule("vm-address-subnet", VM)
def address_subnet(document: Document, world: World) -> Iterator[Problem]:
    """An address outside the VLAN's subnets, or one that is reserved: first, last, or a route's next hop."""
    for nic in document.nics:
        segment = world.segment(nic.nad)
        subnets = segment[0].subnets_of(segment[1]) if segment else ()
        for text in nic.addresses or ():
            address = _ipv4(text)
            problem = _misplaced(address, subnets) if address else ""
            if problem:
                known = ", ".join(str(subnet.network) for subnet in subnets if subnet.network)
                fix = f"Use a free address of {known}."
                yield Problem(nic.annotation, problem, f"{text} on {world.place(nic.nad)}", fix)


@rule("vm-annotation-key", VM)
def annotation_key(document: Document, world: World) -> Iterator[Problem]:
    """An address or MAC annotation for a network that the VM does not have: it is silently ignored."""
    names = [nic.name for nic in document.nics if nic.name]
    for key in document.vm.template.annotations:
        match = _KEY.fullmatch(key)
        if match is None or match[1] in names:
            continue
        near = get_close_matches(match[1], names, n=1, cutoff=0.0)
        fix = f"Write {CALICO}{near[0]}.{match[2]}." if near else "Remove it, or add the network."
        message = f"the VM has no network {match[1]}: the annotation is ignored"
        yield Problem(f"{ANNOTATIONS}[{key}]", message, f"networks: {', '.join(names) or 'none'}"[:120], fix)


def _others(owners: list[Port], document: Document, nic: Nic) -> list[str]:
    """Everyone in the list but this NIC itself, in words."""
    found = [owner for owner in owners if owner != (document.ref, nic.position)]
    return [f"NIC {position} of this VM" if ref == document.ref else ref for ref, position in found]


def _misplaced(address: IPv4Address, subnets: tuple[Subnet, ...]) -> str:
    """Why this address cannot be given on a VLAN with these subnets, "" when it can or nothing is known."""
    known = [(subnet, subnet.network) for subnet in subnets if subnet.network]
    home = next(((subnet, network) for subnet, network in known if address in network), None)
    if home is None:
        return "outside the VLAN's subnets" if known else ""
    network = home[1]
    if network.prefixlen < 31 and address in (network.network_address, network.broadcast_address):
        return "the subnet's first or last address"
    if any(route.next_hop == str(address) for other, _ in known for route in other.routes):
        return "the address of the VLAN's gateway"
    return ""


def _ipv4(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except ValueError:
        return None
