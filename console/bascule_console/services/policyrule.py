"""One rule as one line that people write and read: `in Allow tcp from app == 'web' ports 443,8000:8080`. Pure.

    in|out ACTION [PROTOCOL] [from|to PEER] [ports PORTS]

PROTOCOL is tcp, udp, sctp, icmp, icmp/TYPE[/CODE] or a number; PEER is `nets CIDR,…` or a selector, either followed by
`namespaces SELECTOR`; PORTS are those of the destination. `in` rules name their source, `out` rules their destination.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bascule.resources.policy import EGRESS, INGRESS
from bascule.resources.policy_rule import ACTIONS
from bascule.resources.read import dig, items, mapping, text

Obj = dict[str, Any]
_LINE = re.compile(
    r"(?P<way>in|out)\s+(?P<action>[A-Za-z]+)"
    r"(?:\s+(?P<proto>tcp|udp|sctp|udplite|icmp|icmpv6|\d+)(?:/(?P<type>\d+)(?:/(?P<code>\d+))?)?(?=\s|$))?"
    r"(?:\s+(?P<side>from|to)\s+(?P<peer>.+?))?(?:\s+ports\s+(?P<ports>[A-Za-z0-9_.:,-]+))?\s*",
    re.IGNORECASE,
)
_NAMES = {"tcp": "TCP", "udp": "UDP", "sctp": "SCTP", "udplite": "UDPLite", "icmp": "ICMP", "icmpv6": "ICMPv6"}
_SHOWN = {"action", "protocol", "icmp", "source", "destination", "metadata"}
HOW = "in|out ACTION [tcp|udp|icmp|…] [from|to SELECTOR or nets CIDR,…] [ports 443,8000:8080]"


class RuleError(ValueError):
    """A line that is no rule."""


def line_of(raw: Mapping[str, Any], direction: str) -> str:
    """A rule's document as a line. What the grammar cannot say is named in brackets at the end; such a line does not
    parse, so it cannot be lost silently."""
    way, side, here = ("in", "from", "source") if direction == INGRESS else ("out", "to", "destination")
    words = [way, text(raw.get("action")) or "?"]
    protocol = raw.get("protocol")
    if protocol is not None:
        icmp = mapping(raw.get("icmp"))
        numbers = [str(icmp[name]) for name in ("type", "code") if icmp.get(name) is not None]
        words.append("/".join([str(protocol).lower(), *numbers]))
    peer = mapping(raw.get(here))
    nets, selector, spaces = items(peer.get("nets")), text(peer.get("selector")), text(peer.get("namespaceSelector"))
    if nets or selector or spaces:
        words += [side, f"nets {','.join(map(str, nets))}" if nets else selector or "all()"]
        words += [f"namespaces {spaces}"] if spaces else []
    ports = items(dig(raw, "destination", "ports"))
    if ports:
        words += ["ports", ",".join(map(str, ports))]
    beyond = _beyond(raw, here)
    return " ".join(words) + (f" [and {', '.join(beyond)}]" if beyond else "")


def _beyond(raw: Mapping[str, Any], here: str) -> list[str]:
    known: dict[str, set[str]] = {"source": set(), "destination": {"ports"}}
    known[here] |= {"nets", "selector", "namespaceSelector"}
    found = [name for name, value in raw.items() if name not in _SHOWN and value is not None]
    for side, names in known.items():
        found += [f"{side}.{name}" for name, value in mapping(raw.get(side)).items() if name not in names and value]
    both = mapping(raw.get(here))
    return found + ([f"{here}.selector"] if both.get("nets") and both.get("selector") else [])


def parse_line(line: str) -> tuple[str, Obj]:
    """(Ingress or Egress, the rule's document). Raises RuleError saying what is wrong with the line."""
    match = _LINE.fullmatch(line.strip())
    if match is None:
        raise RuleError(f"no rule; write {HOW}")
    direction = INGRESS if match["way"].lower() == "in" else EGRESS
    action = next((word for word in ACTIONS if word.lower() == match["action"].lower()), "")
    if not action:
        raise RuleError(f"{match['action']} is no action; one of {', '.join(ACTIONS)}")
    wanted = "from" if direction == INGRESS else "to"
    if match["side"] and match["side"].lower() != wanted:
        raise RuleError(f"an {match['way'].lower()} rule names its peer with {wanted}")
    rule: Obj = {"action": action}
    if match["proto"]:
        rule["protocol"] = int(match["proto"]) if match["proto"].isdecimal() else _NAMES[match["proto"].lower()]
    if match["type"]:
        rule["icmp"] = {"type": int(match["type"])} | ({"code": int(match["code"])} if match["code"] else {})
    sides: dict[str, Obj] = {"source": {}, "destination": {}}
    if match["peer"]:
        sides["source" if direction == INGRESS else "destination"] |= _peer(match["peer"])
    if match["ports"]:
        sides["destination"]["ports"] = [_port(each) for each in match["ports"].split(",") if each]
    return direction, rule | {name: side for name, side in sides.items() if side}


def _peer(words: str) -> Obj:
    first, split, spaces = words.partition(" namespaces ")
    who = first.strip()
    found: Obj = {}
    if who.lower().startswith("nets "):
        found["nets"] = [net for net in re.split(r"[,\s]+", who[5:].strip()) if net]
    elif who and not (split and who == "all()"):
        found["selector"] = who
    return found | ({"namespaceSelector": spaces.strip()} if split else {})


def _port(word: str) -> int | str:
    return int(word) if word.isdecimal() else word
