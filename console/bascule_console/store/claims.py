"""Who claims which address: VMs that ask for it, instances that have it, ports that let it through. Pure.

The same NIC may claim an address three times; that is its life, not a conflict. Every claim names its source.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from bascule.resources.attachment import Attachment
from bascule.resources.kubevirt import Instance, VirtualMachine
from bascule_console.store.derived import PerObject
from bascule_console.store.inventory import Inventory, Object, object_key
from bascule_console.store.vms import ADDRESS_ANNOTATION, ATTACHMENTS, VMIS, VMS

ASKED, HELD, PORT = "asked", "held", "port"
Segment = tuple[str, int | None]


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim. `by` is asked (VM template), held (instance) or port (an agent's); `vm` is `namespace/name`; `nad` is
    `namespace/name` or ""; `state` is the instance's phase or the port's state."""

    by: str
    ip: str
    vm: str
    nic: str
    mac: str
    nad: str
    network: str = ""
    vlan: int | None = None
    node: str = ""
    state: str = ""

    def document(self) -> dict[str, Any]:
        """The JSON of one claim."""
        return {key: value for key, value in asdict(self).items() if key not in ("ip", "network", "vlan")}


class Claims:
    """Every claim in an inventory; objects are parsed once each."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._asked = PerObject(_asked)
        self._held = PerObject(_held)
        self._segments = PerObject(_segment)

    def now(self, reports: Mapping[str, Mapping[str, Any]]) -> list[Claim]:
        """All claims; `reports` are the agents' documents by node."""
        inventory = self._inventory
        segments = dict(self._segments.of(inventory.all(ATTACHMENTS)))
        vms = self._asked.of(inventory.all(VMS))
        asked = [claim for claims, _ in vms for claim in claims]
        nads = {place: nad for _, nics in vms for place, nad in nics.items()}
        held = [claim for claims in self._held.of(inventory.all(VMIS)) for claim in claims]
        placed = (_place(claim, segments, nads) for claim in (*asked, *held))
        return [*placed, *_ports(reports)]


def _place(claim: Claim, segments: Mapping[str, Segment], nads: Mapping[tuple[str, str], str]) -> Claim:
    nad = claim.nad or nads.get((claim.vm, claim.nic), "")
    network, vlan = segments.get(nad, ("", None))
    return replace(claim, nad=nad, network=network, vlan=vlan)


def _segment(nad: Object) -> tuple[str, Segment]:
    attachment = Attachment.of(nad)
    return attachment.name, (attachment.network, attachment.vlan)


def _asked(document: Object) -> tuple[list[Claim], dict[tuple[str, str], str]]:
    """The VM's claims, and the NAD of each of its NICs: an instance may not say it."""
    vm, key = VirtualMachine.of(document), object_key(document)
    found = []
    for nic in vm.nics:
        if nic.nad:
            text = vm.template.annotations.get(ADDRESS_ANNOTATION.format(nic=nic.name), "")
            found += [Claim(ASKED, ip, key, nic.name, nic.mac, nic.nad) for ip in addresses(text)]
    return found, {(key, nic.name): nic.nad for nic in vm.nics if nic.nad}


def _held(document: Object) -> list[Claim]:
    vmi, key = Instance.of(document), object_key(document)
    nads = {nic.name: nic.nad for nic in vmi.nics}
    return [
        Claim(HELD, ip, key, status.name, status.mac, nads.get(status.name, ""), node=vmi.node, state=vmi.phase)
        for status in vmi.interfaces
        if status.name
        for ip in dict.fromkeys(filter(None, (status.ip, *status.ips)))
        if "." in ip
    ]


def _ports(reports: Mapping[str, Mapping[str, Any]]) -> Iterator[Claim]:
    for node, report in sorted(reports.items()):
        for port in report.get("ports") or []:
            if port.get("ip") and port.get("network"):
                vm = f"{port.get('namespace', '')}/{port.get('vm', '')}"
                yield Claim(
                    PORT,
                    str(port["ip"]),
                    vm,
                    str(port.get("nic", "")),
                    str(port.get("mac", "")),
                    "",
                    str(port.get("network", "")),
                    port.get("vlan"),
                    node,
                    str(port.get("state", "")),
                )


def addresses(text: str) -> list[str]:
    """The addresses of an ipAddrs annotation; none when it is not a JSON list of texts."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def by_segment(claims: Iterable[Claim]) -> dict[tuple[str, int | None, str], list[Claim]]:
    """Claims by (Network, VLAN, address)."""
    found: dict[tuple[str, int | None, str], list[Claim]] = {}
    for claim in claims:
        found.setdefault((claim.network, claim.vlan, claim.ip), []).append(claim)
    return found
