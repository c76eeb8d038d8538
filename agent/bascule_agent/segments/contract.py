"""What every segment driver does, and the two drivers as one.

A node has one `Segments`: it carries out every step of a plan with the driver that knows it, and observes with both.
Which driver serves a Network is the plan's choice (bascule.hostplan), never the driver's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from bascule.hostplan import steps as s
from bascule.hostplan.observed import Observed
from bascule_agent.netlink import Netlink
from bascule_agent.segments import ledger
from bascule_agent.segments.per_vlan import Maps, PerVlan
from bascule_agent.segments.vlan_aware import VlanAware


class SegmentDriver(Protocol):
    """Blocking; called from one worker thread. Every step is harmless when it already holds."""

    def execute(self, step: s.Step) -> None:
        """Carry out one step. Raises SegmentError that names the step and says why; then nothing is half open."""

    def run(self, steps: tuple[s.Step, ...], done: Callable[[s.Step], None] = ...) -> None:
        """Carry out steps in order, calling `done` after each; the first failure ends it (SegmentError)."""

    def observe(self) -> Observed:
        """What is there now."""

    def admit(self, ifindex: int, bridge: int, vid: int) -> None:
        """Before a workload's link is brought up: give it its VLAN in this bridge, down. SegmentError when that fails;
        a link that is another bridge's port is left as it is."""


class Segments:
    """Both drivers behind one contract, in one node's namespace."""

    def __init__(self, netlink: Netlink, objects: Maps) -> None:
        self._netlink = netlink
        self._per_vlan = PerVlan(netlink, objects)
        self._vlan_aware = VlanAware(netlink, objects)

    def execute(self, step: s.Step) -> None:
        """Carry out one step. Raises SegmentError that names the step and says why."""
        driver = self._vlan_aware if self._vlan_aware.knows(step) else self._per_vlan
        driver.execute(step)

    def run(self, steps: tuple[s.Step, ...], done: Callable[[s.Step], None] = lambda _: None) -> None:
        """Carry out steps in order, calling `done` after each; the first failure ends it (SegmentError)."""
        for step in steps:
            self.execute(step)
            done(step)

    def observe(self) -> Observed:
        """What is there now, of both drivers: one dump of the links for both, about 30 µs a link."""
        links = self._netlink.links()
        seen = self._per_vlan.observe(links)
        # the ledger lives in the map of per_vlan's entries, with values that no entry can have
        own = frozenset(entry for entry in seen.demux if not ledger.is_line(entry[2]))
        return self._vlan_aware.complete(replace(seen, demux=own), links)

    def admit(self, ifindex: int, bridge: int, vid: int) -> None:
        """Before a workload's link is brought up: give it its VLAN in this bridge, down (SegmentError)."""
        self._vlan_aware.admit(ifindex, bridge, vid)
