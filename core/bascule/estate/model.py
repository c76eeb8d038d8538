"""What an estate consists of. Everything is frozen and ordered, so that equal files make equal estates.

Absent is "" for text, 0 for sizes, None for a yes or no that the source does not give. A `place` is
`file:sheet:row` or `file:element`, as error messages name it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ON, OFF, SUSPENDED = "on", "off", "suspended"
STANDARD, DISTRIBUTED, LIBVIRT, LISTED = "standard", "distributed", "libvirt", "listed"
UNKNOWN, UNTAGGED, TAGGED, TRUNK, PRIVATE = "unknown", "untagged", "tagged", "trunk", "private"


@dataclass(frozen=True, slots=True)
class Vlan:
    """A port group's VLAN: `kind` is one of the words above, `ranges` the ids it carries, ends included.

    `private` holds primary and secondary id. Untagged is VLAN cell 0; a guest trunk is 4095 or a list of ranges.
    """

    kind: str = UNKNOWN
    ranges: tuple[tuple[int, int], ...] = ()

    @property
    def id(self) -> int | None:
        """The one VLAN id of an access port group, else None."""
        return self.ranges[0][0] if self.kind == TAGGED else None

    @property
    def text(self) -> str:
        """As people write it: `110`, `untagged`, `10-20,30`, `private 100/101`, `unknown`."""
        if self.kind == TRUNK:
            spans = (str(low) if low == high else f"{low}-{high}" for low, high in self.ranges)
            return "trunk " + ",".join(spans)
        if self.kind == PRIVATE:
            return "private " + "/".join(str(low) for low, _ in self.ranges)
        return str(self.id) if self.kind == TAGGED else self.kind


@dataclass(frozen=True, slots=True)
class Nic:
    """One adapter, numbered from 0 in the order of its VM. `network` is the port group's name as written,
    `port_group` the key of the one it was joined to, "" when there is none; `mac` is lower case with colons."""

    index: int
    label: str = ""
    mac: str = ""
    network: str = ""
    switch: str = ""
    port_group: str = ""
    model: str = ""
    connected: bool | None = None
    ips: tuple[str, ...] = ()
    ips6: tuple[str, ...] = ()
    direct_path: bool | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class Disk:
    """`path` as the old side names it; `shared` when other VMs may write it too; `raw` for a mapped LUN."""

    path: str = ""
    datastore: str = ""
    mib: int = 0
    mode: str = ""
    shared: bool = False
    raw: bool = False
    place: str = ""


@dataclass(frozen=True, slots=True)
class Vm:
    """`key` is unique in the estate: server and id, uuid or name. `addresses` are those no NIC could be given."""

    key: str
    name: str
    server: str = ""
    id: str = ""
    uuid: str = ""
    power: str = ""
    template: bool = False
    placeholder: bool = False
    cpus: int = 0
    memory_mib: int = 0
    os: str = ""
    dns_name: str = ""
    tools: str = ""
    host: str = ""
    cluster: str = ""
    datacenter: str = ""
    folder: str = ""
    firmware: str = ""
    addresses: tuple[str, ...] = ()
    nics: tuple[Nic, ...] = ()
    disks: tuple[Disk, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    place: str = ""

    @property
    def movable(self) -> bool:
        """Is it a VM of its own, and no template or replica's placeholder?"""
        return not (self.template or self.placeholder)

    @property
    def disk_mib(self) -> int:
        """All its disks together."""
        return sum(disk.mib for disk in self.disks)


@dataclass(frozen=True, slots=True)
class PortGroup:
    """`hosts` are those that a standard one was found on. `cidr` and `gateway` are given by few sources."""

    key: str
    name: str
    switch: str = ""
    kind: str = ""
    server: str = ""
    hosts: tuple[str, ...] = ()
    vlan: Vlan = field(default=Vlan())
    promiscuous: bool | None = None
    mac_changes: bool | None = None
    forged: bool | None = None
    shaping: bool | None = None
    vlan_override: bool | None = None
    cidr: str = ""
    gateway: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Switch:
    """A virtual switch; `mtu` 0 when not given."""

    key: str
    name: str
    server: str = ""
    kind: str = ""
    hosts: tuple[str, ...] = ()
    mtu: int = 0
    place: str = ""


@dataclass(frozen=True, slots=True)
class HostAddress:
    """An address of the hypervisor itself; `cidr` is its subnet, "" when the mask is not given."""

    device: str
    port_group: str = ""
    ip: str = ""
    cidr: str = ""
    gateway: str = ""
    mtu: int = 0
    place: str = ""


@dataclass(frozen=True, slots=True)
class Host:
    """A hypervisor, its physical ports by device name and its own addresses."""

    key: str
    name: str
    server: str = ""
    cluster: str = ""
    datacenter: str = ""
    version: str = ""
    uplinks: tuple[str, ...] = ()
    addresses: tuple[HostAddress, ...] = ()
    place: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """Something that was not read: a whole `file`, a `sheet`, a `row`, or one `cell` of a row that was."""

    what: str
    file: str
    sheet: str
    row: int
    field: str
    why: str
    fix: str = ""

    @property
    def place(self) -> str:
        """`file:sheet:row`, as far as it is known."""
        return ":".join(part for part in (self.file, self.sheet, str(self.row) if self.row else "") if part)


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two sources that say different things of one object; what the earlier source said was kept."""

    object: str
    field: str
    kept: str
    kept_from: str
    other: str
    other_from: str


@dataclass(frozen=True, slots=True)
class Source:
    """One file that was read: `kind` is a key of bascule.estate.load.KINDS."""

    name: str
    kind: str
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Estate:
    """The old side, every list in a fixed order."""

    sources: tuple[Source, ...] = ()
    vms: tuple[Vm, ...] = ()
    port_groups: tuple[PortGroup, ...] = ()
    switches: tuple[Switch, ...] = ()
    hosts: tuple[Host, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
