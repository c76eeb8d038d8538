"""Steps `network` and `policy`: the plan's Networks, pools and NADs are there, its VLANs proven, its rules too."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from bascule.resources.attachment import Attachment
from bascule.resources.read import dig, texts
from bascule.trunks.proof import FAILED, PROVEN
from bascule_console.services import apply
from bascule_console.services.cluster import list_if_served
from bascule_console.services.run.moving import Ends, Evidence, Moving, StepFailed
from bascule_console.services.trunks import matrix
from bascule_kube.errors import NotFound
from bascule_kube.kinds import NAD, NETWORK, POLICIES

FRESH_S = 120.0
_CARRIED = "fw.bascule.dev/"


class NetworkAct:
    """Objects are applied once for all VMs of a run; a proof holds for FRESH_S."""

    def __init__(self) -> None:
        self._proofs: dict[tuple[str, int], tuple[float, list[dict[str, Any]]]] = {}
        self._applied = False
        self._one = asyncio.Lock()

    async def check(self, vm: Moving) -> Evidence:
        """No trunk that could host the VM fails its VLANs; a Network that is still to be made is proven after."""
        async with self._one:
            rows = [row for nic in vm.planned.nics for row in await self._prove(vm.ends, nic.network, nic.vlan)]
        for row in rows:
            _sound(row)
        return {"proofs": rows}

    async def apply(self, vm: Moving) -> Evidence:
        """Apply what the plan changes, through lint and dry run, journalled."""
        async with self._one:
            if self._applied or not vm.loaded.network:
                return {"applied": []}
            changed = await applied(vm, list(vm.loaded.network))
            self._applied = True
            if changed:
                self._proofs.clear()
            return {"applied": changed}

    async def verify(self, vm: Moving) -> Evidence:
        """The NADs name Network and VLAN, and each VLAN is proven on a node."""
        for nic in vm.planned.nics:
            namespace, _, name = nic.nad.rpartition("/")
            try:
                nad = Attachment.of(await vm.ends.cluster.get(NAD, name, namespace or vm.namespace))
            except NotFound:
                raise StepFailed(f"there is no NAD {nic.nad}", "the plan made it", "bascule nads list") from None
            if (nad.network, nad.vlan) != (nic.network, nic.vlan):
                cause = f"it names {nad.network} and VLAN {nad.vlan}, not {nic.network} and {nic.vlan}"
                raise StepFailed(f"NAD {nic.nad} leads elsewhere", cause, "plan build again")
        deadline = time.monotonic() + vm.ends.limits.network
        while True:
            async with self._one:
                bad = [await self._unproven(vm.ends, nic.network, nic.vlan) for nic in vm.planned.nics]
            why = next((each for each in bad if each), "")
            if not why:
                return {"vlans": sorted({nic.vlan for nic in vm.planned.nics})}
            if time.monotonic() > deadline:
                raise StepFailed(why, fix="bascule trunks prove")
            await asyncio.sleep(0.5)

    async def revert(self, vm: Moving) -> Evidence:
        """Nothing: others may use them by now."""
        return {}

    async def _unproven(self, ends: Ends, network: str, vlan: int) -> str:
        rows = await self._prove(ends, network, vlan)
        if any(row["verdict"] == PROVEN for row in rows):
            return ""
        self._proofs.pop((network, vlan), None)
        told = "; ".join(f"{row['node']}: {row['evidence']}" for row in rows) or "no node has a trunk of it"
        return f"VLAN {vlan} of Network {network} is proven on no node: {told}"

    async def _prove(self, ends: Ends, network: str, vlan: int) -> list[dict[str, Any]]:
        at, rows = self._proofs.get((network, vlan), (0.0, []))
        if rows and time.monotonic() - at < FRESH_S:
            return rows
        try:
            await ends.cluster.get(NETWORK, network)
        except NotFound:
            return []
        rows, _ = await matrix(ends.cluster, ends.agents, network=network, vlans=[vlan])
        self._proofs[network, vlan] = time.monotonic(), rows
        return rows


def _sound(row: dict[str, Any]) -> None:
    if row["verdict"] == FAILED:
        words = f"VLAN {row['vlan']} of Network {row['network']} fails on {row['node']}"
        raise StepFailed(words, str(row["evidence"]), "mend the switch port, then bascule trunks prove")


class PolicyAct:
    """The rules that were carried over are in the cluster, staged or enforced, before a VM needs them."""

    async def check(self, vm: Moving) -> Evidence:
        """Where the plan has policy files, the cluster has policies that were carried over."""
        files = [str(each[0]) for each in (dig(vm.loaded.document, "policy", "files") or [])]
        if not files:
            return {"policies": 0, "note": "the plan carries no policies"}
        found = [each for kind in POLICIES for each in await list_if_served(vm.ends.cluster, kind)
                 if any(key.startswith(_CARRIED) for key in texts(dig(each, "metadata", "annotations")))]  # fmt: skip
        if not found:
            cause = f"the plan was made with {', '.join(files)}, and the cluster has none of their policies"
            raise StepFailed("the carried policies are not there", cause, "bascule apply -f DIR of policies import -o")
        return {"policies": len(found)}

    async def apply(self, vm: Moving) -> Evidence:
        """Its labels come with its VirtualMachine."""
        return {"labels": dict(vm.planned.labels)}

    async def verify(self, vm: Moving) -> Evidence:
        """The VirtualMachine that will be made has the plan's labels in its template."""
        document = vm.loaded.machines[vm.name].object
        labels = texts(dig(document, "spec", "template", "metadata", "labels"))
        lacking = {key: value for key, value in vm.planned.labels.items() if labels.get(key) != value}
        if lacking:
            cause = ", ".join(f"{key}={value}" for key, value in lacking.items())
            raise StepFailed(f"{vm.place} would lack labels of the plan", cause, "plan build again")
        return {}

    async def revert(self, vm: Moving) -> Evidence:
        """Nothing: the labels go with the VirtualMachine."""
        return {}


async def applied(vm: Moving, documents: list[Any]) -> list[str]:
    """Apply documents through the path of every verb: lint, dry run, journal. Returns what changed."""
    plan = await apply.prepare(vm.ends.cluster, documents)
    if plan.lint_failed:
        finding = next(each.finding for each in plan.findings if each.finding.severity == "error")
        raise StepFailed(f"{finding.object}: {finding.message}", finding.evidence, finding.fix)
    if plan.refusals:
        first = plan.refusals[0]
        raise StepFailed(
            f"{first.document.label} is refused: {first.error.message}", first.error.cause, first.error.fix
        )
    changed = []
    async for change in apply.commit(vm.ends.cluster, plan, vm.ends.journal, "plan run"):
        if change.action != "unchanged":
            changed.append(change.document.label)
    return changed
