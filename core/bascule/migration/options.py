"""What an operator decides about a plan."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """`network`: the Network that new VLANs go to, "" for the only one there is. `trunk`: the interface of a Network
    that has to be made. `wave_vms` and `wave_gib`: what one wave may hold. `labels`: tags of the estate that become
    labels. `take`: VMs (by name) that are planned although a check has an error."""

    namespace: str = "vms"
    network: str = ""
    trunk: str = ""
    node_selector: str = ""
    wave_vms: int = 20
    wave_gib: int = 2048
    labels: tuple[str, ...] = ()
    take: tuple[str, ...] = ()
    storage_class: str = ""
    forklift_namespace: str = "konveyor-forklift"
    source_provider: str = "vsphere"
