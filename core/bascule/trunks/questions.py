"""Which addresses to ask in which VLAN of which trunk, to prove that the VLAN is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from ipaddress import IPv4Address

from bascule.resources.network import HostConfig, Network
from bascule.selectors import SelectorError

Place = tuple[str, int]
"""(network, VLAN id)."""
NEIGHBOURS = 2


@dataclass(frozen=True, slots=True, order=True)
class Question:
    """One VLAN of one trunk: `tag` is None where the VLAN is native; `targets` are asked in that order."""

    network: str
    vlan: int
    trunk: str
    tag: int | None
    targets: tuple[str, ...]


def questions(
    networks: Iterable[Network],
    labels: Mapping[str, str],
    used: Set[Place],
    neighbours: Mapping[Place, tuple[str, ...]],
    only: Set[int] = frozenset(),
) -> tuple[Question, ...]:
    """The questions of a node with these labels. `used` are VLANs that a NAD or a port names; with ids of their own in
    a Network they are what is asked (a range of 4,094 is a licence, not a wish); `only` asks these ids instead.
    `neighbours`: addresses of VMs on other nodes, by place."""
    found = []
    for network in sorted(networks, key=lambda each: each.name):
        config = config_of(network, labels)
        if config is None or config.trunk is None:
            continue
        carried = network.carried_vlans()
        single = {entry.ids.start for entry in network.vlans if len(entry.ids) == 1}
        wanted = only or single | {vlan for name, vlan in used if name == network.name}
        for vlan in sorted(wanted & carried):
            tag = None if config.trunk.native_vlan == vlan else vlan
            known = neighbours.get((network.name, vlan), ())
            targets = (*gateways(network, vlan), *known[:NEIGHBOURS])
            found.append(Question(network.name, vlan, config.trunk.interface, tag, tuple(dict.fromkeys(targets))))
    return tuple(found)


def config_of(network: Network, labels: Mapping[str, str]) -> HostConfig | None:
    """The hostConfig of a node with these labels; None when nothing selects it or a selector does not parse."""
    try:
        return network.config_for(labels) if network.l2 else None
    except SelectorError:
        return None


def gateways(network: Network, vlan: int) -> tuple[str, ...]:
    """The next hops of the VLAN's routes that lie in its subnets: neighbours by definition."""
    found = []
    for subnet in network.subnets_of(vlan):
        for route in subnet.routes:
            try:
                address = IPv4Address(route.next_hop)
            except ValueError:
                continue
            if subnet.network and address in subnet.network:
                found.append(str(address))
    return tuple(dict.fromkeys(found))
