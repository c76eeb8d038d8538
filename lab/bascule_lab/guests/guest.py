"""What every guest of the lab can do, real or stand-in: the interface that the KubeVirt stand-in drives."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from bascule_lab.guests.plumbing import PodPort
from bascule_lab.guests.spec import GuestSpec

Side = Literal["source", "target"]
HoldPoint = Literal["precopy", "postcopy"]


@dataclass(frozen=True)
class MoveEvent:
    """STOP, RESUME or MIGRATION (with `status`) at one side of a move; CLOCK_REALTIME ns by the hypervisor."""

    side: Side
    event: str
    status: str
    at_ns: int


@dataclass(frozen=True)
class MoveResult:
    """How a live migration went.

    Not `ok`: `failure` says why and `source_runs` whether the guest goes on at the source; if not, it is lost.
    `cancelled`: it was taken back before the switch to post-copy, as asked. `silent` is not empty when
    the migration completed and the guest does not answer on its serial port: then it is the guest or the hypervisor
    that failed, not the network. `downtime_ms` and `total_ms` are the hypervisor's own; what the network feels is
    `stop_to_resume_ms`. `memory` is what guests/fetched.py was told about the pages.
    """

    ok: bool
    mode: str
    events: tuple[MoveEvent, ...]
    downtime_ms: float | None
    total_ms: float | None
    failure: str = ""
    silent: str = ""
    source_runs: bool = False
    cancelled: bool = False
    memory: dict[str, float] = field(default_factory=dict)

    @property
    def stop_ns(self) -> int | None:
        """When the source stopped."""
        return next((e.at_ns for e in self.events if (e.side, e.event) == ("source", "STOP")), None)

    @property
    def resume_ns(self) -> int | None:
        """When the target began to run."""
        return next((e.at_ns for e in self.events if (e.side, e.event) == ("target", "RESUME")), None)

    @property
    def stop_to_resume_ms(self) -> float | None:
        """Milliseconds in which the guest ran nowhere; None when it never left."""
        if self.stop_ns is None or self.resume_ns is None:
            return None
        return (self.resume_ns - self.stop_ns) / 1e6

    def document(self) -> dict[str, Any]:
        """The annotation `bascule.dev/hypervisor-events` (contracts.md section 3)."""
        return {
            "events": [asdict(event) for event in self.events],
            "downtime_ms": self.downtime_ms,
            "total_ms": self.total_ms,
            "mode": self.mode,
            **self.memory,
        }


class MoveControl:
    """What a move asks while it runs; all answer at once. This one lets it run."""

    def cancelled(self) -> bool:
        """Whether it is to be taken back; asked until the switch to post-copy, after which nobody can."""
        return False

    def planned(self, at: HoldPoint) -> bool:
        """Whether it will be held there; asked once, before it starts."""
        return False

    def held(self, at: HoldPoint) -> bool:
        """Whether it is to stay there; asked again and again."""
        return False

    def switched(self) -> None:
        """The guest has stopped at the source and its state is on the way."""


UNCONTROLLED = MoveControl()


class Guest(Protocol):
    """One guest at one launcher pod. A move makes a second Guest at the target's pod and ends the first.

    `kind` is "qemu" or "stand-in". `pid` is 0 while nothing runs. `qmp_path` and `serial_path` are None for a
    stand-in.
    """

    kind: str
    spec: GuestSpec
    port: PodPort

    @property
    def pid(self) -> int: ...

    @property
    def running(self) -> bool: ...

    @property
    def qmp_path(self) -> Path | None: ...

    @property
    def serial_path(self) -> Path | None: ...

    async def start_clone(self) -> None:
        """Start and configure; returns when the guest has taken its address. Raises GuestError."""

    async def start_cold(self) -> None:
        """Boot from `spec.disks`; returns when it has begun to. Raises GuestError."""

    async def start_incoming(self, address: str) -> str:
        """Wait for a migration at the node's `address`; returns the uri for the source. Raises GuestError."""

    async def migrate_to(self, target: Guest, uri: str, control: MoveControl = UNCONTROLLED) -> MoveResult:
        """Move to `target`, which waits at `uri`. Never raises for a failed move: the result tells."""

    async def exec(self, command: str, timeout: float = 30.0) -> tuple[int, bytes]:
        """Run a shell command in the guest: exit code, stdout and stderr. Raises GuestError when it is silent."""

    async def answers(self, timeout: float = 5.0) -> bool:
        """Whether the guest is alive, asked without the network."""

    async def quit(self) -> None:
        """End it in order; no error when it is gone."""

    async def kill(self) -> None:
        """End it at once (SIGKILL), as a crash would; no error when it is gone."""
