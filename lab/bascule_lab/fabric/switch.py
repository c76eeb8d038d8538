"""The switch's state, as user space sees it: ports, allowed VLANs, counters, stations (switch.c).

Blocking and not for two threads; `fabric.Fabric` calls it in the lab's netlink thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bascule_agent.bpf.objects import Layout, ensure
from bascule_lab.config import LabConfig
from bascule_lab.fabric.errors import FabricError
from bascule_lab.nodes import netns

SOURCE = Path(__file__).with_name("switch.c")
MAX_PORTS = 64
MAX_VLAN = 4094
_IFINDEX = np.dtype("<u4")
_MEMBER = np.dtype([("ifindex", "<u4"), ("vid", "<u4")])
_COUNT = np.dtype([("rx_packets", "<u8"), ("rx_bytes", "<u8"), ("tx_packets", "<u8"), ("tx_bytes", "<u8")])
_STATION = np.dtype([("mac", "u1", 6), ("vid", "<u2")])
_PLACE = np.dtype([("ifindex", "<u4"), ("unused", "<u4"), ("seen", "<u8")])
LAYOUT: Layout = {
    "sw_ports": (_IFINDEX, np.dtype([("native", "<u2"), ("trunk", "<u2")])),
    "sw_allowed": (_MEMBER, _COUNT),
    "sw_lost": (np.dtype([("ifindex", "<u4"), ("cause", "<u4")]), np.dtype("<u8")),
    "sw_stations": (_STATION, _PLACE),
    "sw_flood": (_IFINDEX, _IFINDEX),
}
# enum cause of switch.c
CAUSES = (
    "",
    "no such port",
    "tag on an access port",
    "not 802.1Q",
    "a tag below the tag",
    "VLAN not allowed on the port",
    "frame too short",
    "station is on the same port",
    "link-local protocol",
)


@dataclass(frozen=True)
class PortCount:
    """What one VLAN carried over one switch port since it was allowed there; bytes without the tag."""

    port: str
    vlan: int
    rx_packets: int
    rx_bytes: int
    tx_packets: int
    tx_bytes: int


@dataclass(frozen=True)
class PortDrop:
    """Frames that one switch port refused, by cause."""

    port: str
    cause: str
    frames: int


@dataclass(frozen=True)
class Station:
    """Where the switch has learned a MAC address."""

    mac: str
    vlan: int
    port: str


class Switch:
    """The switch of one lab: its pins, and the links of its namespace, by name. It has no state of its own.

    So any process can open the switch of a running lab and change it: that is how faults are planted.
    """

    def __init__(self, config: LabConfig) -> None:
        self._netns = config.fabric
        self._objects = ensure(SOURCE, config.bpffs / "fabric", layout=LAYOUT)

    def close(self) -> None:
        """Close the descriptors; the programs stay until their links go."""
        self._objects.close()

    def add_port(self, name: str, *, native: int, trunk: bool, vlans: tuple[int, ...]) -> None:
        """Make a link of the namespace a port and set it up. Raises NetlinkError, BpfError, FabricError.

        `native` is the VLAN of untagged frames (0: refuse them), on an access port the only one.
        """
        index = self._index(name)
        ports, _ = self._objects.rows("sw_ports")
        if len(ports) >= MAX_PORTS:
            raise FabricError(f"no room for switch port {name}", f"the switch has {MAX_PORTS} ports")
        self._objects.put("sw_ports", (index,), (native, int(trunk)))
        self._objects.put("sw_flood", (len(ports),), (index,))
        for vlan in vlans:
            self.allow(name, vlan)
        for direction, program in (("ingress", "sw_in"), ("egress", "sw_out")):
            netns.link_in(self._netns).attach_bpf(index, direction, self._objects.programs[program], program)
        netns.link_in(self._netns).set(index, up=True)

    def remove_port(self, name: str) -> None:
        """Undo `add_port`: forget the port, its VLANs and who was there; its link stays, to be deleted next."""
        index = self._index(name)
        self.set_port(name, False)
        for vlan in self.vlans(name):
            self.deny(name, vlan)
        keys, _ = self._objects.rows("sw_lost")
        for key in keys:
            if key["ifindex"] == index:
                self._objects.remove("sw_lost", *key.tolist())
        ports, _ = self._objects.rows("sw_ports")
        last = len(ports) - 1
        slots = [int(self._objects.get("sw_flood", slot)) for slot in range(len(ports))]
        # the last one moves up, because the program stops at the first empty slot
        self._objects.put("sw_flood", (slots.index(index),), (slots[last],))
        self._objects.put("sw_flood", (last,), (0,))
        self._objects.remove("sw_ports", index)

    def allow(self, name: str, vlan: int) -> None:
        """Carry a VLAN on a port; a VLAN that is there keeps its counters. Raises FabricError for no VLAN."""
        if not 1 <= vlan <= MAX_VLAN:
            raise FabricError(f"VLAN {vlan} on switch port {name}", f"a VLAN is 1 to {MAX_VLAN}")
        index = self._index(name)
        if self._objects.get("sw_allowed", index, vlan) is None:
            self._objects.put("sw_allowed", (index, vlan), (0, 0, 0, 0))

    def deny(self, name: str, vlan: int) -> None:
        """Take a VLAN off a port; its counters go. Raises FabricError when the port does not carry it."""
        if not self._objects.remove("sw_allowed", self._index(name), vlan):
            carried = ", ".join(str(known) for known in self.vlans(name)) or "none"
            raise FabricError(f"switch port {name} does not carry VLAN {vlan}", f"it carries {carried}")

    def vlans(self, name: str) -> tuple[int, ...]:
        """The VLANs that a port carries."""
        index = self._index(name)
        keys, _ = self._objects.rows("sw_allowed")
        return tuple(sorted(int(key["vid"]) for key in keys if key["ifindex"] == index))

    def set_port(self, name: str, up: bool) -> None:
        """Set a port up or down; the other end sees carrier come and go, the switch forgets who was there."""
        index = self._index(name)
        netns.link_in(self._netns).set(index, up=up)
        keys, places = self._objects.rows("sw_stations")
        for key, place in zip(keys, places, strict=True):
            if place["ifindex"] == index:
                self._objects.remove("sw_stations", *key.tolist())

    def counts(self) -> list[PortCount]:
        """Every port's counters by VLAN."""
        names = self._names()
        keys, values = self._objects.rows("sw_allowed")
        rows = (
            PortCount(names[int(key["ifindex"])], int(key["vid"]), *(int(number) for number in value.tolist()))
            for key, value in zip(keys, values, strict=True)
        )
        return sorted(rows, key=lambda row: (row.port, row.vlan))

    def drops(self) -> list[PortDrop]:
        """What the ports refused."""
        names = self._names()
        keys, values = self._objects.rows("sw_lost")
        return [
            PortDrop(names[int(key["ifindex"])], CAUSES[int(key["cause"])], int(value))
            for key, value in zip(keys, values, strict=True)
        ]

    def stations(self) -> list[Station]:
        """What the switch has learned."""
        names = self._names()
        keys, places = self._objects.rows("sw_stations")
        return [
            Station(bytes(key["mac"]).hex(":"), int(key["vid"]), names[int(place["ifindex"])])
            for key, place in zip(keys, places, strict=True)
        ]

    def _index(self, name: str) -> int:
        return netns.link_in(self._netns).link(name).index

    def _names(self) -> dict[int, str]:
        return {link.index: link.name for link in netns.link_in(self._netns).links()}
