"""The stand-in for KubeVirt's migration controller: a VMIM through KubeVirt's phases to a QEMU live migration.

Order and names are calico-l2.md 4.1's. The hypervisor's own report is left on the VMIM as
`bascule.dev/hypervisor-events`; KubeVirt itself does not publish that.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time

from bascule.errors import BasculeError
from bascule_kube.kinds import POD, VMI, VMIM
from bascule_lab.standins import objects
from bascule_lab.standins.kubelet import MOVE_LABEL, Kubelet
from bascule_lab.standins.virt import VirtController
from bascule_lab.standins.world import Key, Obj, World, key_of, now

log = logging.getLogger(__name__)
TARGET_TIMEOUT_S = 30.0
POLL_S = 0.01
FINAL = ("Succeeded", "Failed")


class MoveFailed(BasculeError):
    """The migration cannot start or did not work."""


class MoveController:
    """Runs each VMIM once, from its first phase to its last."""

    def __init__(self, world: World, kubelet: Kubelet, virt: VirtController) -> None:
        self._world = world
        self._kubelet = kubelet
        self._virt = virt
        self._moving: set[Key] = set()

    async def reconcile(self, key: Key) -> None:
        """Take a new VMIM through all phases."""
        move = self._world.get(VMIM, key)
        if move is None or (move.get("status") or {}).get("phase"):
            return
        vmi_key = (key[0], move["spec"]["vmiName"])
        stamps: list[Obj] = []
        state: Obj = {"migrationUid": move["metadata"]["uid"], "mode": "PostCopy", "migrationNetworkType": "migration"}
        await self._phase(key, "Pending", stamps, state)
        if vmi_key in self._moving:
            await self._fail(key, stamps, state, f"another migration of {vmi_key[1]} is running")
            return
        self._moving.add(vmi_key)
        try:
            await self._run(key, move, vmi_key, stamps, state)
        except BasculeError as error:
            await self._fail(key, stamps, state, str(error))
            await self._remove_target(move)
        finally:
            self._moving.discard(vmi_key)

    async def _phase(self, key: Key, phase: str, stamps: list[Obj], state: Obj) -> None:
        stamps.append({"phase": phase, "phaseTransitionTimestamp": now()})
        status = {"phase": phase, "phaseTransitionTimestamps": stamps, "migrationState": state}
        await self._world.set_status(VMIM, key, status)

    async def _fail(self, key: Key, stamps: list[Obj], state: Obj, reason: str) -> None:
        state.update(failed=True, completed=True, failureReason=reason, endTimestamp=now())
        await self._phase(key, "Failed", stamps, state)

    async def _run(self, key: Key, move: Obj, vmi_key: Key, stamps: list[Obj], state: Obj) -> None:
        vmi = self._world.get(VMI, vmi_key)
        if vmi is None or (vmi.get("status") or {}).get("phase") != "Running":
            raise MoveFailed(f"VMI {vmi_key[1]} is not running", fix="start it first")
        source = self._source(vmi)
        state.update(sourceNode=source["spec"]["nodeName"], sourcePod=source["metadata"]["name"])
        created = await self._world.cluster.create(objects.launcher_pod(vmi, move))
        await self._phase(key, "Scheduling", stamps, state)
        target = await self._attached(created)
        state.update(targetNode=target["spec"]["nodeName"], targetPod=target["metadata"]["name"])
        await self._phase(key, "Scheduled", stamps, state)
        await self._phase(key, "PreparingTarget", stamps, state)
        incoming, uri = await self._kubelet.start_incoming(vmi, target)
        await self._phase(key, "TargetReady", stamps, state)
        state["startTimestamp"] = now()
        await self._phase(key, "Running", stamps, state)
        running = self._kubelet.guest(source)
        if running is None:
            raise MoveFailed(f"{vmi_key[1]} has no guest on {state['sourceNode']}")
        result = await running.migrate_to(incoming, uri)
        marks = {"bascule.dev/hypervisor-events": json.dumps(result.document())}
        await self._world.annotate(VMIM, key, marks)
        if not result.ok:
            raise MoveFailed(result.failure, cause="the guest goes on at the source" if result.source_runs else "")
        if result.silent:
            await self._world.event(vmi, "Warning", "GuestSilent", result.silent)
        state.update(completed=True, targetNodeDomainReadyTimestamp=now(), endTimestamp=now())
        await self._virt.publish_running(vmi, target, {"migrationState": state})
        await self._phase(key, "Succeeded", stamps, state)
        await self._world.delete(POD, key_of(source))

    def _source(self, vmi: Obj) -> Obj:
        active = vmi["status"]["activePods"]
        for pod in self._virt.pods_of(vmi):
            if pod["metadata"]["uid"] in active:
                return pod
        raise MoveFailed(f"no launcher pod runs {vmi['metadata']['name']}", fix="wait until it runs")

    async def _attached(self, created: Obj) -> Obj:
        deadline = time.monotonic() + TARGET_TIMEOUT_S
        while time.monotonic() < deadline:
            pod = self._world.get(POD, key_of(created)) or created
            status = pod.get("status") or {}
            if status.get("phase") == "Running":
                return pod
            if status.get("phase") == "Failed":
                raise MoveFailed("the target pod failed", cause=status.get("message", ""))
            await asyncio.sleep(POLL_S)
        raise MoveFailed(f"the target pod is not attached after {TARGET_TIMEOUT_S:.0f} s")

    async def _remove_target(self, move: Obj) -> None:
        uid = move["metadata"]["uid"]
        for pod in self._world.all(POD):
            if pod["metadata"]["labels"].get(MOVE_LABEL) == uid:
                await self._world.delete(POD, key_of(pod))
