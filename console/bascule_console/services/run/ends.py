"""The far ends of a run, as seams: the wire that is probed and the disks of the target. The source is
services/collect/hypervisor.py's Hypervisor.

Real ones: wire.py over the agents, services/disks.py over CDI. What is asked here is all that the run needs of them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Asked:
    """What to probe: kind `icmp` or `arp`; ARP is asked of everybody in the VLAN unless `mac` is given."""

    kind: str
    address: str
    network: str
    vlan: int
    interval_ms: float
    mac: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """One batch of probes from one place: arrays of equal length, rx 0 for not answered yet (a late answer repeats its
    seq). `answered_by` are the MACs that answered since the batch before, ARP only. CLOCK_REALTIME ns."""

    seq: tuple[int, ...]
    tx_ns: tuple[int, ...]
    rx_ns: tuple[int, ...]
    duplicates: int = 0
    answered_by: tuple[str, ...] = ()


class Wire(Protocol):
    """Places that probe: the gateway's side vantage points and the nodes."""

    async def places(self, avoid: str = "") -> list[str]:
        """Where probes may start, at most one vantage point and one node (other than `avoid`), the vantage
        point first. Raises UnreachableError when the cluster cannot be asked."""
        ...

    def probe(self, place: str, asked: Asked, seconds: float = 0.0) -> AsyncGenerator[Seen, None]:
        """Probe until closed, or for `seconds`. Raises UnreachableError, RefusedError."""
        ...


class TargetDisks(Protocol):
    """Disks that the cluster keeps (services/disks.py)."""

    async def prepare(self, namespace: str, name: str, size_bytes: int) -> str:
        """A disk of that size that takes an upload, made when it is not there; waits until it does."""
        ...

    async def upload(
        self,
        namespace: str,
        name: str,
        chunks: AsyncIterator[bytes],
        length: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Fill it, and wait until it was converted and verified. May be done again from the start."""
        ...

    async def size(self, namespace: str, name: str) -> int:
        """Bytes of a disk that is whole; 0 when there is none or it is not."""
        ...

    async def delete(self, namespace: str, name: str) -> None:
        """Take it away; one that is not there is no error."""
        ...
