"""Read policy documents strictly: what does not hold what the API asks for becomes a Fault, never a guess.

Other views read a field of the wrong type as absent. In a policy an absent criterion matches everything, so a rule that
allows one net would allow all: a policy with any fault is refused as a whole by whoever enforces or evaluates it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from bascule.resources.policy_scope import has_global
from bascule.selectors import Node, SelectorError, parse

MAX_SELECTOR, MAX_NETS, MAX_PORTS, MAX_RULES = 1024, 256, 50, 1024
PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58, "sctp": 132, "udplite": 136}
WITH_PORTS = frozenset((6, 17, 132))
ICMP = frozenset((1, 58))
_RANGE = re.compile(r"([0-9]{1,5}):([0-9]{1,5})")
_NUMBER = re.compile(r"[0-9]{1,5}")
_PORT_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_CIDR = re.compile(r"[0-9A-Fa-f:.]+(/[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a document cannot be used: `id` is a finding of docs/findings.md, `value` what stands in `field`."""

    id: str
    field: str
    message: str
    value: Any
    fix: str


@dataclass(frozen=True, slots=True)
class Net:
    """A CIDR as whole numbers: IP version 4 or 6, first and last address."""

    version: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Ports:
    """Port ranges, ends included, and names that the destination's (or source's) endpoint resolves."""

    ranges: tuple[tuple[int, int], ...]
    names: tuple[str, ...]


@dataclass(slots=True)
class Reader:
    """Reads values and collects what is wrong with them in `faults`."""

    faults: list[Fault] = field(default_factory=list)

    def bad(self, identity: str, path: str, message: str, value: Any, fix: str) -> None:
        self.faults.append(Fault(identity, path, message, value, fix))

    def mapping(self, value: Any, path: str) -> Mapping[str, Any]:
        if value is not None and not isinstance(value, Mapping):
            self.bad("field-type", path, f"{path} must be an object", value, "Write an object.")
        return value if isinstance(value, Mapping) else {}

    def items(self, value: Any, path: str, most: int | None = None, what: str = "") -> tuple[Any, ...]:
        if value is not None and not isinstance(value, list):
            self.bad("field-type", path, f"{path} must be a list", value, "Write a list.")
        found = tuple(value) if isinstance(value, list) else ()
        if most is not None and len(found) > most:
            fix = f"Split it: at most {most} {what} each."
            self.bad("policy-size", path, f"{len(found)} {what}, the API takes {most}", len(found), fix)
            return ()
        return found

    def text(self, value: Any, path: str) -> str:
        if value is not None and not isinstance(value, str):
            self.bad("field-type", path, f"{path} must be a string", value, "Write a string.")
        return value if isinstance(value, str) else ""

    def flag(self, value: Any, path: str) -> bool:
        if value is not None and not isinstance(value, bool):
            self.bad("field-type", path, f"{path} must be true or false", value, "Write true or false.")
        return value is True

    def choice(self, value: Any, path: str, words: tuple[str, ...], identity: str) -> str:
        """One of `words`; "" and a fault when it is none of them."""
        if isinstance(value, str) and value in words:
            return value
        self.bad(identity, path, f"not {' or '.join(words)}", value, f"Write {', '.join(words)}.")
        return ""

    def order(self, value: Any, path: str, identity: str) -> float:
        """A finite number; infinity (last) when it is not given."""
        if value is None:
            return math.inf
        try:
            if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
                return float(value)
        except OverflowError:
            pass
        self.bad(identity, path, "not a finite number", value, "Write a number; lower comes first.")
        return math.inf

    def selector(self, value: Any, path: str, may_be_global: bool = False) -> Node | None:
        """A parsed selector; None when it is not given or empty, and, with a fault, when it does not parse."""
        text = self.text(value, path)
        if len(text) > MAX_SELECTOR:
            message = f"{len(text)} characters, the API takes {MAX_SELECTOR}"
            self.bad("policy-selector", path, message, text, "Split the policy, or label what it selects.")
            return None
        if not text:
            return None
        try:
            node = parse(text)
        except SelectorError as error:
            message = f"does not parse at character {error.position + 1}: {error.problem}"
            self.bad("policy-selector", path, message, text, error.fix[:1].upper() + error.fix[1:] + ".")
            return None
        if not may_be_global and has_global(node):
            message = "global() only stands in a rule's namespaceSelector"
            self.bad("policy-selector", path, message, text, "Use all(), or move it to namespaceSelector.")
            return None
        return node

    def protocol(self, value: Any, path: str) -> int | None:
        """A protocol number, None when it is not given."""
        if value is None:
            return None
        if isinstance(value, str) and value.lower() in PROTOCOLS:
            return PROTOCOLS[value.lower()]
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 255:
            return value
        fix = "Write TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite, or a number from 1 to 255."
        self.bad("policy-protocol", path, "not a protocol", value, fix)
        return None

    def nets(self, value: Any, path: str, identity: str = "policy-net", most: int | None = MAX_NETS) -> tuple[Net, ...]:
        """CIDRs, or single addresses; host bits are cut as Calico cuts them."""
        found = []
        for position, entry in enumerate(self.items(value, path, most, "nets")):
            net = as_net(entry)
            if net is None:
                self.bad(identity, f"{path}[{position}]", "not a CIDR", entry, "Write it as 10.110.0.0/24.")
            else:
                found.append(net)
        return tuple(found)

    def ports(self, value: Any, path: str) -> Ports | None:
        """Numbers, "lo:hi" ranges and names; None when not given or empty, which means any port."""
        ranges: list[tuple[int, int]] = []
        names: list[str] = []
        for position, entry in enumerate(self.items(value, path, MAX_PORTS, "ports")):
            found = as_port(entry)
            if found is None:
                fix = "Write a number from 1 to 65535, a range such as '8000:8080', or a port's name."
                self.bad("policy-port", f"{path}[{position}]", "not a port", entry, fix)
            elif isinstance(found, str):
                names.append(found)
            else:
                ranges.append(found)
        return Ports(tuple(ranges), tuple(names)) if ranges or names else None


def as_net(value: Any) -> Net | None:
    """A CIDR or an address as a Net; None when it is neither. Netmasks and zones are not accepted."""
    if not isinstance(value, str) or not _CIDR.fullmatch(value):
        return None
    try:
        network: IPv4Network | IPv6Network = ip_network(value, strict=False)
    except ValueError:
        return None
    return Net(network.version, int(network.network_address), int(network.broadcast_address))


def as_port(value: Any) -> tuple[int, int] | str | None:
    """A range of ports or a port's name; None when it is neither (Calico's numorstring)."""
    low = high = 0
    if isinstance(value, int) and not isinstance(value, bool):
        low = high = value
    elif isinstance(value, str) and (match := _RANGE.fullmatch(value)):
        low, high = int(match[1]), int(match[2])
    elif isinstance(value, str) and _NUMBER.fullmatch(value):
        low = high = int(value)
    elif isinstance(value, str) and not value.isdigit() and _PORT_NAME.fullmatch(value):
        return value
    return (low, high) if 1 <= low <= high <= 65535 else None
