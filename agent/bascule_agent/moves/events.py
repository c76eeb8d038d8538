"""What the runtime tells the move trackers about ports: plain facts, seen by the port programs or done by the agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bascule.resources.pod import PodNic


@dataclass(frozen=True, slots=True)
class PortFrame:
    """The first frame of one kind (`rarp`, `garp`, `arp`, `ip`) with the VM's MAC at the target's port.

    `port` is the host side's name, `at_ns` CLOCK_REALTIME. Told once per kind; only the first of a kind is kept.
    """

    migration_uid: str
    kind: str
    at_ns: int
    port: str


@dataclass(frozen=True, slots=True)
class PortCounts:
    """Counts at the target's port since it was made, told as often as they are read; the newest holds.

    `held`: frames towards the guest that the held port dropped. `from_guest`: frames the guest itself sent after the
    port opened, which RARP is not (QEMU sends it): with 0 a silent guest is told from a broken path.
    """

    migration_uid: str
    held: int
    from_guest: int


@dataclass(frozen=True, slots=True)
class PortMoved:
    """The source let go of a port: when (CLOCK_REALTIME), and which static FDB and neighbour entries went with it."""

    migration_uid: str
    nic: PodNic
    port: str
    at_ns: int
    entries_removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DroppedAfter:
    """Frames that still came to the source's port after it let go, by reason, in all since then; the newest holds.

    `to_vm`: those that were sent to the VM's own MAC; `last_frame` describes the last of them in words, `last_ns` is
    its CLOCK_REALTIME.
    """

    migration_uid: str
    by_reason: Mapping[str, int]
    to_vm: int = 0
    last_frame: str = ""
    last_ns: int | None = None
