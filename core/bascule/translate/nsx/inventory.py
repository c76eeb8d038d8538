"""The NSX side's VMs, NICs and segments, and who is on the exclusion list."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bascule.policy.intervals import Range
from bascule.resources.read import items, mapping, strings, text
from bascule.translate.model import Nic, Segment, Vm
from bascule.translate.notes import ERROR, INFO, WARNING, Notes
from bascule.translate.nsx.collect import Collected


@dataclass
class Inventory:
    """What is in the document. `paths` are segments by path, `ports` segments by the path of their ports."""

    vms: list[Vm] = field(default_factory=list)
    nics: list[Nic] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    segment_tags: dict[str, frozenset[tuple[str, str]]] = field(default_factory=dict)
    ports: dict[str, str] = field(default_factory=dict)


def read_inventory(collected: Collected, notes: Notes) -> Inventory:
    """Join VMs, their interfaces and segments; what does not join is said."""
    found = Inventory()
    subnets = _segments(collected, found, notes)
    attached = _ports(collected, found)
    _vms(collected, found, notes)
    _nics(collected, found, notes, attached, subnets)
    return found


def tags_of(raw: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """(scope, tag) of an object; the scope is "" where there is none."""
    pairs = [mapping(each) for each in items(raw.get("tags"))]
    return frozenset((text(each.get("scope")), text(each.get("tag"))) for each in pairs if each)


_Subnets = list[tuple[ipaddress.IPv4Network, str]]


def _segments(collected: Collected, found: Inventory, notes: Notes) -> _Subnets:
    subnets: _Subnets = []
    for place, raw in collected.of("Segment"):
        path = text(raw.get("path")) or f"/infra/segments/{text(raw.get('id'))}"
        if any(each.id == path for each in found.segments):
            notes(
                "duplicate", WARNING, path, place, "a second segment with this path", "the first counts", "Remove one."
            )
            continue
        name = text(raw.get("display_name")) or text(raw.get("id"))
        vlans = [_vlan(each) for each in strings(raw.get("vlan_ids"))]
        if None in vlans:
            notes(
                "vlan", WARNING, name, place, f"vlan_ids {raw.get('vlan_ids')!r} are not all VLANs",
                "the segment's NAD is not known", "Name it with --nad SEGMENT=NAD.",
            )  # fmt: skip
        found.segments.append(Segment(path, name, tuple(each for each in vlans if each), place))
        found.segment_tags[path] = tags_of(raw)
        for subnet in items(raw.get("subnets")):
            net = _network(text(mapping(subnet).get("network")) or text(mapping(subnet).get("gateway_address")))
            if net is not None:
                subnets.append((net, path))
    return subnets


def _vlan(value: str) -> Range | None:
    low, _, high = value.partition("-")
    if not (low.strip().isdecimal() and (high or low).strip().isdecimal()):
        return None
    first, last = int(low), int(high or low)
    return (first, last) if 0 <= first <= last <= 4094 else None


def _network(value: str) -> ipaddress.IPv4Network | None:
    try:
        return ipaddress.IPv4Network(value, strict=False)
    except ValueError:
        return None


def _ports(collected: Collected, found: Inventory) -> dict[str, str]:
    """Segments by the attachment id of their ports."""
    attached = {}
    for _, raw in collected.of("SegmentPort"):
        path = text(raw.get("path"))
        segment = text(raw.get("parent_path")) or path.partition("/ports/")[0]
        found.ports[path] = segment
        attachment = text(mapping(raw.get("attachment")).get("id"))
        if attachment:
            attached[attachment] = segment
    return attached


def _vms(collected: Collected, found: Inventory, notes: Notes) -> None:
    for place, raw in collected.of("VirtualMachine"):
        identity, name = text(raw.get("external_id")), text(raw.get("display_name"))
        if not identity or any(vm.id == identity for vm in found.vms):
            what = "a second VM with this external_id" if identity else "a VM without external_id"
            notes("duplicate", ERROR, name, place, what, "left out: its rules are not carried", "Mend the dump.")
            continue
        guest = mapping(raw.get("guest_info"))
        attributes = {
            "Name": name,
            "OSName": text(guest.get("os_name")),
            "ComputerName": text(guest.get("computer_name")),
        }
        given = tuple((key, value) for key, value in attributes.items() if value)
        found.vms.append(Vm(identity, name or identity, tags_of(raw), given, place))


def _nics(collected: Collected, found: Inventory, notes: Notes, attached: Mapping[str, str], subnets: _Subnets) -> None:
    names = {vm.id: vm.name for vm in found.vms}
    counts: dict[str, int] = {}
    for place, raw in collected.of("VirtualNetworkInterface"):
        owner = text(raw.get("owner_vm_id"))
        if owner not in names:
            notes(
                "inventory",
                WARNING,
                owner,
                place,
                "an interface of no VM in the document",
                "left out",
                "Mend the dump.",
            )
            continue
        number = counts[owner] = counts.get(owner, 0) + 1
        addresses = _addresses(raw)
        segment = attached.get(text(raw.get("lport_attachment_id")), "")
        if not segment:
            holding = [path for net, path in subnets if any(ipaddress.IPv4Address(each) in net for each in addresses)]
            segment = holding[0] if len(set(holding)) == 1 else ""
        nic = Nic(owner, f"net-{number - 1}", text(raw.get("mac_address")).lower(), addresses, segment, True, place)
        found.nics.append(nic)
        if not addresses:
            notes(
                "no-address", WARNING, names[owner], place, "no IPv4 address is known (tools missing?)",
                "the old firewall's rules by group did not match it; after the move they will",
                "Find out its address and compare before it moves.",
            )  # fmt: skip


def _addresses(raw: Mapping[str, Any]) -> tuple[int, ...]:
    found = []
    for info in items(raw.get("ip_address_info")):
        for each in strings(mapping(info).get("ip_addresses")):
            try:
                found.append(int(ipaddress.IPv4Address(each.partition("/")[0])))
            except ValueError:
                continue  # IPv6: nothing of it passes an L2 port
    return tuple(dict.fromkeys(found))


def exclude(
    inventory: Inventory, paths: list[tuple[str, str]], groups: Mapping[str, frozenset[int]], notes: Notes
) -> None:
    """Take the NICs on the exclusion list out of the firewall. `paths` are (place, path), `groups` NICs by path."""
    out: set[int] = set()
    for place, path in paths:
        identity = path.rsplit("/", 1)[-1]
        inside = {
            at
            for at, nic in enumerate(inventory.nics)
            if at in groups.get(path, ()) or nic.vm == identity or nic.segment in (path, inventory.ports.get(path, "-"))
        }
        if not inside:
            notes("exclusion", WARNING, path, place, "excludes nothing in the document", "none", "Check the list.")
        out |= inside
    inventory.nics = [replace(nic, governed=at not in out) for at, nic in enumerate(inventory.nics)]
    for at in sorted(out):
        nic = inventory.nics[at]
        name = next(vm.name for vm in inventory.vms if vm.id == nic.vm)
        notes(
            "excluded", INFO, name, nic.position, "on the exclusion list", "no rule governs it, as before", "Nothing."
        )
