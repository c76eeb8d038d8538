"""Drift beside a data plane of another owner (mode observe): the trunk and its bridge against how they were at first.

Only looked at, never touched. What is compared is what an owner sets once: membership, MTU, MAC, up, the flags of the
trunk's bridge port, the programs on both. Workload ports come and go by themselves and are not.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bascule.hostplan.observed import Observed
from bascule.trunks.health import Fault
from bascule_agent.netlink import Netlink

FLAGS = ("learning", "locked", "isolated", "unicast_flood", "mcast_flood", "bcast_flood", "neigh_suppress", "mode")


@dataclass(frozen=True)
class Shape:
    """One link: its facts in words, by name."""

    facts: Mapping[str, str] = field(default_factory=dict)


def shapes(netlink: Netlink, observed: Observed, trunks: Iterable[str]) -> dict[str, Shape]:
    """The trunks and the bridges they are in."""
    names = {name for name in trunks if name in observed.by_name}
    names |= {observed.name_of(observed.by_name[name].master) for name in names if observed.by_name[name].master}
    return {name: _shape(netlink, observed, name) for name in sorted(names)}


def _shape(netlink: Netlink, observed: Observed, name: str) -> Shape:
    link = observed.by_name.get(name)
    if link is None:
        return Shape()
    facts = {
        "bridge": observed.name_of(link.master) if link.master else "none",
        "MTU": str(link.mtu),
        "MAC": link.mac,
        "state": "up" if link.up else "down",
    }
    for side in ("ingress", "egress"):
        found = sorted(f"{each.name or 'program'} {each.prog_id}" for each in netlink.filters(link.index, side))
        facts[f"programs on {side}"] = ", ".join(found) or "none"
    if link.master:
        flags = netlink.brport(link.index)
        facts |= {f"port flag {flag}": str(flags[flag]) for flag in FLAGS if flag in flags}
    return Shape(facts)


def differences(before: Mapping[str, Shape], now: Mapping[str, Shape]) -> list[tuple[str, str]]:
    """(link, what changed in words)."""
    found = []
    for name, shape in before.items():
        seen = now.get(name, Shape()).facts
        if not seen:
            found.append((name, f"link {name} is gone"))
            continue
        for fact, value in shape.facts.items():
            if seen.get(fact, "none") != value:
                found.append((name, f"{fact} of {name} is {seen.get(fact, 'none')}, was {value}"))
    return found


class Baseline:
    """The shapes as they were when the wish last changed, per trunk's Network."""

    def __init__(self, netlink: Netlink) -> None:
        self._netlink = netlink
        self._before: dict[str, Shape] = {}
        self._trunks: dict[str, str] = {}
        self._since: dict[str, int] = {}

    def look(self, observed: Observed, trunks: Mapping[str, str]) -> list[Fault]:
        """Faults now. `trunks`: Network → its trunk here; another wish takes a new baseline."""
        if dict(trunks) != self._trunks:
            self._trunks, self._before = dict(trunks), shapes(self._netlink, observed, trunks.values())
            return []
        now = {name: _shape(self._netlink, observed, name) for name in self._before}
        found = differences(self._before, now)
        self._since = {what: self._since.get(what, time.time_ns()) for _, what in found}
        return [
            Fault(network, "Drift", what, f"link {name}", "find out who changed it", self._since[what])
            for name, what in found
            for network in sorted(self._trunks)
        ]
