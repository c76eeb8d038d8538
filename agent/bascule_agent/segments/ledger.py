"""The vlan_aware driver's ledger: which memberships of a trunk are ours, whether we made it a port, what it watches.

Lines live in the pinned map `trunks` of port.c, beside per_vlan's entries, because pins are what outlives the agent as
long as the node's links do. A line's `stub` has its top bit set, which no ifindex has. The line of VLAN 0 stands for
the trunk itself; watch_in reads bridge and native VLAN from it.
"""

from __future__ import annotations

from collections.abc import Iterator

from bascule.hostplan.vlan_aware_facts import Carried, Joined, Watched
from bascule_agent.segments.per_vlan import Maps

_LINE, _JOINED, _WATCHED, _NATIVE = 1 << 31, 1 << 30, 1 << 29, 0xFFF
_TRUNK = 0
"""The VLAN id of a trunk's own line."""


def is_line(stub: int) -> bool:
    """Is this value of the map a line of the ledger?"""
    return bool(stub & _LINE)


class Ledger:
    """The lines of one node."""

    def __init__(self, objects: Maps) -> None:
        self._objects = objects

    def _lines(self) -> Iterator[tuple[int, int, int, int]]:
        for key, value in zip(*self._objects.rows("trunks"), strict=True):
            if is_line(int(value["stub"])):
                yield int(key["ifindex"]), int(key["vid"]), int(value["stub"]), int(value["bridge"])

    def carried(self) -> frozenset[Carried]:
        """The memberships that are ours."""
        return frozenset(Carried(trunk, vid, bridge, True) for trunk, vid, _, bridge in self._lines() if vid != _TRUNK)

    def joined(self) -> frozenset[Joined]:
        """The trunks that we made ports."""
        return frozenset(Joined(trunk, bridge) for trunk, bits, bridge in self._trunks() if bits & _JOINED)

    def watched(self) -> frozenset[Watched]:
        """The trunks that watch_in knows what to do with."""
        return frozenset(
            Watched(trunk, bridge, bits & _NATIVE) for trunk, bits, bridge in self._trunks() if bits & _WATCHED
        )

    def _trunks(self) -> Iterator[tuple[int, int, int]]:
        return ((trunk, bits, bridge) for trunk, vid, bits, bridge in self._lines() if vid == _TRUNK)

    def add(self, trunk: int, bridge: int, vid: int) -> None:
        """The membership is ours."""
        self._objects.put("trunks", (trunk, vid), (_LINE, bridge))

    def has(self, trunk: int, vid: int) -> bool:
        """Is the membership ours?"""
        return any((row.trunk, row.vid) == (trunk, vid) for row in self.carried())

    def remove(self, trunk: int, vid: int) -> None:
        """The membership is not ours any more."""
        if self.has(trunk, vid):
            self._objects.remove("trunks", trunk, vid)

    def join(self, trunk: int, bridge: int) -> None:
        """We made the trunk a port of the bridge."""
        self._mark(trunk, bridge, _JOINED, 0)

    def leave(self, trunk: int, bridge: int) -> None:
        """It is no port of ours any more."""
        self._mark(trunk, bridge, 0, _JOINED)

    def watch(self, trunk: int, bridge: int, native: int) -> None:
        """Frames from the trunk are for this bridge, untagged ones for its VLAN `native`."""
        self._mark(trunk, bridge, _WATCHED | native, _NATIVE)

    def unwatch(self, trunk: int, bridge: int) -> None:
        """The trunk is not watched any more."""
        self._mark(trunk, bridge, 0, _WATCHED | _NATIVE)

    def _mark(self, trunk: int, bridge: int, on: int, off: int) -> None:
        bits = next((bits for index, bits, _ in self._trunks() if index == trunk), 0) & ~off | on
        if bits & (_JOINED | _WATCHED):
            self._objects.put("trunks", (trunk, _TRUNK), (bits | _LINE, bridge))
        else:
            self._objects.remove("trunks", trunk, _TRUNK)
