"""Drift of what this node should look like, looked for when a netlink event says that something moved.

What the plan covers (membership, MTU, up, native VLAN, map entries, leftovers) shows as steps of a pass although
nothing was wished for; this module looks at the rest: the bridges' pinned MACs, foreign ports, and the ports the events
named (filters, flags). Reading is for the links in question only, never a dump of all.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from bascule.hostplan.names import bridge_mac
from bascule.hostplan.observed import Observed
from bascule.hostplan.steps import Step
from bascule.trunks.health import Fault
from bascule_agent.apply.host import Host
from bascule_agent.apply.steps import network_of
from bascule_agent.netlink import FdbEvent, LinkEvent, Overrun, Touched
from bascule_agent.netlink.monitor import Event
from bascule_agent.ports import Adopted

SETTLE_SECONDS = 0.05
KEEP_SECONDS = 60.0


class Drift:
    """Notes events, looks when asked, remembers what was repaired for a minute. `note` is called on the loop, `look`
    in the Worker."""

    def __init__(self, node: str, host: Host) -> None:
        self._node, self._host = node, host
        self._moved: set[int] = set()
        self._overrun = False
        self._repaired: dict[tuple[str, str], Fault] = {}

    def note(self, event: Event) -> bool:
        """Does this event ask for a pass? Entries that a bridge learns do not: nothing of ours depends on them."""
        match event:
            case LinkEvent(link=link):
                self._moved.add(link.index)
            case Touched(index=index):
                self._moved.add(index)
            case FdbEvent(entry=entry):
                if not entry.static:
                    return False
                self._moved.add(entry.index)
            case Overrun():
                self._overrun = True
        return True

    def by_steps(self, steps: Iterable[Step], owned: dict[str, str]) -> None:
        """Steps that a pass did although nothing was wished for: what they put right had drifted."""
        for step in steps:
            self._tell(network_of(step, owned), f"drift repaired: {step}", "")

    def take(self) -> set[int] | None:
        """The links that moved since the last call; None for all of them. To be called before the node is observed: an
        event that comes after is for the next look."""
        moved, self._moved = self._moved, set()
        everything, self._overrun = self._overrun, False
        return None if everything else moved

    def look(self, observed: Observed, moved: set[int] | None) -> list[int]:
        """Repair the pinned MACs and throw foreign ports out; the ports of ours that are wrong, for the next pass to
        bring up again."""
        manager = self._host.ports
        if manager is None or moved == set():
            return []
        known = manager.state()
        for link in observed.links:
            owner = link.owner
            if owner and owner.role == "b":
                self._pin(link.index, link.name, link.mac, owner.network, owner.vid)
            master = observed.by_index.get(link.master)
            if master and master.owner and master.owner.role == "b" and not owner and link.index not in known:
                self._throw_out(link.index, link.name, master.name, master.owner.network)
        wrong = [each for each in manager.adopt(moved) if each.problems]
        if wrong:
            time.sleep(SETTLE_SECONDS)  # a port that opens just now is locked a moment later
            wrong = [each for each in manager.adopt({w.port.ifindex for w in wrong}) if each.problems]
        for each in wrong:
            self._port(each, observed)
        return [each.port.ifindex for each in wrong]

    def faults(self) -> list[Fault]:
        """What was repaired in the last minute."""
        since = time.time_ns() - int(KEEP_SECONDS * 1e9)
        self._repaired = {key: fault for key, fault in self._repaired.items() if fault.since_ns > since}
        return list(self._repaired.values())

    def _pin(self, index: int, name: str, mac: str, network: str, vid: int) -> None:
        wanted = bridge_mac(self._node, network, vid)
        if mac.lower() != wanted:
            self._host.netlink.set(index, mac=wanted)
            self._tell(network, f"drift repaired: bridge {name} has its MAC {wanted} again", f"it was {mac}")

    def _throw_out(self, index: int, name: str, bridge: str, network: str) -> None:
        self._host.netlink.set(index, master=0)
        self._tell(network, f"drift repaired: foreign port {name} is out of bridge {bridge}", "it is no port of ours")

    def _port(self, each: Adopted, observed: Observed) -> None:
        bridge = observed.by_index.get(each.port.bridge)
        network = bridge.owner.network if bridge and bridge.owner else ""
        name = observed.name_of(each.port.ifindex)
        self._tell(network, f"drift repaired: port {name} of {each.port.mac}", "; ".join(each.problems))

    def _tell(self, network: str, message: str, evidence: str) -> None:
        fix = "find out who changed it"
        fault = Fault(network, "DriftRepaired", message, evidence, fix, time.time_ns(), repaired=True)
        self._repaired[network, message] = fault
