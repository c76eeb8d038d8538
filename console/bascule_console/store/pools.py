"""IPPool rows: which segment a pool serves, how many of its addresses VMs hold, and which NADs take from it. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Any

from bascule.resources.ippool import IPPool
from bascule.resources.kubevirt import Instance, VirtualMachine
from bascule.resources.network import Network
from bascule_console.store.derived import PerObject
from bascule_console.store.inventory import Inventory, Object
from bascule_console.store.vms import ADDRESS_ANNOTATION, NETWORKS, VMIS, VMS
from bascule_console.store.workloads import Workloads

POOLS = "ippools"


@dataclass(frozen=True, slots=True)
class PoolRow:
    """One IPPool. `segments` are `network/vlan` whose subnets lie in it; `held` counts addresses that VMs have or ask
    for, `size` all of them; `size` is None when the CIDR is no IPv4 one."""

    name: str
    cidr: str
    uses: tuple[str, ...]
    l2: bool
    block_size: int
    segments: tuple[str, ...]
    nads: tuple[str, ...]
    size: int | None
    held: int
    disabled: bool

    def document(self) -> dict[str, Any]:
        """The JSON of `pools list`."""
        lists = {key: list(getattr(self, key)) for key in ("uses", "segments", "nads")}
        return asdict(self) | lists


class AddressesHeld:
    """Addresses that VMs have or ask for, each object read once."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._made = [(VMS, PerObject(_asked)), (VMIS, PerObject(_had))]

    def now(self) -> frozenset[int]:
        """Every address once, as an integer."""
        return frozenset(
            address
            for kind, made in self._made
            for addresses in made.of(self._inventory.all(kind))
            for address in addresses
        )


def pool_rows(inventory: Inventory, workloads: Workloads, held: frozenset[int]) -> dict[str, PoolRow]:
    """Every IPPool by name."""
    networks = [Network.of(network) for network in inventory.all(NETWORKS)]
    rows = (_row(IPPool.of(pool), networks, workloads, held) for pool in inventory.all(POOLS))
    return {row.name: row for row in rows}


def _row(pool: IPPool, networks: list[Network], workloads: Workloads, held: frozenset[int]) -> PoolRow:
    return PoolRow(
        name=pool.name,
        cidr=pool.cidr,
        uses=pool.allowed_uses,
        l2=pool.l2,
        block_size=pool.block_size,
        segments=tuple(_segments(pool.network, networks)) if pool.network else (),
        nads=tuple(sorted(nad.name for nad in workloads.nads if pool.name in nad.pools)),
        size=pool.network.num_addresses if pool.network else None,
        held=_within(pool.network, held) if pool.network else 0,
        disabled=pool.disabled,
    )


def _segments(cidr: IPv4Network, networks: list[Network]) -> list[str]:
    return [
        f"{network.name}/{entry.ids.start}" + (f"-{entry.ids[-1]}" if len(entry.ids) > 1 else "")
        for network in networks
        for entry in network.vlans
        if entry.ids and any(subnet.network and subnet.network.overlaps(cidr) for subnet in entry.subnets)
    ]


def _within(cidr: IPv4Network, held: frozenset[int]) -> int:
    first, last = int(cidr.network_address), int(cidr.broadcast_address)
    return sum(first <= address <= last for address in held)


def _asked(document: Object) -> tuple[int, ...]:
    vm = VirtualMachine.of(document)
    texts = [vm.template.annotations.get(ADDRESS_ANNOTATION.format(nic=nic.name), "") for nic in vm.nics]
    return tuple(address for text in texts for address in _addresses(text))


def _had(document: Object) -> tuple[int, ...]:
    found = [
        _address(each) for interface in Instance.of(document).interfaces for each in (interface.ip, *interface.ips)
    ]
    return tuple(address for address in found if address is not None)


def _addresses(text: str) -> list[int]:
    """The IPv4 addresses of a JSON list."""
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        return []
    found = [_address(entry) for entry in entries] if isinstance(entries, list) else []
    return [address for address in found if address is not None]


def _address(text: Any) -> int | None:
    try:
        return int(IPv4Address(str(text).partition("/")[0]))
    except AddressValueError:
        return None
