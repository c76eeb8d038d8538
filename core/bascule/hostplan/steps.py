"""The steps of the per_vlan driver: data only, each with its inverse and its words.

A step names links, because what it speaks of may not exist yet when it is planned. A name of the form `if<index>` that
no link bears means that ifindex (a map entry whose link is gone). `stub` is always the link of role s. A step that
deletes carries all it takes to make the link again, so that its inverse is complete.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One change of the node. Executing a step that already holds must be harmless."""

    def inverse(self) -> Step:
        """The step that takes this one back."""
        raise NotImplementedError

    def __str__(self) -> str:
        """One line in the words of ip and bridge."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class _Bridge(Step):
    name: str
    alias: str
    mac: str
    mtu: int


@dataclass(frozen=True, slots=True)
class CreateBridge(_Bridge):
    """A plain bridge without STP and multicast snooping, forward delay 0, MAC pinned, down."""

    def inverse(self) -> DeleteBridge:
        return DeleteBridge(self.name, self.alias, self.mac, self.mtu)

    def __str__(self) -> str:
        return f"ip link add {self.name} address {self.mac} mtu {self.mtu} type bridge alias {self.alias}"


@dataclass(frozen=True, slots=True)
class DeleteBridge(_Bridge):
    """Delete a bridge that is down and has no ports."""

    def inverse(self) -> CreateBridge:
        return CreateBridge(self.name, self.alias, self.mac, self.mtu)

    def __str__(self) -> str:
        return f"ip link delete {self.name}"


@dataclass(frozen=True, slots=True)
class _Stub(Step):
    stub: str
    peer: str
    stub_alias: str
    peer_alias: str
    mtu: int


@dataclass(frozen=True, slots=True)
class CreateStub(_Stub):
    """A veth pair, both ends down, in no bridge."""

    def inverse(self) -> DeleteStub:
        return DeleteStub(self.stub, self.peer, self.stub_alias, self.peer_alias, self.mtu)

    def __str__(self) -> str:
        return (
            f"ip link add {self.stub} mtu {self.mtu} type veth peer {self.peer} mtu {self.mtu} alias {self.stub_alias}"
        )


@dataclass(frozen=True, slots=True)
class DeleteStub(_Stub):
    """Delete the link `stub`; its peer goes with it, wherever it is."""

    def inverse(self) -> CreateStub:
        return CreateStub(self.stub, self.peer, self.stub_alias, self.peer_alias, self.mtu)

    def __str__(self) -> str:
        return f"ip link delete {self.stub}"


@dataclass(frozen=True, slots=True)
class _Mux(Step):
    stub: str
    trunk: str
    vid: int


@dataclass(frozen=True, slots=True)
class SetMux(_Mux):
    """What leaves the bridge through the stub goes out on the trunk with this tag; attaches the stub's program."""

    def inverse(self) -> UnsetMux:
        return UnsetMux(self.stub, self.trunk, self.vid)

    def __str__(self) -> str:
        return f"tc egress of {self.stub}: tag with vlan {self.vid} and send to {self.trunk}"


@dataclass(frozen=True, slots=True)
class UnsetMux(_Mux):
    """The stub sends nothing any more (its program, if any, drops what has no entry)."""

    def inverse(self) -> SetMux:
        return SetMux(self.stub, self.trunk, self.vid)

    def __str__(self) -> str:
        return f"tc egress of {self.stub}: stop sending vlan {self.vid} to {self.trunk}"


@dataclass(frozen=True, slots=True)
class _Demux(Step):
    trunk: str
    vid: int
    stub: str


@dataclass(frozen=True, slots=True)
class SetDemux(_Demux):
    """Frames of this VLAN that arrive at the trunk enter the bridge through the stub, untagged."""

    def inverse(self) -> UnsetDemux:
        return UnsetDemux(self.trunk, self.vid, self.stub)

    def __str__(self) -> str:
        return f"tc ingress of {self.trunk}: hand vlan {self.vid} to {self.stub}"


@dataclass(frozen=True, slots=True)
class UnsetDemux(_Demux):
    """Frames of this VLAN that arrive at the trunk are dropped."""

    def inverse(self) -> SetDemux:
        return SetDemux(self.trunk, self.vid, self.stub)

    def __str__(self) -> str:
        return f"tc ingress of {self.trunk}: stop handing vlan {self.vid} to {self.stub}"


@dataclass(frozen=True, slots=True)
class _Native(Step):
    trunk: str
    vid: int


@dataclass(frozen=True, slots=True)
class SetNative(_Native):
    """Untagged frames of the trunk belong to this VLAN, in both directions."""

    def inverse(self) -> UnsetNative:
        return UnsetNative(self.trunk, self.vid)

    def __str__(self) -> str:
        return f"bridge vlan add dev {self.trunk} vid {self.vid} pvid untagged"


@dataclass(frozen=True, slots=True)
class UnsetNative(_Native):
    """Untagged frames of the trunk belong to no VLAN."""

    def inverse(self) -> SetNative:
        return SetNative(self.trunk, self.vid)

    def __str__(self) -> str:
        return f"bridge vlan delete dev {self.trunk} vid {self.vid} pvid untagged"


@dataclass(frozen=True, slots=True)
class _Trunk(Step):
    trunk: str


@dataclass(frozen=True, slots=True)
class AttachTrunk(_Trunk):
    """The trunk program on the trunk's ingress; from here on every frame that has no entry is dropped there."""

    def inverse(self) -> DetachTrunk:
        return DetachTrunk(self.trunk)

    def __str__(self) -> str:
        return f"tc filter add dev {self.trunk} ingress bpf trunk_in"


@dataclass(frozen=True, slots=True)
class DetachTrunk(_Trunk):
    """Take our program, and nothing else, off the trunk's ingress."""

    def inverse(self) -> AttachTrunk:
        return AttachTrunk(self.trunk)

    def __str__(self) -> str:
        return f"tc filter delete dev {self.trunk} ingress bpf trunk_in"


@dataclass(frozen=True, slots=True)
class _Member(Step):
    link: str
    bridge: str


@dataclass(frozen=True, slots=True)
class Enslave(_Member):
    """Make a link that has no master a port of a bridge."""

    def inverse(self) -> Release:
        return Release(self.link, self.bridge)

    def __str__(self) -> str:
        return f"ip link set {self.link} master {self.bridge}"


@dataclass(frozen=True, slots=True)
class Release(_Member):
    """Take a link out of the bridge it is a port of."""

    def inverse(self) -> Enslave:
        return Enslave(self.link, self.bridge)

    def __str__(self) -> str:
        return f"ip link set {self.link} nomaster"


@dataclass(frozen=True, slots=True)
class _Link(Step):
    link: str


@dataclass(frozen=True, slots=True)
class SetUp(_Link):
    def inverse(self) -> SetDown:
        return SetDown(self.link)

    def __str__(self) -> str:
        return f"ip link set {self.link} up"


@dataclass(frozen=True, slots=True)
class SetDown(_Link):
    def inverse(self) -> SetUp:
        return SetUp(self.link)

    def __str__(self) -> str:
        return f"ip link set {self.link} down"


@dataclass(frozen=True, slots=True)
class SetMtu(Step):
    """Change a link's MTU from `before`, in bytes."""

    link: str
    mtu: int
    before: int

    def inverse(self) -> SetMtu:
        return SetMtu(self.link, self.before, self.mtu)

    def __str__(self) -> str:
        return f"ip link set {self.link} mtu {self.mtu}"


def inverse(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps that take a whole plan back: each one's inverse, last first."""
    return tuple(step.inverse() for step in reversed(steps))
