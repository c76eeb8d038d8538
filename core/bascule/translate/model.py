"""The ordered-rule model: what every importer reads its documents into, and where translation and proof both start.

Semantics: every NIC that is governed judges its own packets, those it sends (OUT) and those it receives (IN). Stages
are passed in order; in a stage the rules that are applied to the NIC and have the direction are tried from the top.
ALLOW, DROP and REJECT end it, JUMP goes on with the next stage, and so does a stage without a match. What no stage
decided is `default_in` or `default_out` of the base. Replies follow the connection's state. This is what NSX documents
for its distributed firewall (categories left to right, first match), and what one chain of Proxmox or nwfilter does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bascule.policy.intervals import NONE, Range, Ranges

ALLOW, DROP, REJECT, JUMP = "ALLOW", "DROP", "REJECT", "JUMP"
IN, OUT = "IN", "OUT"
ANY_PORT: Range = (0, 65535)
ICMP_ANY: Range = (0, 255)
TCP, UDP, ICMP = 6, 17, 1


@dataclass(frozen=True, slots=True)
class Vm:
    """`tags` are (scope, tag), the scope "" where there is none; `attributes` hold Name, OSName, ComputerName."""

    id: str
    name: str
    tags: frozenset[tuple[str, str]] = frozenset()
    attributes: tuple[tuple[str, str], ...] = ()
    position: str = ""

    def attribute(self, key: str) -> str:
        return next((value for name, value in self.attributes if name == key), "")


@dataclass(frozen=True, slots=True)
class Nic:
    """One access port: `segment` is the id of what it is plugged into, `addresses` single IPv4 addresses.

    `governed` is False for a NIC on the exclusion list, or whose firewall is off: nothing judges it.
    """

    vm: str
    name: str
    mac: str = ""
    addresses: tuple[int, ...] = ()
    segment: str = ""
    governed: bool = True
    position: str = ""

    @property
    def key(self) -> tuple[str, str]:
        return self.vm, self.name


@dataclass(frozen=True, slots=True)
class Segment:
    """A VLAN of the old side. `vlans` are inclusive ranges as the source has them."""

    id: str
    name: str
    vlans: tuple[Range, ...] = ()
    position: str = ""


# What makes a NIC a member of a group; `Nothing` is what cannot be evaluated here, with a leftover that says so.
@dataclass(frozen=True, slots=True)
class Tagged:
    """VMs by tag. `operator` on the tag: EQUALS, NOTEQUALS, CONTAINS, STARTSWITH, ENDSWITH. `scope` None is any scope,
    "" only tags without one; `scope_negated` asks for any other scope."""

    operator: str
    tag: str
    scope: str | None = None
    scope_negated: bool = False


@dataclass(frozen=True, slots=True)
class Attribute:
    """VMs by `key` Name, OSName or ComputerName; operators as in Tagged and IN, NOTIN over `values`."""

    key: str
    operator: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OnSegment:
    """NICs plugged into one of these segments, by id."""

    segments: frozenset[str]


@dataclass(frozen=True, slots=True)
class IsVm:
    """NICs of these VMs, by id."""

    vms: frozenset[str]


@dataclass(frozen=True, slots=True)
class InGroup:
    """What another group holds, its addresses too."""

    group: str


@dataclass(frozen=True, slots=True)
class Addresses:
    """IPv4 addresses, whoever has them."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Nothing:
    """No member."""


@dataclass(frozen=True, slots=True)
class Both:
    """Members of all parts; a part with addresses of its own counts with its NICs only."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Members of any part."""

    parts: tuple[Expression, ...]


Expression = Tagged | Attribute | OnSegment | IsVm | InGroup | Addresses | Nothing | Both | Either


@dataclass(frozen=True, slots=True)
class Group:
    """A named group. `members` are what the source itself says is in it, by VM id; None when it does not say."""

    id: str
    name: str
    expression: Expression
    position: str = ""
    members: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Peers:
    """One side of a rule: any address, or what the groups and ranges hold; `excluded` turns it round."""

    groups: tuple[str, ...] = ()
    ranges: Ranges = NONE
    any: bool = False
    excluded: bool = False


ANYONE = Peers(any=True)


@dataclass(frozen=True, slots=True, order=True)
class Service:
    """A box of packets: protocol (None is any), source and destination ports. For ICMP the source range is the type and
    the destination range the code, as in bascule.policy.layout."""

    protocol: int | None = None
    source: Range = ANY_PORT
    destination: Range = ANY_PORT

    @property
    def text(self) -> str:
        """`any`, `tcp/443`, `udp/1024-2048 from 53`, `icmp type 8`, `proto 47`."""
        if self.protocol is None:
            return "any"
        if self.protocol == ICMP:
            kind = "" if self.source in (ANY_PORT, ICMP_ANY) else f" type {_span(self.source)}"
            return f"icmp{kind}" + (
                "" if self.destination in (ANY_PORT, ICMP_ANY) else f" code {_span(self.destination)}"
            )
        name = {TCP: "tcp", UDP: "udp", 132: "sctp"}.get(self.protocol, f"proto {self.protocol}")
        to = "" if self.destination == ANY_PORT else f"/{_span(self.destination)}"
        return f"{name}{to}" + ("" if self.source == ANY_PORT else f" from {_span(self.source)}")


def _span(ports: Range) -> str:
    return str(ports[0]) if ports[0] == ports[1] else f"{ports[0]}-{ports[1]}"


EVERYTHING = (Service(),)


@dataclass(frozen=True, slots=True)
class Rule:
    """`id` is unique in its base; `position` its place in the document; `scope` None is every governed NIC, else the
    groups whose NICs it is applied to."""

    id: str
    name: str
    position: str
    action: str
    directions: tuple[str, ...] = (IN, OUT)
    sources: Peers = ANYONE
    destinations: Peers = ANYONE
    services: tuple[Service, ...] = EVERYTHING
    scope: tuple[str, ...] | None = None
    logged: bool = False
    disabled: bool = False
    notes: str = ""

    @property
    def decides_all(self) -> bool:
        """Does it match every packet at every NIC, and decide?"""
        plain = self.sources == ANYONE == self.destinations and self.services == EVERYTHING
        return plain and self.scope is None and set(self.directions) == {IN, OUT} and self.action != JUMP


@dataclass(frozen=True, slots=True)
class Section:
    """Rules that the source keeps together (an NSX policy, a VM's Proxmox file), in order."""

    id: str
    name: str
    position: str
    rules: tuple[Rule, ...]
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the evaluation (an NSX category), its sections in order."""

    name: str
    sections: tuple[Section, ...]

    @property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(rule for section in self.sections for rule in section.rules)


@dataclass(frozen=True, slots=True)
class Leftover:
    """What was not carried over, or not exactly. `effect` is what is different afterwards, `todo` what to do about it.

    `severity`: error (the rule's effect is missing), warning (carried, but mind it), info.
    """

    kind: str
    severity: str
    rule: str
    position: str
    what: str
    effect: str
    todo: str


@dataclass(frozen=True)
class RuleBase:
    """A whole rule base with what it is about. `source` is the importer's name."""

    source: str
    stages: tuple[Stage, ...]
    vms: tuple[Vm, ...] = ()
    nics: tuple[Nic, ...] = ()
    segments: tuple[Segment, ...] = ()
    groups: tuple[Group, ...] = ()
    default_in: str = ALLOW
    default_out: str = ALLOW
    leftovers: tuple[Leftover, ...] = ()
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(rule for stage in self.stages for rule in stage.rules)
