"""The stand-in for KubeVirt's migration controller: a VMIM through KubeVirt's phases to a QEMU live migration.

Order and names are calico-l2.md 4.1's. The hypervisor's own report is left on the VMIM as
`bascule.dev/hypervisor-events`; KubeVirt itself does not publish that. A VMIM that is deleted is taken back, as long
as the guest has not switched to the target; after that nobody can, and the move is finished.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time

from bascule.errors import BasculeError
from bascule_kube.kinds import POD, VMI, VMIM
from bascule_lab.faults import orders
from bascule_lab.standins import objects
from bascule_lab.standins.kubelet import MOVE_LABEL, Kubelet
from bascule_lab.standins.moverun import Aborted, MoveFailed, MoveRun
from bascule_lab.standins.virt import VirtController
from bascule_lab.standins.world import Key, Obj, World, key_of, now

log = logging.getLogger(__name__)
TARGET_TIMEOUT_S = 30.0
UNSCHEDULABLE_S = 5.0
POLL_S = 0.01
FINAL = ("Succeeded", "Failed")
FINALIZER = "kubevirt.io/migrationJobFinalize"


class MoveController:
    """Runs each VMIM once, from its first phase to its last."""

    def __init__(self, world: World, kubelet: Kubelet, virt: VirtController) -> None:
        self._world = world
        self._kubelet = kubelet
        self._virt = virt
        self._moving: dict[Key, str] = {}
        self._seen: set[str] = set()

    async def reconcile(self, key: Key) -> None:
        """Take a new VMIM through all phases; let one go that has ended."""
        move = self._world.get(VMIM, key)
        if move is None:
            return
        ended = (move.get("status") or {}).get("phase") in FINAL
        if not ended and move["metadata"]["uid"] not in self._seen and not move["metadata"].get("deletionTimestamp"):
            self._seen.add(move["metadata"]["uid"])
            await self._whole(MoveRun(self._world, self._kubelet, move))
        elif ended:
            await self._release(key, move)

    async def _whole(self, run: MoveRun) -> None:
        await self._world.set_finalizers(VMIM, run.key, [*(run.move["metadata"].get("finalizers") or []), FINALIZER])
        await run.phase("Pending")
        if other := self._moving.get(run.vmi_key):
            why = f"in-flight migration detected. Active migration job ({other}) is currently already in progress"
            await run.fail(f"{why} for VMI {run.vmi_key[1]}")
            return
        self._moving[run.vmi_key] = run.uid
        try:
            await self._run(run)
        except Aborted:
            await run.fail("the migration was deleted before the switch", abortRequested=True, abortStatus="Succeeded")
            await self._remove_target(run)
        except BasculeError as error:
            late = {"abortRequested": True, "abortStatus": "Failed"} if run.abort_asked else {}
            await run.fail(str(error), **late)
            await self._remove_target(run)
        finally:
            del self._moving[run.vmi_key]
            orders.forget_move(self._kubelet.state, run.vmi_key[1])

    async def _run(self, run: MoveRun) -> None:
        vmi = self._movable(run)
        source = self._source(vmi)
        run.state.update(sourceNode=source["spec"]["nodeName"], sourcePod=source["metadata"]["name"])
        created = await self._world.create(objects.launcher_pod(vmi, run.move))
        await run.phase("Scheduling")
        target = await self._attached(run, created)
        run.state.update(targetNode=target["spec"]["nodeName"], targetPod=target["metadata"]["name"])
        await run.phase("Scheduled")
        await run.phase("PreparingTarget")
        incoming, uri = await self._kubelet.start_incoming(vmi, target)
        run.target = incoming
        await run.phase("TargetReady")
        await run.wait_at_ready()
        run.state["startTimestamp"] = now()
        await run.phase("Running")
        await run.tell_vmi()
        running = self._kubelet.guest(source)
        if running is None or not running.running:
            raise MoveFailed(f"{run.vmi_key[1]} has no guest on {run.state['sourceNode']}")
        run.refuse_if_deleted()
        result = await running.migrate_to(incoming, uri, run)
        await run.settled()
        await self._world.annotate(VMIM, run.key, {"bascule.dev/hypervisor-events": json.dumps(result.document())})
        if result.cancelled:
            raise Aborted("the migration was deleted")
        if not result.ok and not result.source_runs:
            await self._lost(run, vmi, source, target, result.failure)
        if not result.ok:
            raise MoveFailed(result.failure, cause="the guest goes on at the source")
        if result.silent:
            await self._world.event(vmi, "Warning", "GuestSilent", result.silent)
        if run.abort_asked:
            run.state.update(abortRequested=True, abortStatus="Failed")
        run.state.update(completed=True, targetNodeDomainReadyTimestamp=now(), endTimestamp=now())
        await self._virt.publish_running(vmi, target, {"migrationState": run.vmi_state()})
        await run.phase("Succeeded")
        await self._world.delete(POD, key_of(source))

    def _movable(self, run: MoveRun) -> Obj:
        """The VMI. Raises MoveFailed in the words of KubeVirt's admission."""
        vmi = self._world.get(VMI, run.vmi_key)
        if vmi is None or (vmi.get("status") or {}).get("phase") != "Running":
            raise MoveFailed(f"VMI {run.vmi_key[1]} is not running", fix="start it first")
        for condition in vmi["status"].get("conditions") or []:
            if condition["type"] == "LiveMigratable" and condition["status"] != "True":
                why = f"Reason: {condition['reason']}, Message: {condition['message']}"
                raise MoveFailed(f"Cannot migrate VMI, {why}")
        return vmi

    async def _lost(self, run: MoveRun, vmi: Obj, source: Obj, target: Obj, failure: str) -> None:
        """The guest runs nowhere: after the switch half of its memory was here and half there. Raises MoveFailed."""
        reason = f"the guest was lost in its move to {run.state['targetNode']}: {failure}"
        for pod in (source, target):
            guest = self._kubelet.guest(pod)
            if guest is not None:
                await guest.kill()
        await self._virt.failed(run.vmi_key, "PostcopyFailed" if run.was_switched else "GuestNotRunning", reason)
        raise MoveFailed(reason, cause="it ran neither here nor there and cannot be resumed")

    def _source(self, vmi: Obj) -> Obj:
        active = vmi["status"]["activePods"]
        for pod in self._virt.pods_of(vmi):
            if pod["metadata"]["uid"] in active:
                return pod
        raise MoveFailed(f"no launcher pod runs {vmi['metadata']['name']}", fix="wait until it runs")

    async def _attached(self, run: MoveRun, created: Obj) -> Obj:
        started, said = time.monotonic(), ""
        while time.monotonic() < started + TARGET_TIMEOUT_S:
            run.refuse_if_deleted()
            pod = self._world.get(POD, key_of(created)) or created
            status = pod.get("status") or {}
            if status.get("phase") == "Running":
                return pod
            if status.get("phase") == "Failed":
                raise MoveFailed("the target pod failed", cause=status.get("message", ""))
            said = status.get("message", said)
            if orders.move_order(self._kubelet.state, run.vmi_key[1]):
                started = time.monotonic()
            elif status.get("reason") == "FailedScheduling" and time.monotonic() > started + UNSCHEDULABLE_S:
                raise MoveFailed("no node takes the target pod", cause=said)
            await asyncio.sleep(POLL_S)
        raise MoveFailed(f"the target pod is not attached after {TARGET_TIMEOUT_S:.0f} s", cause=said)

    async def _remove_target(self, run: MoveRun) -> None:
        for pod in self._world.all(POD):
            if pod["metadata"]["labels"].get(MOVE_LABEL) == run.uid:
                await self._world.delete(POD, key_of(pod))

    async def _release(self, key: Key, move: Obj) -> None:
        held = move["metadata"].get("finalizers") or []
        if FINALIZER in held:
            await self._world.set_finalizers(VMIM, key, [name for name in held if name != FINALIZER])
