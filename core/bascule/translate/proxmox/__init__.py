"""Proxmox VE firewall files as a rule base: cluster.fw, `<vmid>.fw`, and the VMs' `<vmid>.conf`.

What Proxmox documents: a guest's rules count only where the firewall is on at three levels (datacentre, guest, NIC);
they are tried from the top, groups in their place, and `policy_in` (DROP) or `policy_out` (ACCEPT) decides the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bascule.policy import intervals
from bascule.policy.intervals import Range, Ranges
from bascule.translate.addresses import address_range
from bascule.translate.model import (
    ANYONE,
    IN,
    OUT,
    Addresses,
    Group,
    IsVm,
    Nic,
    Peers,
    Rule,
    RuleBase,
    Section,
    Stage,
)
from bascule.translate.notes import ERROR, INFO, WARNING, Notes
from bascule.translate.proxmox.guests import Guest, read_guest, vmid
from bascule.translate.proxmox.rules import ACTIONS, BadRuleError, Parsed, parse_rule
from bascule.translate.proxmox.sections import FirewallFile, Line, parse

_MISSING = "the rule is missing: later rules or the policy decide"
_SWITCHES = ("enable", "policy_in", "policy_out", "dhcp", "ndp", "radv", "macfilter", "ipfilter", "log_level_in",
             "log_level_out", "ebtables", "log_ratelimit", "policy_forward")  # fmt: skip


def read_proxmox(files: Sequence[tuple[str, str]]) -> RuleBase:
    """(name, text) of the files. Never raises for what is in them."""
    return _Reader(files).base()


class _Reader:
    """Reads one cluster."""

    def __init__(self, files: Sequence[tuple[str, str]]) -> None:
        self._notes = Notes()
        self._cluster = FirewallFile("cluster.fw")
        self._guest_files: dict[str, FirewallFile] = {}
        self._guests: dict[str, Guest] = {}
        self._groups: dict[str, Group] = {}
        for name, text in files:
            identity = vmid(name)
            if name.endswith(".conf") and identity:
                self._guests[identity] = read_guest(identity, name, text)
            elif identity:
                self._guest_files[identity] = parse(name, text)
            elif name.rsplit("/", 1)[-1] == "host.fw":
                self._host(parse(name, text))
            else:
                self._cluster = parse(name, text)

    def base(self) -> RuleBase:
        """The whole cluster."""
        on = self._on(self._cluster, "the whole firewall is off: no rule is enforced")
        sections, nics = [], []
        for identity in sorted({*self._guests, *self._guest_files}, key=int):
            guest = self._guests.get(identity) or self._unknown(identity)
            file = self._guest_files.get(identity, FirewallFile(f"{identity}.fw"))
            enabled = on and self._on(file, f"VM {guest.vm.name}: its firewall is off")
            nics += [self._nic(guest, nic, file, enabled) for nic in guest.nics]
            if enabled:
                sections.append(self._section(guest, file))
        self._cluster_only()
        segments = {each.id: each for guest in self._guests.values() for each in guest.segments}
        vms = tuple(guest.vm for guest in self._guests.values())
        stage = Stage("guests", tuple(sections))
        return RuleBase(
            "proxmox", (stage,), vms, tuple(nics), tuple(segments.values()), tuple(self._groups.values()),
            leftovers=tuple(self._notes.leftovers), counts={"vms": len(vms), "files": len(self._guest_files) + 1},
        )  # fmt: skip

    def _on(self, file: FirewallFile, what: str) -> bool:
        """Is a level switched on? Trap 22: three of them have to be."""
        self._strays(file)
        options = file.options()
        for key, line in options.items():
            if key not in _SWITCHES:
                self._tell("option", WARNING, "", line.position, f"option {key} is not known", "it has no effect here")
        if options.get("enable") and options["enable"].text == "1":
            return True
        place = options["enable"].position if "enable" in options else file.name
        self._tell("disabled-level", WARNING, "", place, what, "its rules are not carried, as they do nothing now")
        return False

    def _nic(self, guest: Guest, nic: Nic, file: FirewallFile, enabled: bool) -> Nic:
        if not nic.governed:
            what = f"{guest.vm.name}/{nic.name}: firewall=1 is not set on the NIC"
            self._tell("disabled-level", INFO, guest.vm.name, nic.position, what, "no rule governs it, as before")
        allowed = file.sections.get(("ipset", f"ipfilter-{nic.name}"), [])
        single = tuple(low for low, high in self._ipset(allowed, guest.vm.id) if low == high)
        if not nic.addresses and single:
            nic = replace(nic, addresses=single)
        if not nic.addresses:
            what = "no address in ipconfig or ipfilter: rules by address cannot be compared for it"
            self._tell("no-address", WARNING, guest.vm.name, nic.position, what, "the proof leaves it open")
        return replace(nic, governed=nic.governed and enabled)

    def _section(self, guest: Guest, file: FirewallFile) -> Section:
        scope = f"vm:{guest.vm.id}"
        self._groups[scope] = Group(scope, f"VM {guest.vm.name}", IsVm(frozenset((guest.vm.id,))), guest.vm.position)
        rules: list[Rule] = []
        for line in file.sections.get(("rules", ""), []):
            rules += self._rules(line, guest, scope, {})
        options = file.options()
        for key, direction, usual in (("policy_in", IN, "DROP"), ("policy_out", OUT, "ACCEPT")):
            line = options.get(key, Line(usual, "", file.name))
            action = ACTIONS.get(line.text.upper())
            if action is None:
                self._tell(
                    "option", ERROR, guest.vm.name, line.position, f"{key} {line.text} is none", f"{usual} is taken"
                )
                action = ACTIONS[usual]
            name = f"{guest.vm.name} {key}"
            rules.append(Rule(f"{guest.vm.id}/{key}", name, line.position, action, (direction,), scope=(scope,)))
        for key, what in (("dhcp", "DHCP is a broadcast, which an L2 port drops"), ("ndp", "NDP is IPv6")):
            if key in options and options[key].text == "1":
                self._tell("option", INFO, guest.vm.name, options[key].position, f"{key}: 1: {what}", "not carried")
        return Section(f"vm/{guest.vm.id}", guest.vm.name, file.name, tuple(rules))

    def _rules(self, line: Line, guest: Guest, scope: str, outer: dict[str, str], via: str = "") -> list[Rule]:
        """The rules of one line; those of its group for a GROUP line."""
        name = line.comment or f"{via}{line.text}"
        try:
            parsed = parse_rule(line)
            if parsed.forward:
                raise BadRuleError("FORWARD rules are of the host and its SDN, not of a guest")
            options = {**parsed.options, **outer}
            if not self._concerns(options.pop("i", ""), guest, line, name):
                return []
            if parsed.group:
                return self._of_group(parsed, line, guest, scope, options, name)
            sources = self._peers(options.get("source", ""), guest.vm.id)
            destinations = self._peers(options.get("dest", ""), guest.vm.id)
        except BadRuleError as error:
            self._tell("rule", ERROR, name, line.position, str(error), _MISSING)
            return []
        identity = f"{guest.vm.id}/{via}{line.position}"
        return [
            Rule(identity, name, line.position, parsed.action, parsed.directions, sources, destinations,
                 parsed.services, (scope,), parsed.logged, parsed.disabled, line.comment)
        ]  # fmt: skip

    def _of_group(
        self, parsed: Parsed, line: Line, guest: Guest, scope: str, options: dict[str, str], name: str
    ) -> list[Rule]:
        lines = self._cluster.sections.get(("group", parsed.group))
        if lines is None:
            raise BadRuleError(f"security group {parsed.group} does not exist")
        if "source" in options or "dest" in options:
            raise BadRuleError("a GROUP line with addresses")
        found: list[Rule] = []
        for each in lines:
            if each.text.lstrip("|").upper().startswith("GROUP"):
                self._tell("rule", ERROR, name, each.position, "a group inside a group", _MISSING)
                continue
            found += self._rules(each, guest, scope, {}, f"{line.position}/{parsed.group}/")
        return [replace(rule, disabled=True) for rule in found] if parsed.disabled else found

    def _concerns(self, interface: str, guest: Guest, line: Line, name: str) -> bool:
        """Rules for one NIC: labels are per VM, so that is exact only where the VM has no other."""
        if not interface:
            return True
        governed = [nic.name for nic in guest.nics if nic.governed]
        if interface not in governed:
            self._tell(
                "interface", WARNING, name, line.position, f"-i {interface}: no such NIC with firewall=1", "none"
            )
            return False
        if len(governed) > 1:
            what = f"-i {interface}: labels are per VM, and {guest.vm.name} has {len(governed)} NICs"
            self._tell("nic-membership", ERROR, name, line.position, what, "the rule counts for all of its NICs")
        return True

    def _peers(self, listed: str, owner: str) -> Peers:
        """One side: addresses, ranges, aliases, `+ipset`. Raises BadRuleError."""
        if not listed:
            return ANYONE
        groups: list[str] = []
        ranges: list[Range] = []
        for each in listed.split(","):
            if each.startswith("+"):
                groups.append(self._ipset_group(each[1:], owner))
            else:
                ranges.append(self._address(each, owner))
        return Peers(tuple(dict.fromkeys(groups)), intervals.union(ranges))

    def _address(self, text: str, owner: str) -> Range:
        span = address_range(text)
        if span is not None:
            return span
        for file, name in self._scopes(text, owner):
            for line in file.sections.get(("aliases", ""), []):
                words = line.text.split()
                if len(words) >= 2 and words[0].lower() == name:
                    found = address_range(words[1])
                    if found is None:
                        raise BadRuleError(f"alias {text} is {words[1]}, which is no IPv4 address")
                    return found
        if ":" in text:
            raise BadRuleError(f"{text}: no IPv6 passes an L2 port")
        raise BadRuleError(f"{text} is no address, and no alias has that name")

    def _scopes(self, text: str, owner: str) -> list[tuple[FirewallFile, str]]:
        """Where a name is looked up: the guest's file, then the datacentre's; `dc/` and `guest/` say which."""
        scope, slash, name = text.lower().partition("/")
        guest = self._guest_files.get(owner, FirewallFile(""))
        if slash and scope in ("dc", "guest"):
            return [(self._cluster if scope == "dc" else guest, name)]
        return [(guest, text.lower()), (self._cluster, text.lower())]

    def _ipset_group(self, text: str, owner: str) -> str:
        for file, name in self._scopes(text, owner):
            lines = file.sections.get(("ipset", name))
            if lines is not None:
                identity = f"ipset:{file.name}/{name}"
                if identity not in self._groups:
                    ranges = Addresses(self._ipset(lines, owner))
                    self._groups[identity] = Group(identity, name, ranges, lines[0].position if lines else file.name)
                return identity
        raise BadRuleError(f"ipset {text} does not exist")

    def _ipset(self, lines: list[Line], owner: str) -> Ranges:
        """Members less those marked with `!`; lines that are none are said."""
        inside: list[Range] = []
        outside: list[Range] = []
        for line in lines:
            word = line.text.split()[0]
            try:
                (outside if word.startswith("!") else inside).append(self._address(word.lstrip("!"), owner))
            except BadRuleError as error:
                self._tell("ipset", WARNING, word, line.position, str(error), "left out of the set")
        rest = intervals.complement(intervals.union(outside))
        return intervals.intersection(intervals.union(inside), rest)

    def _unknown(self, identity: str) -> Guest:
        what = f"rules of VM {identity}, but no {identity}.conf"
        self._tell("reference", WARNING, identity, f"{identity}.fw", what, "its rules are carried for no NIC")
        return read_guest(identity, f"{identity}.conf", "")

    def _strays(self, file: FirewallFile) -> None:
        for line in file.stray:
            self._tell("document", ERROR, "", line.position, "a line before the first [SECTION]", "left out")

    def _cluster_only(self) -> None:
        for line in self._cluster.sections.get(("rules", ""), []):
            what = "a rule of the datacentre: it is for the hosts, not for guests"
            self._tell("host-rule", INFO, line.comment or line.text, line.position, what, "none for VMs")

    def _host(self, file: FirewallFile) -> None:
        for line in file.sections.get(("rules", ""), []):
            self._tell("host-rule", INFO, line.comment or line.text, line.position, "a rule of a host", "none for VMs")

    def _tell(self, kind: str, severity: str, name: str, place: str, what: str, effect: str) -> None:
        todo = "Nothing." if severity == INFO else "Decide how the effect is to be had, and write it as a policy."
        self._notes(kind, severity, name, place, what, effect, todo)
