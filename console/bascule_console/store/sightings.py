"""Which address was seen with which MAC on which VLAN, as flow batches tell: the wire's own word about addresses.

A record counts when its source really was on the wire here: frames a guest sent and the port let through, and frames
that arrived at a port. Routed frames carry the router's MAC with a far address; a reader sorts them out by subnet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bascule.flows.store import Batch

EGRESS, ALLOW = 1, 1
LIMIT = 50_000


@dataclass(frozen=True, slots=True)
class Sighting:
    """Last time (CLOCK_REALTIME ns) that `mac` was seen with an address, and at which node's port."""

    mac: str
    node: str
    at_ns: int


class Sightings:
    """(Network, VLAN, address) → MAC → its last sighting; bounded, the oldest address goes first."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int, str], dict[str, Sighting]] = {}
        self.version = 0

    def of(self, network: str, vlan: int, ip: str) -> list[Sighting]:
        """Who was seen with this address, the newest first."""
        return sorted(self._seen.get((network, vlan, ip), {}).values(), key=lambda s: -s.at_ns)

    def places(self) -> Iterator[tuple[str, int, str]]:
        """Every (Network, VLAN, address) that was seen."""
        return iter(self._seen)

    def add(self, batch: Batch) -> None:
        """Take in one drain. `version` grows only when a pair of address and MAC is new: times alone are no news."""
        if not len(batch.records):
            return
        segments = {port.ifindex: (port.network, port.vlan) for port in batch.ports if port.network}
        for ifindex, mac, ip, at_ns in _sources(batch.records):
            segment = segments.get(ifindex)
            if segment is not None and ip != "0.0.0.0":
                self._note((*segment, ip), Sighting(mac, batch.node, at_ns))

    def _note(self, place: tuple[str, int, str], sighting: Sighting) -> None:
        macs = self._seen.pop(place, {})
        old = macs.get(sighting.mac)
        if old is None:
            self.version += 1
        if old is None or old.at_ns <= sighting.at_ns:
            macs[sighting.mac] = sighting
        self._seen[place] = macs  # last in the dict: the first is the one that was silent longest
        while len(self._seen) > LIMIT:
            del self._seen[next(iter(self._seen))]


def _sources(records: Any) -> Iterator[tuple[int, str, str, int]]:
    """(ifindex, source MAC, source address, last seen) of each distinct source in RECORD-typed `records`."""
    import numpy as np

    from bascule.flows.rows import ETH_ARP, ETH_IPV4, ip_text, mac_text

    ethertype = records["ethertype"]
    addressed = (ethertype == ETH_IPV4) | (ethertype == ETH_ARP)
    real = (records["direction"] != EGRESS) | (records["verdict"] == ALLOW)
    chosen = records[addressed & real]
    if not len(chosen):
        return
    packed = np.zeros(len(chosen), [("ifindex", "<u4"), ("mac", "u1", 6), ("ip", "u1", 4)])
    for field, name in (("ifindex", "ifindex"), ("mac", "src_mac"), ("ip", "src_ip")):
        packed[field] = chosen[name]
    keys, inverse = np.unique(packed.view("V14"), return_inverse=True)
    last = np.zeros(len(keys), np.uint64)
    np.maximum.at(last, inverse, chosen["last"])
    unpacked = keys.view(packed.dtype)
    for row, at_ns in zip(unpacked, last.tolist(), strict=True):
        yield int(row["ifindex"]), mac_text(row["mac"].tobytes()), ip_text(row["ip"].tobytes()), int(at_ns)
