"""The VMs of the old side: six on three VLANs, as one finds them on a KVM host, and the problems planted on request.

Addresses and MACs are apart from examples/dc1.yaml's, inside the same subnets: that is why they can move there. They
talk to each other, to VMs of the cluster and to the gateway, so that waves and flows have something to tell.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace

from bascule_lab.guests.disk import Identity

# libvirt's network for each VLAN; libvirt knows a bridge only, the number stays the operator's to tell
NETWORKS = {110: "shops", 120: "ledgers", 100: "archives"}
# the host's own address in each VLAN, as a KVM host has one: through its ARP table libvirt knows the guests' addresses
HOST_NUMBER = 250
TALK_EVERY_S = 2.0
PLANTED_NAME, PLANTED_MODEL, PLANTED_CLONE = "Archive 1 (2019)", "vmxnet3", "shop-1-clone"


@dataclass(frozen=True)
class OldVm:
    """One VM; `number` is the last one of its address, `file` names its disk and its serial port."""

    name: str
    vlan: int
    number: int
    peers: tuple[str, ...]
    file: str
    model: str = "virtio"
    runs: bool = True

    @property
    def ip(self) -> str:
        """Its address, on its disk only."""
        return f"10.{self.vlan}.0.{self.number}"

    @property
    def mac(self) -> str:
        """Its MAC, in its definition only; QEMU's prefix."""
        return f"52:54:00:1d:{self.vlan:02x}:{self.number:02x}"

    @property
    def uuid(self) -> str:
        """The same in every lab: a plan made today finds its VM tomorrow."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"bascule-lab/old/{self.file}"))

    def identity(self) -> Identity:
        """What its disk says."""
        return Identity(
            self.ip, 24, f"10.{self.vlan}.0.1", self.peers, TALK_EVERY_S, text=f"disk of {self.name}, old side"
        )


def _vm(name: str, vlan: int, number: int, *peers: str) -> OldVm:
    return OldVm(name, vlan, number, peers, name)


# the first three are on three VLANs, so that a small old side shows all of them
VMS = (
    _vm("shop-1", 110, 31, "10.110.0.32:7", "10.110.0.11:7", "198.51.100.10"),
    _vm("ledger-1", 120, 31, "10.120.0.32:7", "10.120.0.11:7"),
    _vm("archive-1", 100, 31, "10.100.0.11:7", "10.100.0.1"),
    _vm("shop-2", 110, 32, "10.110.0.33:80", "10.110.0.1"),
    _vm("ledger-2", 120, 32, "10.120.0.31:80", "10.120.0.1"),
    _vm("shop-3", 110, 33, "10.110.0.31:7", "10.110.0.12:80"),
)


def estate(count: int, planted: bool) -> list[OldVm]:
    """The first `count` VMs; `planted` adds docs/lab.md's three problems, each where its VM is among them."""
    if not planted:
        return list(VMS[:count])
    found = [_planted(vm) for vm in VMS[:count]]
    # a copy of shop-1 that somebody made and switched off: same MAC, same address
    clones = [replace(vm, name=PLANTED_CLONE, file=PLANTED_CLONE, runs=False) for vm in found if vm.name == "shop-1"]
    return [*found, *clones]


def _planted(vm: OldVm) -> OldVm:
    if vm.name == "archive-1":
        return replace(vm, name=PLANTED_NAME)
    return replace(vm, model=PLANTED_MODEL) if vm.name == "ledger-1" else vm
