"""What a port should be, what it is, and why one could not be made."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Any

from bascule.errors import BasculeError
from bascule_agent.bpf.layout import PortState


class PortError(BasculeError):
    """A port could not be brought up, and stays down."""


@dataclass(frozen=True)
class PortSpec:
    """A workload NIC to serve: the host side's ifindex, the NIC's MAC (colons) and IPv4 address, its VLAN.

    `held`: let nothing to the guest until it sends its first frame (the target of a move). `slot`: where its policy is
    told (bascule_agent.policy.maps); 0 asks no policy.
    """

    ifindex: int
    mac: str
    ip: str
    vlan: int
    network: str
    held: bool = False
    slot: int = 0


@dataclass(frozen=True)
class Port:
    """A port as the kernel has it. `opened_ns`, `moved_ns`: CLOCK_MONOTONIC, 0 for never; `bridge` an ifindex."""

    ifindex: int
    mac: str
    ip: str
    vlan: int
    bridge: int
    state: PortState
    opened_ns: int
    moved_ns: int
    slot: int = 0


@dataclass(frozen=True)
class Adopted:
    """A port found in the maps after a restart; `problems` in words, empty when all is as it should be."""

    port: Port
    problems: tuple[str, ...]


def mac_bytes(mac: str) -> bytes:
    """`52:54:00:…` as 6 bytes; PortError for anything else."""
    if not re.fullmatch("[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", mac):
        raise PortError(f"{mac!r} is not a MAC address")
    return bytes.fromhex(mac.replace(":", ""))


def ip_bytes(ip: str) -> bytes:
    """A dotted IPv4 address as 4 bytes; PortError for anything else."""
    try:
        return ipaddress.IPv4Address(ip).packed
    except ValueError:
        raise PortError(f"{ip!r} is not an IPv4 address") from None


def port_from(ifindex: int, row: Any) -> Port:
    """A row of the `ports` map as a Port."""
    return Port(
        ifindex=ifindex,
        mac=bytes(row["mac"]).hex(":"),
        ip=str(ipaddress.IPv4Address(bytes(row["ip"]))),
        vlan=int(row["vlan"]),
        bridge=int(row["bridge"]),
        state=PortState(int(row["state"])),
        opened_ns=int(row["opened"]),
        moved_ns=int(row["moved"]),
        slot=int(row["slot"]),
    )


def reason(error: BasculeError) -> str:
    """What went wrong below, as the cause of an error above it."""
    return f"{error.message} ({error.cause})" if error.cause else error.message
