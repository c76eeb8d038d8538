"""libvirt nwfilter XML and the domains that use it as a rule base (libvirt's docs/formatnwfilter.rst).

A packet passes two stages. Rules on `ip` stand in the L2 stage, where accept lets it go on; rules on tcp, udp, icmp and
the like stand in the L3 stage, which keeps connection state. In each the lowest priority comes first, and what nothing
matches is accepted. What the well-known filters against spoofing do, a Bascule port does by itself.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bascule.translate.model import (
    ALLOW,
    DROP,
    IN,
    JUMP,
    OUT,
    REJECT,
    Group,
    IsVm,
    Nic,
    Rule,
    RuleBase,
    Section,
    Segment,
    Stage,
    Vm,
)
from bascule.translate.notes import ERROR, INFO, WARNING, Notes
from bascule.translate.nwfilter.rules import L2_IP, L3, CannotCarryError, Criteria, Variables, criteria
from bascule.translate.nwfilter.xml import DomainElement, FilterElement, InterfaceElement, Reference, RuleElement, parse

BY_THE_PORT = {
    "clean-traffic", "clean-traffic-gateway", "no-mac-spoofing", "no-ip-spoofing", "no-arp-spoofing",
    "no-arp-ip-spoofing", "no-arp-mac-spoofing", "no-other-l2-traffic", "no-other-rarp-traffic", "no-mac-broadcast",
    "no-ip-multicast", "allow-arp", "allow-ipv4", "allow-incoming-ipv4", "qemu-announce-self",
    "qemu-announce-self-rarp", "allow-dhcp", "allow-dhcp-server",
}  # fmt: skip
"""libvirt's own filters whose work the port's checks do: own MAC and address only, no other L2 traffic."""
_DIRECTIONS = {"in": (IN,), "out": (OUT,), "inout": (IN, OUT)}
_CHAINS = {"root": 0, "stp": -810, "mac": -800, "vlan": -750, "ipv4": -700, "ipv6": -600, "arp": -500, "rarp": -400}
_MISSING = "the rule is missing: later rules or the default decide"
_DEEPEST = 32


@dataclass(frozen=True, slots=True)
class _Placed:
    """One rule on its way through a NIC's tree of filters."""

    chain: str
    rule: RuleElement
    variables: Variables


def read_nwfilter(files: Sequence[tuple[str, bytes]]) -> RuleBase:
    """(name, XML) of filters and domains. Raises RuleFileError for what is no XML; never for what is in it."""
    return _Reader(files).base()


