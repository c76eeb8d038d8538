"""One line of a [RULES] or [GROUP] section: direction, action or macro, options."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

from bascule.policy.intervals import Range
from bascule.translate.model import ALLOW, ANY_PORT, DROP, EVERYTHING, ICMP, IN, OUT, REJECT, TCP, UDP, Service
from bascule.translate.proxmox.macros import MACROS
from bascule.translate.proxmox.sections import Line

ACTIONS = {"ACCEPT": ALLOW, "DROP": DROP, "REJECT": REJECT}
_PROTOCOLS = {"tcp": TCP, "udp": UDP, "icmp": ICMP, "sctp": 132, "gre": 47, "esp": 50, "ah": 51, "ospf": 89, "igmp": 2}
_WITH_PORTS = (TCP, UDP, 132)
_ICMP_TYPES = {
    "echo-reply": (0, None), "destination-unreachable": (3, None), "host-unreachable": (3, 1),
    "port-unreachable": (3, 3), "fragmentation-needed": (3, 4), "source-quench": (4, None), "redirect": (5, None),
    "echo-request": (8, None), "time-exceeded": (11, None), "parameter-problem": (12, None),
    "timestamp-request": (13, None), "timestamp-reply": (14, None), "any": (None, None),
}  # fmt: skip
_MACRO = re.compile(r"([A-Za-z0-9]+)\((ACCEPT|DROP|REJECT)\)")
_VALUED = ("i", "iface", "source", "dest", "p", "proto", "dport", "sport", "icmp-type", "log")
_NAMES = {"http": 80, "https": 443, "ssh": 22, "domain": 53, "smtp": 25, "ntp": 123, "ldap": 389, "snmp": 161}


class BadRuleError(Exception):
    """A line that is no rule; the text says why."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """`group` is set for a GROUP line, else `action`. `options` are the address options and the interface."""

    disabled: bool
    directions: tuple[str, ...]
    action: str
    group: str = ""
    services: tuple[Service, ...] = EVERYTHING
    options: dict[str, str] = field(default_factory=dict)
    logged: bool = False
    forward: bool = False


def parse_rule(line: Line) -> Parsed:
    """Read one rule. Raises BadRuleError."""
    text = line.text
    disabled = text.startswith("|")
    try:
        words = shlex.split(text.lstrip("|").strip())
    except ValueError as error:
        raise BadRuleError(f"quotes do not match: {error}") from None
    if len(words) < 2:
        raise BadRuleError("a rule has a direction and an action")
    direction, action, rest = words[0].upper(), words[1], words[2:]
    options = _options(rest)
    logged = options.pop("log", "nolog") != "nolog"
    if direction == "GROUP":
        return Parsed(disabled, (IN, OUT), "", action.lower(), EVERYTHING, options, logged)
    if direction not in ("IN", "OUT", "FORWARD"):
        raise BadRuleError(f"{words[0]} is no direction (IN, OUT, FORWARD or GROUP)")
    services: tuple[Service, ...] | None = None
    macro = _MACRO.fullmatch(action)
    if macro:
        services = MACROS.get(macro.group(1).lower())
        if services is None:
            raise BadRuleError(f"macro {macro.group(1)} is not known")
        action = macro.group(2)
    if action.upper() not in ACTIONS:
        raise BadRuleError(f"{action} is no action (ACCEPT, DROP, REJECT)")
    own = _services(options)
    if services is not None and own is not None:
        raise BadRuleError("a macro together with -p, -dport or -sport")
    directions = (OUT,) if direction == "OUT" else (IN,)
    said = services or own or EVERYTHING
    return Parsed(disabled, directions, ACTIONS[action.upper()], "", said, options, logged, direction == "FORWARD")


def _options(words: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name = word.lstrip("-")
        if not word.startswith("-") or name not in _VALUED:
            raise BadRuleError(f"{word} is no option")
        value = next(rest, None)
        if value is None:
            raise BadRuleError(f"{word} has no value")
        found[{"iface": "i", "proto": "p"}.get(name, name)] = value
    return found


def _services(options: dict[str, str]) -> tuple[Service, ...] | None:
    name = options.pop("p", "")
    sources, destinations = options.pop("sport", ""), options.pop("dport", "")
    kind = options.pop("icmp-type", "")
    if not name:
        if sources or destinations or kind:
            raise BadRuleError("ports or an ICMP type without -p")
        return None
    protocol = int(name) if name.isdecimal() else _PROTOCOLS.get(name.lower())
    if name.lower() in ("icmpv6", "ipv6-icmp"):
        raise BadRuleError("ICMPv6: no IPv6 passes an L2 port")
    if protocol is None or not 0 < protocol < 256:
        raise BadRuleError(f"{name} is no protocol")
    if protocol == ICMP:
        return (_icmp(kind or destinations),)
    if (sources or destinations) and protocol not in _WITH_PORTS:
        raise BadRuleError(f"protocol {name} has no ports")
    return tuple(
        Service(protocol, source, destination) for source in _spans(sources) for destination in _spans(destinations)
    )


def _icmp(kind: str) -> Service:
    if not kind:
        return Service(ICMP)
    number, code = _ICMP_TYPES.get(kind.lower(), (None, None))
    if number is None and kind.lower() != "any":
        low, _, high = kind.partition("/")
        if not low.isdecimal() or int(low) > 254 or (high and not high.isdecimal()):
            raise BadRuleError(f"{kind} is no ICMP type")
        number, code = int(low), int(high) if high else None
    if number is None:
        return Service(ICMP)
    return Service(ICMP, (number, number), ANY_PORT if code is None else (code, code))


def _spans(listed: str) -> list[Range]:
    if not listed:
        return [ANY_PORT]
    return [_span(each) for each in listed.split(",")]


def _span(text: str) -> Range:
    low, _, high = text.partition(":")
    ends = [_NAMES.get(each.lower(), -1) if not each.isdecimal() else int(each) for each in (low, high or low)]
    if not 0 <= ends[0] <= ends[1] <= 65535:
        raise BadRuleError(f"{text} is no port and no range")
    return ends[0], ends[1]
