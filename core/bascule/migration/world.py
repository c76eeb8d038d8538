"""Everything readiness is judged from, joined once: each NIC with its port group, VLAN, Network and subnets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network

from bascule.estate.model import TAGGED, UNTAGGED, Estate, Nic, PortGroup, Vm
from bascule.migration.answers import Answers
from bascule.migration.talk import Talk
from bascule.migration.target import Target
from bascule.resources.network import Network, ipv4_network
from bascule.trunks.proof import Cell


@dataclass(frozen=True, slots=True)
class Seen:
    """Somebody answered for an address on a VLAN when it was asked; `mac` "" when only the address answered."""

    vlan: int
    ip: str
    mac: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Seat:
    """One NIC in its place. `vlan` is None when it is not known or not one; `subnets` those of the VLAN."""

    vm: Vm
    nic: Nic
    group: PortGroup | None
    vlan: int | None
    network: Network | None
    subnets: tuple[tuple[IPv4Network, str], ...]
    ips: tuple[IPv4Address, ...]

    @property
    def name(self) -> str:
        """The object a result is about: `vm NIC n`."""
        return f"{self.vm.name} NIC {self.nic.index}"


@dataclass(frozen=True)
class World:
    """`proofs`, `talks` and `seen` are None where nothing was recorded, which is not the same as nothing found."""

    estate: Estate
    target: Target = field(default_factory=Target)
    answers: Answers = field(default_factory=Answers)
    proofs: Sequence[Cell] | None = None
    talks: Sequence[Talk] | None = None
    seen: Sequence[Seen] | None = None
    namespace: str = "vms"

    @cached_property
    def vms(self) -> list[Vm]:
        """The VMs that would move."""
        return [vm for vm in self.estate.vms if vm.movable]

    @cached_property
    def groups(self) -> dict[str, PortGroup]:
        """Port groups by key."""
        return {group.key: group for group in self.estate.port_groups}

    @cached_property
    def used_groups(self) -> list[PortGroup]:
        """Port groups that a VM which would move is in."""
        used = {nic.port_group for vm in self.vms for nic in vm.nics}
        return [group for group in self.estate.port_groups if group.key in used]

    @cached_property
    def seats(self) -> list[Seat]:
        """Every NIC of every VM that would move."""
        places: dict[str, tuple[int | None, Network | None, tuple[tuple[IPv4Network, str], ...]]] = {}
        for key, group in self.groups.items():
            vid = self.vlan_of(group)
            networks = self.target.carrying.get(vid, []) if vid else []
            network = networks[0] if networks else None
            places[key] = vid, network, self.subnets_of(vid, network, group)
        found = []
        for vm in self.vms:
            for nic in vm.nics:
                vid, network, subnets = places.get(nic.port_group, (None, None, ()))
                ips = tuple(map(IPv4Address, nic.ips))
                found.append(Seat(vm, nic, self.groups.get(nic.port_group), vid, network, subnets, ips))
        return found

    def vlan_of(self, group: PortGroup) -> int | None:
        """The VLAN a port group's frames are in on the wire: its id, the answered one, or for untagged the native."""
        if group.name in self.answers.port_groups:
            return self.answers.port_groups[group.name]
        if group.vlan.kind == TAGGED:
            return group.vlan.id
        natives = list(self.target.natives)
        return natives[0] if group.vlan.kind == UNTAGGED and len(natives) == 1 else None

    def subnets_of(
        self, vid: int | None, network: Network | None, group: PortGroup | None
    ) -> tuple[tuple[IPv4Network, str], ...]:
        """(subnet, gateway) of a VLAN: the Network's, else the answered, else the port group's, else its VLAN's."""
        found: list[tuple[IPv4Network, str]] = []
        for subnet in network.subnets_of(vid) if network and vid else ():
            if subnet.network:
                found.append((subnet.network, next((route.next_hop for route in subnet.routes), "")))
        if found:
            return tuple(found)
        cidr, gateway = self.answers.subnets.get(vid or 0, ("", ""))
        if not cidr and group is not None:
            cidr, gateway = group.cidr, group.gateway
        net = ipv4_network(cidr)
        return ((net, gateway),) if net else self._told.get(vid or 0, ())

    @cached_property
    def _told(self) -> dict[int, tuple[tuple[IPv4Network, str], ...]]:
        """VLAN → subnets that any of its port groups tells, for those that tell none themselves."""
        found: dict[int, dict[IPv4Network, str]] = defaultdict(dict)
        for group in self.estate.port_groups:
            vid, net = self.vlan_of(group), ipv4_network(group.cidr)
            if vid and net:
                found[vid].setdefault(net, group.gateway)
        return {vid: tuple(sorted(nets.items())) for vid, nets in found.items()}

    @cached_property
    def by_ip(self) -> dict[str, list[Seat]]:
        """Address → the NICs that have it."""
        return _index((ip, seat) for seat in self.seats for ip in seat.nic.ips)

    @cached_property
    def by_mac(self) -> dict[str, list[Seat]]:
        """MAC → the NICs that have it."""
        return _index((seat.nic.mac, seat) for seat in self.seats if seat.nic.mac)

    @cached_property
    def owners(self) -> dict[str, str]:
        """Address → key of the VM that has it, where it is one."""
        return {ip: seats[0].vm.key for ip, seats in self.by_ip.items() if len({seat.vm.key for seat in seats}) == 1}

    @cached_property
    def seen_at(self) -> dict[tuple[int, str], list[Seen]]:
        """(VLAN, address) → who answered."""
        found: dict[tuple[int, str], list[Seen]] = defaultdict(list)
        for each in self.seen or ():
            found[each.vlan, each.ip].append(each)
        return dict(found)

    @cached_property
    def proven(self) -> Mapping[tuple[str, int], Mapping[str, Cell]]:
        """(Network, VLAN) → node → what was proven."""
        found: dict[tuple[str, int], dict[str, Cell]] = defaultdict(dict)
        for cell in self.proofs or ():
            found[cell.network, cell.vlan][cell.node] = cell
        return found


def _index(pairs: Iterable[tuple[str, Seat]]) -> dict[str, list[Seat]]:
    found: dict[str, list[Seat]] = defaultdict(list)
    for key, seat in pairs:
        found[key].append(seat)
    return dict(found)
