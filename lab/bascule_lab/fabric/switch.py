"""The switch's state, as user space sees it: ports, allowed VLANs, counters, stations (switch.c).

Blocking and not for two threads; `fabric.Fabric` calls it in the lab's netlink thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bascule_agent.bpf.objects import Layout, ensure
from bascule_lab.config import LabConfig
from bascule_lab.nodes import netns

SOURCE = Path(__file__).with_name("switch.c")
MAX_PORTS = 64
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
    """The loaded switch of one lab; ports are links of its namespace, named."""

    def __init__(self, config: LabConfig) -> None:
        self._netns = config.fabric
        self._objects = ensure(SOURCE, config.bpffs / "fabric", layout=LAYOUT)
        self._index: dict[str, int] = {}

    def close(self) -> None:
        """Close the descriptors; the programs stay until their links go."""
        self._objects.close()

    def add_port(self, name: str, *, native: int, trunk: bool, vlans: tuple[int, ...]) -> None:
        """Make a link of the namespace a port and set it up. Raises NetlinkError, BpfError.

        `native` is the VLAN of untagged frames (0: refuse them), on an access port the only one.
        """
        link = netns.link_in(self._netns).link(name)
        slot = len(self._index)
        if slot >= MAX_PORTS:
            raise ValueError(f"the switch has {MAX_PORTS} ports")
        self._index[name] = link.index
        self._objects.put("sw_ports", (link.index,), (native, int(trunk)))
        self._objects.put("sw_flood", (slot,), (link.index,))
        for vlan in vlans:
            self.allow(name, vlan)
        for direction, program in (("ingress", "sw_in"), ("egress", "sw_out")):
            netns.link_in(self._netns).attach_bpf(link.index, direction, self._objects.programs[program], program)
        netns.link_in(self._netns).set(link.index, up=True)

    def allow(self, name: str, vlan: int) -> None:
        """Carry a VLAN on a port; a VLAN that is there keeps its counters."""
        if self._objects.get("sw_allowed", self._index[name], vlan) is None:
            self._objects.put("sw_allowed", (self._index[name], vlan), (0, 0, 0, 0))

    def deny(self, name: str, vlan: int) -> None:
        """Take a VLAN off a port; its counters go."""
        self._objects.remove("sw_allowed", self._index[name], vlan)

    def vlans(self, name: str) -> tuple[int, ...]:
        """The VLANs that a port carries."""
        keys, _ = self._objects.rows("sw_allowed")
        return tuple(sorted(int(key["vid"]) for key in keys if key["ifindex"] == self._index[name]))

    def forget(self, name: str) -> None:
        """Forget the stations behind a port, as a switch does when a link goes down."""
        keys, places = self._objects.rows("sw_stations")
        for key, place in zip(keys, places, strict=True):
            if place["ifindex"] == self._index[name]:
                self._objects.remove("sw_stations", *key.tolist())

    def counts(self) -> list[PortCount]:
        """Every port's counters by VLAN."""
        keys, values = self._objects.rows("sw_allowed")
        rows = (
            PortCount(self._name(int(key["ifindex"])), int(key["vid"]), *(int(number) for number in value.tolist()))
            for key, value in zip(keys, values, strict=True)
        )
        return sorted(rows, key=lambda row: (row.port, row.vlan))

    def drops(self) -> list[PortDrop]:
        """What the ports refused."""
        keys, values = self._objects.rows("sw_lost")
        return [
            PortDrop(self._name(int(key["ifindex"])), CAUSES[int(key["cause"])], int(value))
            for key, value in zip(keys, values, strict=True)
        ]

    def stations(self) -> list[Station]:
        """What the switch has learned."""
        keys, places = self._objects.rows("sw_stations")
        return [
            Station(bytes(key["mac"]).hex(":"), int(key["vid"]), self._name(int(place["ifindex"])))
            for key, place in zip(keys, places, strict=True)
        ]

    def _name(self, index: int) -> str:
        return next((name for name, known in self._index.items() if known == index), f"link {index}")
