"""The NICs of a VM with where each is written, and the addresses asked for by annotation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from bascule.resources.kubevirt import VirtualMachine
from bascule.resources.pod import CALICO
from bascule.resources.read import dig, items

INTERFACES = "spec.template.spec.domain.devices.interfaces"
NETWORKS = "spec.template.spec.networks"
ANNOTATIONS = "spec.template.metadata.annotations"


@dataclass(frozen=True, slots=True)
class Nic:
    """`position` and `network_position` are list indexes (-1 without a network); `addresses` are the texts of the
    ipAddrs annotation, None when it is there but no JSON list of strings."""

    position: int
    network_position: int
    name: str
    mac: str
    nad: str
    addresses: tuple[str, ...] | None

    @property
    def annotation(self) -> str:
        """The field path of its ipAddrs annotation."""
        return f"{ANNOTATIONS}[{CALICO}{self.name}.ipAddrs]"


def nics_of(vm: VirtualMachine, raw: Any) -> tuple[Nic, ...]:
    """The NICs of a VM document in their order."""
    names = [dig(network, "name") for network in items(dig(raw, "spec", "template", "spec", "networks"))]
    return tuple(
        Nic(
            position,
            names.index(nic.name) if nic.name in names else -1,
            nic.name,
            nic.mac,
            nic.nad,
            _addresses(vm.template.annotations.get(f"{CALICO}{nic.name}.ipAddrs")),
        )
        for position, nic in enumerate(vm.nics)
    )


def _addresses(annotation: str | None) -> tuple[str, ...] | None:
    if annotation is None:
        return ()
    try:
        value = json.loads(annotation)
    except (ValueError, RecursionError):
        return None
    return tuple(value) if isinstance(value, list) and all(isinstance(each, str) for each in value) else None
