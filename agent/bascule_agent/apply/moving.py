"""What ports tell about moves, in the move trackers' words: events from the ring, counts from the flow records.

The ring says that something happened at once; the records say the rest exactly (which frame of which kind came first,
how many were held or came too late), half a second later.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bascule.flows.reasons import Reason
from bascule.flows.record import ALLOW, DROP, EGRESS, INGRESS
from bascule_agent.apply.ports import Known, Ports
from bascule_agent.flows.hub import Drain
from bascule_agent.moves import DroppedAfter, MoveTracker, PortCounts, PortFrame, PortMoved, SourceTracker

ETH_IPV4, ETH_ARP, ETH_RARP = 0x0800, 0x0806, 0x8035
LIMIT = 256


@dataclass
class Arrival:
    """A target's port: frames it held, frames its guest sent."""

    held: int = 0
    from_guest: int = 0


@dataclass
class Departure:
    """A source's port after it was closed."""

    migration_uid: str
    at_ns: int
    port: str = ""
    mac: str = ""
    late: Counter[str] = field(default_factory=Counter)
    to_vm: int = 0
    told: tuple[str, int | None] = ("", None)


class MoveFeed:
    """Owned by the event loop. `migration_of(namespace, vm)` gives the VMIM's uid, "" for none."""

    def __init__(
        self,
        ports: Ports,
        tracker: MoveTracker,
        source: SourceTracker,
        migration_of: Callable[[str, str], str],
        spoken: Callable[[str], None] = lambda uid: None,
    ) -> None:
        """`spoken(uid)` hears that a migration's VM has sent its first frame here."""
        self._spoken = spoken
        self._ports, self._tracker, self._source, self._migration_of = ports, tracker, source, migration_of
        self._arrivals: OrderedDict[tuple[str, int], Arrival] = OrderedDict()
        self._departures: OrderedDict[int, Departure] = OrderedDict()

    def opened(self, port: Known, ethertype: int, at_ns: int) -> None:
        """The program opened a held port. An ARP frame is left to the records: they tell a gratuitous one."""
        if port.nic.migration_uid:
            self._spoken(port.nic.migration_uid)
            self._tracker.port_live(port.nic.migration_uid, port.nic.interface)
        kind = {ETH_RARP: "rarp", ETH_IPV4: "ip"}.get(ethertype)
        if kind and port.nic.migration_uid:
            self._tracker.port_opened(PortFrame(port.nic.migration_uid, kind, at_ns, port.link))

    def moved(self, port: Known, at_ns: int, removed: tuple[str, ...]) -> str:
        """The program closed a live port: the VM speaks elsewhere. Returns the migration's uid, "" when none is known
        (then another machine uses the VM's MAC)."""
        uid = self._migration_of(port.nic.namespace, port.nic.vm)
        if uid:
            _bounded(self._departures, port.ifindex, Departure(uid, at_ns, port.link, port.nic.mac))
            self._source.port_moved(PortMoved(uid, port.nic, port.link, at_ns, removed))
        return uid

    def returned(self, port: Known) -> None:
        """The VM speaks here again: what came late is not late any more."""
        self._departures.pop(port.ifindex, None)

    def link_gone(self, ifindex: int, at_ns: int) -> None:
        """A link went away: the endpoint of a VM that has moved, when it is one of those."""
        departure = self._departures.get(ifindex)
        if departure is not None:
            self._source.port_closed(departure.migration_uid, departure.port, at_ns)

    def drained(self, drain: Drain) -> None:
        """One drain's records."""
        for uid in self._tracker.open_moves:
            for port in self._ports.of_migration(uid):
                self._arrived(uid, port, drain.records[drain.records["ifindex"] == port.ifindex])
        for ifindex, departure in self._departures.items():
            self._late(departure, drain.records[drain.records["ifindex"] == ifindex])

    def _arrived(self, uid: str, port: Known, records: NDArray[Any]) -> None:
        key = (uid, port.ifindex)
        arrival = self._arrivals.get(key) or _bounded(self._arrivals, key, Arrival())
        spoken = records[(records["direction"] == EGRESS) & (records["verdict"] == ALLOW)]
        arrival.held += int(records["packets"][records["reason"] == Reason.HELD].sum())
        arrival.from_guest += int(spoken["packets"][spoken["ethertype"] != ETH_RARP].sum())
        for kind, chosen in kinds(spoken).items():
            self._tracker.port_opened(PortFrame(uid, kind, int(chosen["first"].min()), port.link))
        self._tracker.port_counts(PortCounts(uid, arrival.held, arrival.from_guest))

    def _late(self, departure: Departure, records: NDArray[Any]) -> None:
        late = records[(records["direction"] == INGRESS) & (records["verdict"] == DROP)]
        late = late[late["last"] >= departure.at_ns]
        if len(late):
            for reason in np.unique(late["reason"]):
                frames = int(late["packets"][late["reason"] == reason].sum())
                departure.late[Reason(int(reason)).label] += frames
            # What is broadcast comes to every port; what is sent to the VM itself was sent to the wrong place.
            mine = late[
                (late["dst_mac"] == np.frombuffer(bytes.fromhex(departure.mac.replace(":", "")), "u1")).all(axis=1)
            ]
            if len(mine):
                departure.to_vm += int(mine["packets"].sum())
                last = mine[int(mine["last"].argmax())]
                departure.told = _frame(last), int(last["last"])
            told = DroppedAfter(departure.migration_uid, dict(departure.late), departure.to_vm, *departure.told)
            self._source.dropped(told)


def _frame(record: Any) -> str:
    """A record's frame in words: who to whom, and what."""
    what = {ETH_IPV4: f"IP protocol {int(record['proto'])}", ETH_ARP: "ARP", ETH_RARP: "RARP"}
    addresses = [".".join(str(int(byte)) for byte in record[key]) for key in ("src_ip", "dst_ip")]
    macs = [bytes(record[key]).hex(":") for key in ("src_mac", "dst_mac")]
    kind = what.get(int(record["ethertype"]), f"EtherType {int(record['ethertype']):04x}")
    return f"{kind} {macs[0]} {addresses[0]} > {macs[1]} {addresses[1]}"


def kinds(records: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Records by kind of announcement; a gratuitous ARP asks for the sender's own address. Empty kinds are left out."""
    ethertype = records["ethertype"]
    own = (records["src_ip"] == records["dst_ip"]).all(axis=1)
    chosen = {
        "rarp": ethertype == ETH_RARP,
        "garp": (ethertype == ETH_ARP) & own,
        "arp": (ethertype == ETH_ARP) & ~own,
        "ip": ethertype == ETH_IPV4,
    }
    return {kind: records[mask] for kind, mask in chosen.items() if mask.any()}


def _bounded(table: OrderedDict[Any, Any], key: Any, value: Any) -> Any:
    table[key] = value
    while len(table) > LIMIT:
        table.popitem(last=False)
    return value
