"""One libvirt rule for one NIC: the protocol element's criteria with the NIC's variables put in."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from bascule.policy import intervals
from bascule.policy.intervals import Range, Ranges
from bascule.translate.model import ANY_PORT, ANYONE, ICMP, TCP, UDP, Peers, Service

L3 = {"tcp": TCP, "udp": UDP, "sctp": 132, "icmp": ICMP, "igmp": 2, "esp": 50, "ah": 51, "udplite": 136, "all": None}
"""Protocol elements that libvirt enforces with connection state; None is any protocol."""
L2_IP = "ip"
_WITH_PORTS = (TCP, UDP, 132)
_CARRIED = {
    *("srcipaddr", "srcipmask", "srcipfrom", "srcipto", "dstipaddr", "dstipmask", "dstipfrom", "dstipto"),
    *("srcportstart", "srcportend", "dstportstart", "dstportend", "type", "code", "protocol", "match", "comment"),
    "state",
}
Variables = Mapping[str, tuple[str, ...]]


class CannotCarryError(Exception):
    """The rule cannot be carried; the text says why."""


@dataclass(frozen=True, slots=True)
class Criteria:
    """What one protocol element asks for. `stateful_only` rules are about replies, which pass anyway."""

    sources: Peers
    destinations: Peers
    services: tuple[Service, ...]
    stateful_only: bool = False


def criteria(tag: str, given: Mapping[str, str], variables: Variables) -> Criteria:
    """Read a protocol element of L3 or `ip`. Raises CannotCarryError."""
    unknown = sorted(set(given) - _CARRIED)
    if unknown:
        raise CannotCarryError(f"attribute {unknown[0]} of <{tag}> has no counterpart in a policy")
    states = {each.strip().upper() for each in given.get("state", "").split(",")} - {"", "NONE"}
    turned = given.get("match", "").lower() == "no"
    protocol = L3.get(tag) if tag != L2_IP else _protocol(given.get("protocol", ""))
    sources = _peers(given, "src", variables, turned)
    destinations = _peers(given, "dst", variables, turned)
    only = bool(states) and "NEW" not in states
    return Criteria(sources, destinations, _services(protocol, given, variables, turned), only)


def _protocol(value: str) -> int | None:
    if not value:
        return None
    number = L3.get(value.lower())
    if number is None and value.isdecimal() and 0 < int(value) < 256:
        number = int(value)
    if number is None:
        raise CannotCarryError(f"{value} is no protocol")
    return number


def _peers(given: Mapping[str, str], side: str, variables: Variables, turned: bool) -> Peers:
    found: Ranges = ()
    if f"{side}ipaddr" in given:
        mask = _one(given.get(f"{side}ipmask", "32"), variables)
        found = intervals.union(_net(each, mask) for each in values(given[f"{side}ipaddr"], variables))
    elif f"{side}ipfrom" in given:
        low = _address(_one(given[f"{side}ipfrom"], variables))
        high = _address(_one(given.get(f"{side}ipto", given[f"{side}ipfrom"]), variables))
        if low > high:
            raise CannotCarryError(f"{side}ipfrom is above {side}ipto")
        found = ((low, high),)
    else:
        return ANYONE
    return Peers(ranges=found, excluded=turned)


def values(text: str, variables: Variables) -> tuple[str, ...]:
    """The text, or what the variable in it stands for. Raises CannotCarryError for one without a value."""
    if not text.startswith("$"):
        return (text,)
    name, _, index = text[1:].partition("[")
    found = variables.get(name)
    if not found:
        raise CannotCarryError(f"variable {text} has no value: libvirt learns it on the host (trap 24)")
    if index and index.rstrip("]").isdecimal():
        at = int(index.rstrip("]"))
        if at >= len(found):
            raise CannotCarryError(f"variable {text} has only {len(found)} values")
        return (found[at],)
    return found


def _one(text: str, variables: Variables) -> str:
    found = values(text, variables)
    if len(found) != 1:
        raise CannotCarryError(f"variable {text} has {len(found)} values where one is needed")
    return found[0]


def _net(address: str, mask: str) -> Range:
    try:
        net = ipaddress.IPv4Network(f"{address}/{mask}", strict=False)
    except ValueError:
        raise CannotCarryError(f"{address}/{mask} is no IPv4 address and mask") from None
    return int(net.network_address), int(net.broadcast_address)


def _address(text: str) -> int:
    try:
        return int(ipaddress.IPv4Address(text))
    except ValueError:
        raise CannotCarryError(f"{text} is no IPv4 address") from None


def _services(
    protocol: int | None, given: Mapping[str, str], variables: Variables, turned: bool
) -> tuple[Service, ...]:
    if protocol == ICMP and "type" in given:
        kind = _number(_one(given["type"], variables), 254)
        code = _number(_one(given["code"], variables), 255) if "code" in given else None
        if turned:
            raise CannotCarryError("match='no' on an ICMP type")
        return (Service(ICMP, (kind, kind), ANY_PORT if code is None else (code, code)),)
    sources = _ports(given, "src", variables, turned)
    destinations = _ports(given, "dst", variables, turned)
    if (sources, destinations) != ((ANY_PORT,), (ANY_PORT,)) and protocol not in _WITH_PORTS:
        raise CannotCarryError("ports for a protocol that has none")
    return tuple(Service(protocol, source, destination) for source in sources for destination in destinations)


def _ports(given: Mapping[str, str], side: str, variables: Variables, turned: bool) -> tuple[Range, ...]:
    if f"{side}portstart" not in given:
        return (ANY_PORT,)
    starts = values(given[f"{side}portstart"], variables)
    ends = values(given.get(f"{side}portend", given[f"{side}portstart"]), variables)
    if len(starts) != len(ends):
        raise CannotCarryError(f"{side}portstart and {side}portend have different numbers of values")
    spans = [(_number(low, 65535), _number(high, 65535)) for low, high in zip(starts, ends, strict=True)]
    if any(low > high for low, high in spans):
        raise CannotCarryError(f"{side}portstart is above {side}portend")
    joined = intervals.union(spans)
    return intervals.complement(joined, 65535) if turned else joined


def _number(text: str, most: int) -> int:
    try:
        number = int(text, 0)
    except ValueError:
        number = -1
    if not 0 <= number <= most:
        raise CannotCarryError(f"{text} is no number from 0 to {most}")
    return number
