"""The steps of the vlan_aware driver; up, down and MTU are those of steps.py.

Links are named, as there. A change and its line in the ledger are one step, and a crash between the two leaves the
ledger without the line: what is ours may then look like another's and stay behind, never the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass

from bascule.hostplan.steps import Step


@dataclass(frozen=True, slots=True)
class _Aware(Step):
    name: str
    alias: str
    mac: str
    mtu: int


@dataclass(frozen=True, slots=True)
class CreateAware(_Aware):
    """A bridge that filters VLANs, default PVID 0, MAC pinned, no STP, no multicast snooping; down."""

    def inverse(self) -> DeleteAware:
        return DeleteAware(self.name, self.alias, self.mac, self.mtu)

    def __str__(self) -> str:
        kind = "type bridge vlan_filtering 1 vlan_default_pvid 0"
        return f"ip link add {self.name} address {self.mac} mtu {self.mtu} {kind} alias {self.alias}"


@dataclass(frozen=True, slots=True)
class DeleteAware(_Aware):
    """Delete such a bridge of ours, down and without ports."""

    def inverse(self) -> CreateAware:
        return CreateAware(self.name, self.alias, self.mac, self.mtu)

    def __str__(self) -> str:
        return f"ip link delete {self.name}"


@dataclass(frozen=True, slots=True)
class _TrunkPort(Step):
    trunk: str
    bridge: str


@dataclass(frozen=True, slots=True)
class JoinTrunk(_TrunkPort):
    """Make the trunk a port of the bridge, member of no VLAN: what the default PVID gives it is taken off again."""

    def inverse(self) -> LeaveTrunk:
        return LeaveTrunk(self.trunk, self.bridge)

    def __str__(self) -> str:
        return f"ip link set {self.trunk} master {self.bridge}"


@dataclass(frozen=True, slots=True)
class LeaveTrunk(_TrunkPort):
    """Take a trunk that we made a port out of the bridge; its memberships go with it."""

    def inverse(self) -> JoinTrunk:
        return JoinTrunk(self.trunk, self.bridge)

    def __str__(self) -> str:
        return f"ip link set {self.trunk} nomaster"


@dataclass(frozen=True, slots=True)
class _TrunkVlan(Step):
    trunk: str
    bridge: str
    vid: int
    native: bool


@dataclass(frozen=True, slots=True)
class AddVlan(_TrunkVlan):
    """The trunk carries this VLAN, tagged, or as its untagged frames (`native`)."""

    def inverse(self) -> DropVlan:
        return DropVlan(self.trunk, self.bridge, self.vid, self.native)

    def __str__(self) -> str:
        return f"bridge vlan add dev {self.trunk} vid {self.vid}{' pvid untagged' if self.native else ''}"


@dataclass(frozen=True, slots=True)
class DropVlan(_TrunkVlan):
    """The trunk does not carry this VLAN any more."""

    def inverse(self) -> AddVlan:
        return AddVlan(self.trunk, self.bridge, self.vid, self.native)

    def __str__(self) -> str:
        return f"bridge vlan delete dev {self.trunk} vid {self.vid}"


@dataclass(frozen=True, slots=True)
class _Watch(Step):
    trunk: str
    bridge: str
    native: int


@dataclass(frozen=True, slots=True)
class WatchTrunk(_Watch):
    """A program on the trunk's ingress that lets everything pass and notices VMs that have moved away."""

    def inverse(self) -> UnwatchTrunk:
        return UnwatchTrunk(self.trunk, self.bridge, self.native)

    def __str__(self) -> str:
        return f"tc filter add dev {self.trunk} ingress bpf watch_in"


@dataclass(frozen=True, slots=True)
class UnwatchTrunk(_Watch):
    """Take that program, and nothing else, off the trunk's ingress."""

    def inverse(self) -> WatchTrunk:
        return WatchTrunk(self.trunk, self.bridge, self.native)

    def __str__(self) -> str:
        return f"tc filter delete dev {self.trunk} ingress bpf watch_in"
