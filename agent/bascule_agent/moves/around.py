"""What a move needs of the agent around it, as functions that a test can give by hand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from bascule.resources.pod import PodNic
from bascule_agent.moves.clock import Clock
from bascule_agent.moves.dial import Dial

if TYPE_CHECKING:
    from bascule_agent.moves.move import Move


class Fabric(Protocol):
    """The watch on the trunk (moves/fabric.py)."""

    link: str

    def announce(self) -> int | None: ...
    def told(self, vlan: int, first_frame_ns: int | None) -> dict[str, Any]: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Control:
    """A VM on the same segment that is not being moved."""

    vm: str
    address: str


async def _no_nodes() -> Sequence[Mapping[str, Any]]:
    return ()


def _no_fabric(nic: PodNic) -> Fabric | None:
    del nic
    return None


async def _no_view(mac: str, network: str, vlan: int) -> dict[str, Any]:
    del mac, network, vlan
    return {}


@dataclass(frozen=True, slots=True)
class Extras:
    """The parts of an agent that a bare tracker does without: `nodes` gives every Node document, `fabric` a watch on
    the trunk that leads to a NIC (blocking; None when there is none), `view` where this node's bridge has a MAC."""

    nodes: Callable[[], Awaitable[Sequence[Mapping[str, Any]]]] = _no_nodes
    fabric: Callable[[PodNic], Fabric | None] = _no_fabric
    view: Callable[[str, str, int], Awaitable[dict[str, Any]]] = _no_view


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a move needs of the agent around it. `addresses(namespace, vm)` gives NIC → (IP, MAC) as the VMI says,
    `control(namespace, vm, nad)` somebody else on that attachment."""

    dial: Dial
    clock: Clock
    vantage_points: Callable[[], Mapping[str, str]]
    read_node: Callable[[str], Awaitable[Mapping[str, Any]]]
    addresses: Callable[[str, str], Mapping[str, tuple[str, str]]]
    changed: Callable[[Move], None]
    control: Callable[[str, str, str], Control | None]
    extras: Extras = field(default_factory=Extras)
