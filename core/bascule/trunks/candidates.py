"""Which links of a node could be a trunk, and what speaks against the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import asdict, dataclass
from typing import Any

from bascule.hostplan.management import way_out
from bascule.hostplan.observed import Observed, ObservedLink
from bascule.resources.network import Network
from bascule.trunks.questions import config_of

NEVER = ("bridge", "dummy", "tun", "vxlan", "ifb", "ipip", "gre", "wireguard")
FOREIGN_PORTS = ("cali", "tap")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One link. `speed` is Mb/s, 0 for unknown; `member_of` the bridge or bond it is in; `vlans` the tagged VLANs that
    came in while listening; `network` the Network that names it here; `problem` is "" or why it should not be one."""

    name: str
    mac: str
    up: bool
    carrier: bool
    speed: int
    mtu: int
    default_route: bool
    member_of: str
    vlans: tuple[int, ...]
    network: str
    problem: str

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


def candidates(
    observed: Observed,
    networks: Iterable[Network],
    labels: Mapping[str, str],
    ports: Set[int],
    speeds: Mapping[str, int],
    seen: Mapping[str, Set[int]],
) -> list[Candidate]:
    """Every link that could be a trunk, the usable ones first. `ports` are the ifindexes of workload ports."""
    users: dict[str, str] = {}
    for network in sorted(networks, key=lambda each: each.name):
        config = config_of(network, labels)
        if config and config.trunk:
            users.setdefault(config.trunk.interface, network.name)
    found = [
        Candidate(
            name=link.name,
            mac=link.mac,
            up=link.up,
            carrier=link.carrier,
            speed=speeds.get(link.name, 0),
            mtu=link.mtu,
            default_route=bool(way_out(link, observed)),
            member_of=observed.name_of(link.master) if link.master else "",
            vlans=tuple(sorted(seen.get(link.name, ()))),
            network=users.get(link.name, ""),
            problem=_problem(link, observed, users.get(link.name, "")),
        )
        for link in worth_a_look(observed, ports)
    ]
    return sorted(found, key=lambda each: (bool(each.problem), each.name))


def worth_a_look(observed: Observed, ports: Set[int]) -> list[ObservedLink]:
    """Links that are neither loopback, nor virtual switches, nor ours, nor a workload's."""
    return [
        link
        for link in observed.links
        if link.name != "lo"
        and link.kind not in NEVER
        and link.owner is None
        and link.index not in ports
        and not link.name.startswith(FOREIGN_PORTS)
    ]


def _problem(link: ObservedLink, observed: Observed, network: str) -> str:
    if exit_ := way_out(link, observed):
        return f"the node's default route leaves through {exit_}"
    if network:
        return f"it is the trunk of Network {network}"
    if link.master:
        return f"it is a port of {observed.name_of(link.master)}"
    if any(index == link.index for index, _ in observed.addresses):
        return "the node has an address on it"
    if not link.up:
        return "it is down"
    return "" if link.carrier else "no carrier"