class _Reader:
    """Reads one host's filters and domains."""

    def __init__(self, files: Sequence[tuple[str, bytes]]) -> None:
        self._notes = Notes()
        self._filters: dict[str, FilterElement] = {}
        self._domains: list[DomainElement] = []
        for name, data in files:
            for each in parse(name, data):
                if isinstance(each, DomainElement):
                    self._domains.append(each)
                elif each.name in self._filters:
                    self._tell(
                        "duplicate",
                        WARNING,
                        each.name,
                        each.position,
                        "a second filter of this name",
                        "the first counts",
                    )
                else:
                    self._filters[each.name] = each

    def base(self) -> RuleBase:
        """Everything that the domains use."""
        vms, nics, groups = [], [], []
        segments: dict[str, Segment] = {}
        first: list[Section] = []
        second: list[Section] = []
        used: set[str] = set()
        for domain in self._domains:
            vms.append(Vm(domain.uuid, domain.name, attributes=(("Name", domain.name),), position=domain.position))
            groups.append(
                Group(f"vm:{domain.uuid}", f"VM {domain.name}", IsVm(frozenset((domain.uuid,))), domain.position)
            )
            self._several(domain)
            for at, interface in enumerate(domain.interfaces):
                segment = _segment(interface)
                segments[segment.id] = segment
                nics.append(self._nic(domain, at, interface, segment))
                if interface.reference is not None:
                    placed = list(self._expand(interface.reference, {}, (), used))
                    first.append(self._section(domain, at, interface, placed, below=True))
                    second.append(self._section(domain, at, interface, placed, below=False))
        for name, unused in self._filters.items():
            if name not in used and name not in BY_THE_PORT:
                self._tell(
                    "unused", INFO, name, unused.position, "no domain in these files uses the filter", "not carried"
                )
        counts = {"domains": len(self._domains), "filters": len(self._filters)}
        stages = (Stage("L2", tuple(first)), Stage("L3", tuple(second)))
        return RuleBase(
            "nwfilter", stages, tuple(vms), tuple(nics), tuple(segments.values()), tuple(groups),
            leftovers=tuple(self._notes.leftovers), counts=counts,
        )  # fmt: skip

    def _several(self, domain: DomainElement) -> None:
        """Labels are per VM: NICs with different filters cannot be told apart by them."""
        wanted = {
            each.reference and (each.reference.filter, *sorted(each.reference.parameters.items()))
            for each in domain.interfaces
        }
        if len(wanted) > 1:
            what = f"the NICs of {domain.name} have different filters; labels are per VM"
            self._tell(
                "nic-membership", ERROR, domain.name, domain.position, what, "all rules count for all of its NICs"
            )

    def _nic(self, domain: DomainElement, at: int, interface: InterfaceElement, segment: Segment) -> Nic:
        reference = interface.reference
        given = reference.parameters.get("IP", ()) if reference else ()
        addresses = []
        for each in given:
            try:
                addresses.append(int(ipaddress.IPv4Address(each)))
            except ValueError:
                self._tell(
                    "reference", WARNING, domain.name, interface.position, f"IP={each} is no IPv4 address", "left out"
                )
        if not addresses:
            what = "no parameter IP: libvirt learns the address on the host (trap 24)"
            self._tell("no-address", WARNING, domain.name, interface.position, what, "the proof leaves it open")
        if interface.trunk:
            what = "the guest tags its own frames (trunk); an L2 port is an access port"
            self._tell("guest-trunk", ERROR, domain.name, interface.position, what, "only untagged frames pass")
        return Nic(
            domain.uuid,
            f"net{at}",
            interface.mac,
            tuple(addresses),
            segment.id,
            reference is not None,
            interface.position,
        )

    def _expand(
        self, reference: Reference, outer: Variables, trail: tuple[str, ...], used: set[str]
    ) -> Iterator[_Placed]:
        """All rules of a filter and of those it refers to, depth first; inner parameters win over outer ones."""
        name = reference.filter
        used.add(name)
        if name in BY_THE_PORT:
            self._tell(
                "by-the-port", INFO, name, reference.position, "a port checks MAC and address by itself", "as before"
            )
            return
        if name in trail or len(trail) > _DEEPEST:
            self._tell(
                "cycle",
                ERROR,
                name,
                reference.position,
                f"filters refer to each other: {' → '.join((*trail, name))}",
                "cut",
            )
            return
        found = self._filters.get(name)
        if found is None:
            self._tell(
                "reference",
                ERROR,
                name,
                reference.position,
                f"filter {name} is not in the files",
                "its rules are missing",
            )
            return
        variables = {**outer, **reference.parameters}
        for part in found.parts:
            if isinstance(part, Reference):
                yield from self._expand(part, variables, (*trail, name), used)
            else:
                yield _Placed(found.chain, part, variables)

    def _section(
        self, domain: DomainElement, at: int, interface: InterfaceElement, placed: list[_Placed], below: bool
    ) -> Section:
        """One NIC's rules of one stage by priority; `below` is the L2 stage."""
        found: list[tuple[tuple[int, int], Rule]] = []
        for number, each in enumerate(placed):
            for rule in self._rules(domain, f"{domain.uuid}/{at}/{number}", each, below):
                chain = _CHAINS.get(each.chain.partition("-")[0], 0) if below else 0
                found.append(((chain, _priority(each.rule)), rule))
        found.sort(key=lambda pair: pair[0])
        level = "L2" if below else "L3"
        rules = tuple(rule for _, rule in found)
        return Section(f"{domain.uuid}/{at}/{level}", f"{domain.name} net{at} {level}", interface.position, rules)

    def _rules(self, domain: DomainElement, identity: str, placed: _Placed, below: bool) -> Iterator[Rule]:
        rule = placed.rule
        for at, (tag, given) in enumerate(rule.protocols):
            if tag == L2_IP or tag in L3:
                if (tag == L2_IP) == below:
                    yield from self._rule(domain, f"{identity}/{at}", placed, tag, given)
            elif not below:
                self._other(domain, rule, tag)

    def _rule(
        self, domain: DomainElement, identity: str, placed: _Placed, tag: str, given: dict[str, str]
    ) -> Iterator[Rule]:
        rule = placed.rule
        name = given.get("comment") or f"{domain.name}: {rule.attributes.get('action', '')} {tag}"
        directions = _DIRECTIONS.get(rule.attributes.get("direction", ""), ())
        try:
            action = self._action(rule, tag, placed.chain)
            said = criteria(tag, given, placed.variables)
            if not directions:
                raise CannotCarryError(f"direction {rule.attributes.get('direction')!r} is none")
        except CannotCarryError as error:
            self._tell("rule", ERROR, name, rule.position, str(error), _MISSING)
            return
        if action == "" or (said.stateful_only and action == ALLOW):
            what = "replies of allowed connections pass by themselves" if action else "continue decides nothing"
            self._tell("no-decision", INFO, name, rule.position, what, "none")
            return
        self._mind(rule, name, tag, said, directions)
        yield Rule(identity, name, rule.position, action, directions, said.sources, said.destinations, said.services,
                   (f"vm:{domain.uuid}",), notes=given.get("comment", ""))  # fmt: skip

    def _action(self, rule: RuleElement, tag: str, chain: str) -> str:
        """In the L2 stage accept and return go on; elsewhere accept ends it. "" decides nothing."""
        word = rule.attributes.get("action", "")
        if word == "continue":
            return ""
        if word == "return" and chain != "root":
            raise CannotCarryError(f"return in chain {chain}: where it goes on depends on its parent")
        known = {"drop": DROP, "reject": REJECT, "accept": ALLOW, "return": ALLOW}
        if word not in known:
            raise CannotCarryError(f"action {word!r} is none")
        return JUMP if tag == L2_IP and known[word] == ALLOW else known[word]

    def _mind(self, rule: RuleElement, name: str, tag: str, said: Criteria, directions: tuple[str, ...]) -> None:
        if tag != L2_IP and rule.attributes.get("statematch", "true").lower() in ("0", "false"):
            self._tell(
                "stateful", WARNING, name, rule.position, "statematch is off", "replies pass by connection state"
            )
        plain = said.sources.any and said.destinations.any
        if len(directions) == 2 and not plain:
            what = "inout with addresses: read as the same addresses in both directions"
            self._tell("inout", WARNING, name, rule.position, what, "check what was meant")

    def _other(self, domain: DomainElement, rule: RuleElement, tag: str) -> None:
        name = f"{domain.name}: {rule.attributes.get('action', '')} {tag}"
        if tag == "ipv6" or tag.endswith("-ipv6"):
            self._tell("ipv6", INFO, name, rule.position, f"<{tag}>: no IPv6 passes an L2 port", "none")
            return
        effect = "a port admits IPv4 and ARP with its own MAC and address, and nothing else"
        self._tell("ethernet", WARNING, name, rule.position, f"<{tag}>: an L2 rule", effect)

    def _tell(self, kind: str, severity: str, name: str, place: str, what: str, effect: str) -> None:
        todo = "Nothing." if severity == INFO else "Decide how the effect is to be had, and write it as a policy."
        self._notes(kind, severity, name, place, what, effect, todo)


def _segment(interface: InterfaceElement) -> Segment:
    vlans = tuple((vlan, vlan) for vlan in interface.vlans)
    name = interface.source + (f"/{interface.vlans[0]}" if len(vlans) == 1 else "")
    return Segment(name, name, vlans, interface.position)


def _priority(rule: RuleElement) -> int:
    text = rule.attributes.get("priority", "500")
    return int(text) if text.lstrip("-").isdecimal() else 500
