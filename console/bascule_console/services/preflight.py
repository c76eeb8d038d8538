"""What a preflight needs, asked at once: documents, the agents' reports, the target's trunk, past moves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bascule.continuity.estimate import Estimate, estimate
from bascule.continuity.limits import Limits, limits_of
from bascule.continuity.preflight import Check, Facts, blockers, preflight
from bascule_console.services.cluster import list_if_served
from bascule_console.services.moves import MoveRefused
from bascule_console.services.reports import Answers, ask_all
from bascule_console.services.trunk_calls import TrunkAgents
from bascule_console.store.nodes import AgentTarget, agent_target, node_name
from bascule_console.store.vms import VmRow
from bascule_kube import Cluster, Kind
from bascule_kube.kinds import IPPOOL, NAD, NODE, VM, VMI, VMIM

KUBEVIRT = Kind("kubevirt.io", "v1", "kubevirts", "KubeVirt", True)
Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Preflight:
    """The checks of one VM's move to one node, and how long it will take."""

    vm: str
    source: str
    target: str
    checks: tuple[Check, ...]
    estimate: Estimate

    @property
    def blockers(self) -> list[Check]:
        """What keeps the move from starting."""
        return blockers(self.checks)

    def to_json(self) -> dict[str, Any]:
        """As `vms move --dry-run -o json` prints it."""
        return {
            "vm": self.vm,
            "source": self.source,
            "target": self.target,
            "may_move": not self.blockers,
            "estimate": {
                "seconds": self.estimate.seconds,
                "longest_gap_ms": self.estimate.gap_ms,
                "basis": self.estimate.basis,
            },
            "checks": [check.to_json() for check in self.checks],
        }


@dataclass(frozen=True, slots=True)
class World:
    """Everything that is asked once for any number of VMs."""

    documents: Mapping[str, Sequence[Object]]
    reports: Mapping[str, Object]
    proofs: Mapping[str, Sequence[Object]]
    records: Sequence[Object]
    limits: Limits


async def look(cluster: Cluster, agents: TrunkAgents, targets: Sequence[str]) -> World:
    """Ask the cluster and every agent; a silent one leaves its facts out, and the checks say so."""
    kinds = (NODE, VM, VMI, NAD, IPPOOL, VMIM, KUBEVIRT)
    lists = await asyncio.gather(*(list_if_served(cluster, kind) for kind in kinds))
    documents = {kind.plural: found for kind, found in zip(kinds, lists, strict=True)}
    nodes = documents[NODE.plural]
    asked = [node for node in nodes if node_name(node) in targets and agent_target(node)]

    async def records(agent: AgentTarget) -> list[dict[str, Any]]:
        return [update.record async for update in agents.moves(agent)]

    reports, proofs, past = await asyncio.gather(
        ask_all(list(nodes), agents.node_report, Answers()),
        ask_all(list(asked), agents.prove, Answers()),
        ask_all(list(nodes), records, Answers()),
    )
    every = [record for found in past.values() for record in found]
    return World(documents, reports, proofs, every, limits_of(documents[KUBEVIRT.plural]))


def judge(world: World, vm: VmRow, target: str) -> Preflight:
    """The checks of one move."""
    facts = Facts(
        vm=_named(world, VM, vm) or {},
        vmi=_named(world, VMI, vm),
        target=target,
        nodes=world.documents[NODE.plural],
        attachments=world.documents[NAD.plural],
        pools=world.documents[IPPOOL.plural],
        migrations=world.documents[VMIM.plural],
        reports=world.reports,
        proofs=world.proofs.get(target),
        limits=world.limits,
    )
    took = estimate(world.records, vm.key, vm.node, target)
    return Preflight(vm.key, vm.node, target, tuple(preflight(facts)), took)


async def check(cluster: Cluster, agents: TrunkAgents, vm: VmRow, target: str) -> Preflight:
    """`look` and `judge` for one VM."""
    return judge(await look(cluster, agents, [target]), vm, target)


def refuse_blocked(found: Preflight) -> None:
    """MoveRefused with the first check that fails, and how many more there are."""
    failed = found.blockers
    if failed:
        first, more = failed[0], len(failed) - 1
        cause = f"{first.object}: {first.message}" + (f"; and {more} more" if more else "")
        raise MoveRefused(
            f"{found.vm} must not move to {found.target}",
            cause=cause,
            fix=first.fix or f"bascule vms move {found.vm} --to {found.target} --dry-run",
        )


def _named(world: World, kind: Kind, vm: VmRow) -> Object | None:
    for document in world.documents[kind.plural]:
        meta = document["metadata"]
        if (meta.get("namespace"), meta.get("name")) == (vm.namespace, vm.name):
            return document
    return None
