"""One VM on its way: what its acts share, and what an act gives back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bascule.errors import BasculeError
from bascule.migration.plan import NicPlan, VmPlan
from bascule.migration.run import Deed
from bascule.migration.run_fence import SILENCE_S
from bascule_console.services.collect.hypervisor import Hypervisor, SourceDisk
from bascule_console.services.journal import Journal
from bascule_console.services.run.ends import TargetDisks, Wire
from bascule_console.services.run.events import PROGRESS, Tell, Told
from bascule_console.services.run.loaded import Loaded
from bascule_console.services.run.watch import Watch, Whom
from bascule_console.services.trunk_calls import TrunkAgents
from bascule_kube import Cluster

Evidence = dict[str, Any]


class StepFailed(BasculeError):
    """A check that does not hold, a change or a proof that failed. `turn`: going on cannot help, only back."""

    def __init__(self, message: str, cause: str = "", fix: str = "", turn: bool = False) -> None:
        super().__init__(message, cause, fix)
        self.turn = turn


@dataclass(frozen=True)
class Limits:
    """Seconds that each wait may take; `proof` is for how long nobody may have answered before the target starts."""

    proof: float = SILENCE_S
    shut_down: float = 120.0
    silence: float = 30.0
    running: float = 180.0
    answer: float = 120.0
    gone: float = 90.0
    network: float = 30.0
    away: float = 20.0


@dataclass(frozen=True)
class Ends:
    """The far ends that every VM of a run shares."""

    cluster: Cluster
    agents: TrunkAgents
    journal: Journal
    source: Hypervisor
    disks: TargetDisks
    wire: Wire
    limits: Limits = Limits()


@dataclass
class Moving:
    """One VM: `uuid` is the source's, "" when the source has no such VM any more; `deeds` those of this attempt."""

    loaded: Loaded
    ends: Ends
    planned: VmPlan
    uuid: str
    tell: Tell
    around: Sequence[Whom] = ()
    deeds: list[Deed] = field(default_factory=list)
    watch: Watch | None = None
    proven_at: float = 0.0

    @property
    def namespace(self) -> str:
        """Where the target is made."""
        return self.loaded.namespace

    @property
    def name(self) -> str:
        """The target's name."""
        return self.planned.target

    @property
    def place(self) -> str:
        """`namespace/name` of the target."""
        return f"{self.namespace}/{self.name}"

    @property
    def nics(self) -> list[NicPlan]:
        """Its NICs with an address that is handed over."""
        return [nic for nic in self.planned.nics if nic.ip and nic.connected]

    @property
    def who(self) -> str:
        """Its addresses, for people."""
        return ", ".join(f"{nic.ip} ({nic.mac or 'any MAC'}, VLAN {nic.vlan})" for nic in self.nics) or "no address"

    def disk(self, number: int) -> str:
        """The name of its disk's DataVolume and claim (contracts.md section 9)."""
        return f"{self.name}-disk-{number}"

    async def source_disks(self) -> list[SourceDisk]:
        """The source's disks. Raises SourceFault."""
        return await self.ends.source.disks(self.uuid)

    async def listen(self) -> Watch:
        """The probes of this VM, begun when first asked for."""
        if self.watch is None:
            own = [Whom("moving", self.planned.name, nic.ip, nic.mac, nic.network, nic.vlan) for nic in self.nics]
            self.watch = Watch(self.ends.wire, [*own, *self.around], self.ends.limits.proof)
            await self.watch.start()
        return self.watch

    async def close(self) -> None:
        """End its probes."""
        if self.watch is not None:
            await self.watch.close()

    def progress(self, step: str, done: int, total: int, began: float) -> None:
        """Tell how far the bytes are."""
        rate = done / max(time.monotonic() - began, 1e-6)
        self.tell(Told(PROGRESS, self.name, step, "apply", "", True, done, total, rate))


class Act(Protocol):
    """One step made real. Each returns its evidence and raises StepFailed or another BasculeError; all are idempotent,
    because one that was begun and not recorded is done again."""

    async def check(self, vm: Moving) -> Evidence: ...
    async def apply(self, vm: Moving) -> Evidence: ...
    async def verify(self, vm: Moving) -> Evidence: ...
    async def revert(self, vm: Moving) -> Evidence: ...
