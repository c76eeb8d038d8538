"""How many migrations may run at once, and what comes next in a drain. Pure.

KubeVirt queues what is over its limits by itself, but a queued VMIM has a target pod that holds memory; so a drain
creates only what may run (KubeVirt CR, spec.configuration.migrations; calico-l2.md 4.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

CLUSTER, OUTBOUND = 5, 2
State = Literal["waiting", "moving", "moved", "broken", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Limits:
    """`source` says where the numbers come from."""

    cluster: int = CLUSTER
    outbound: int = OUTBOUND
    source: str = "KubeVirt's defaults"


def limits_of(kubevirts: Iterable[Mapping[str, Any]]) -> Limits:
    """From the KubeVirt object; its defaults where there is none or it says nothing that can be read."""
    for document in kubevirts:
        found = ((document.get("spec") or {}).get("configuration") or {}).get("migrations") or {}
        meta = document.get("metadata") or {}
        cluster, outbound = found.get("parallelMigrationsPerCluster"), found.get("parallelOutboundMigrationsPerNode")
        return Limits(
            cluster if isinstance(cluster, int) and cluster > 0 else CLUSTER,
            outbound if isinstance(outbound, int) and outbound > 0 else OUTBOUND,
            f"KubeVirt {meta.get('namespace', '')}/{meta.get('name', '')}" if found else "KubeVirt's defaults",
        )
    return Limits()


@dataclass(frozen=True, slots=True)
class Item:
    """One VM of a drain. `why` says what went wrong or why it is skipped; `verdict` is the record's."""

    vm: str
    target: str
    state: State = "waiting"
    why: str = ""
    verdict: str = ""

    @property
    def over(self) -> bool:
        """Nothing more will happen to it."""
        return self.state not in ("waiting", "moving")


@dataclass(frozen=True, slots=True)
class Drain:
    """A queue of VMs that leave one node, in the order in which they go."""

    node: str
    items: tuple[Item, ...]
    limits: Limits

    @property
    def over(self) -> bool:
        """Every VM has moved, or will not."""
        return all(item.over for item in self.items)

    def ready(self, others: int = 0, others_out: int = 0) -> tuple[Item, ...]:
        """What may start now. `others`: migrations of other VMs that run in the cluster, `others_out`: those of them
        that leave this node."""
        moving = sum(item.state == "moving" for item in self.items)
        room = min(self.limits.cluster - others, self.limits.outbound - others_out) - moving
        return tuple(item for item in self.items if item.state == "waiting")[: max(room, 0)]

    def with_state(self, vm: str, state: State, why: str = "", verdict: str = "") -> Drain:
        """The same drain with one VM's state changed."""
        changed = tuple(
            replace(item, state=state, why=why, verdict=verdict) if item.vm == vm else item for item in self.items
        )
        return replace(self, items=changed)


def place(vms: Sequence[str], targets: Sequence[str], load: Mapping[str, int]) -> dict[str, str]:
    """VM → target: each to the node that has the fewest VMs by then, the first by name among equals. Empty without a
    target."""
    count = {target: load.get(target, 0) for target in targets}
    found = {}
    for vm in vms:
        if not count:
            break
        best = min(count, key=lambda target: (count[target], target))
        found[vm] = best
        count[best] += 1
    return found
