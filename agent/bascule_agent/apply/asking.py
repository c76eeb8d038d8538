"""What to ask on this node's trunks, from what the watch knows; made when it is needed, not on every pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from ipaddress import IPv4Address

from bascule.resources.attachment import Attachment
from bascule.resources.kubevirt import Instance
from bascule.resources.network import Network
from bascule.trunks.questions import Place, Question, questions
from bascule_agent.watch import Watch
from bascule_kube.kinds import NAD, VMI


class Asking:
    """The questions of the node `name`."""

    def __init__(self, name: str, watch: Watch) -> None:
        self._name, self._watch = name, watch

    def questions(
        self,
        networks: Iterable[Network],
        labels: Mapping[str, str],
        ports: Iterable[Place] = (),
        only: Set[int] = frozenset(),
    ) -> tuple[Question, ...]:
        """Every VLAN in use of these Networks; `ports` are the segments that this node's ports need."""
        places = {
            nad.name: (nad.network, nad.vlan)
            for nad in map(Attachment.of, self._watch.objects(NAD))
            if nad.vlan is not None
        }
        neighbours = neighbours_of(map(Instance.of, self._watch.objects(VMI)), self._name, places)
        return questions(networks, labels, {*places.values(), *ports}, neighbours, only)


def neighbours_of(
    instances: Iterable[Instance], here: str, places: Mapping[str, Place]
) -> dict[Place, tuple[str, ...]]:
    """Addresses of VMs that run on other nodes, by segment: whom to ask where no gateway is."""
    found: dict[Place, set[IPv4Address]] = {}
    for vmi in instances:
        if vmi.node in ("", here):
            continue
        for nic in vmi.nics:
            place = places.get(nic.nad)
            for report in vmi.interfaces if place else ():
                address = _ipv4(report.ip)
                if place and report.name == nic.name and address:
                    found.setdefault(place, set()).add(address)
    return {place: tuple(map(str, sorted(addresses))) for place, addresses in found.items()}


def _ipv4(text: str) -> IPv4Address | None:
    try:
        return IPv4Address(text)
    except ValueError:
        return None
