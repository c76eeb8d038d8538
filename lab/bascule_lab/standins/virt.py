"""The stand-in for KubeVirt's virt-controller and virt-handler: VM → VMI → launcher Pod → guest."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from bascule.resources.kubevirt import pod_interface_name
from bascule_kube.errors import Conflict
from bascule_kube.kinds import POD, VM, VMI
from bascule_lab.standins import objects
from bascule_lab.standins.disks import VmDisks
from bascule_lab.standins.kubelet import Kubelet
from bascule_lab.standins.world import Key, Obj, World, condition, key_of, now, with_condition

log = logging.getLogger(__name__)
# A restore costs about 0.35 s of CPU; more at once only stretches each.
PARALLEL_STARTS = 3
POLL_S = 0.05
# printableStatus of a VM whose VMI waits for this
_STARTING = {
    "FailedPvcNotFound": "ErrorPvcNotFound",
    "PVCNotReady": "WaitingForVolumeBinding",
    "NotAllDVsReady": "Provisioning",
    "ErrImagePull": "ErrImagePull",
}


class VirtController:
    """Keeps VMIs, launcher Pods and guests as the VMs ask."""

    def __init__(self, world: World, kubelet: Kubelet, disks: VmDisks) -> None:
        self._world = world
        self._kubelet = kubelet
        self._disks = disks
        self._starting = asyncio.Semaphore(PARALLEL_STARTS)
        self._has_pod: set[str] = set()
        kubelet.on_guest_exit = self._guest_exited

    async def reconcile_vm(self, key: Key) -> None:
        """VM → VMI, and the VM's status from its VMI."""
        vm = self._world.get(VM, key)
        if vm is None or vm["metadata"].get("deletionTimestamp"):
            return
        vmi = self._world.get(VMI, key)
        if vmi is None and objects.wants_to_run(vm):
            await self._create_vmi(key, vm)
            return
        phase = (vmi.get("status") or {}).get("phase", "") if vmi else ""
        over = phase in ("Failed", "Succeeded") and objects.reruns(vm, phase)
        if vmi is not None and (over or not objects.wants_to_run(vm)):
            await self._world.delete(VMI, key)
        words = {"Running": "Running", "Failed": "Failed", "Succeeded": "Stopped", "": "Stopped"}
        word = words.get(phase) or _STARTING.get(_ready_reason(vmi or {}), "Starting")
        status = {"created": vmi is not None, "ready": phase == "Running", "printableStatus": word}
        if {k: (vm.get("status") or {}).get(k) for k in status} != status:
            await self._world.set_status(VM, key, status)

    async def _create_vmi(self, key: Key, vm: Obj) -> None:
        """A VM starts again when nothing of its last instance is left, as KubeVirt's foreground deletion has it."""
        while self._kubelet.holds(key):
            await asyncio.sleep(POLL_S)
        try:
            await self._world.create(objects.vmi_of(vm))
        except Conflict:
            log.info("VMI %s/%s exists already", *key)

    def pods_of(self, vmi: Obj) -> list[Obj]:
        """Launcher Pods of a VMI, migration targets too."""
        uid = vmi["metadata"]["uid"]
        return [p for p in self._world.all(POD) if p["metadata"]["labels"].get("kubevirt.io/created-by") == uid]

    async def reconcile_vmi(self, key: Key) -> None:
        """VMI → launcher Pod → guest. A migration is not this function's: standins/move.py."""
        vmi = self._world.get(VMI, key)
        if vmi is None or vmi["metadata"].get("deletionTimestamp"):
            return
        status = vmi.get("status") or {}
        if status.get("phase") in ("Running", "Failed", "Succeeded"):
            return
        against = self._against(vmi)
        if against is not None:
            await self._refuse(vmi, *against)
            return
        pods = self.pods_of(vmi)
        if not pods:
            await self._create_pod(vmi)
        elif pods[0]["status"].get("phase") == "Running":
            await self._start(vmi, pods[0])
        elif pods[0]["status"].get("phase") == "Failed":
            await self.failed(key, "PodFailed", pods[0]["status"].get("message", ""))
        elif pods[0]["status"].get("message"):
            await self._refuse(vmi, pods[0]["status"]["reason"], pods[0]["status"]["message"])

    def _against(self, vmi: Obj) -> tuple[str, str] | None:
        """(reason, message) of why a VMI cannot be started now."""
        if len(objects.nics(vmi)) != 1:
            return "UnsupportedNICs", "a lab guest has exactly one NIC, on a Multus network"
        if objects.boots_from_claim(vmi):
            return self._disks.lacking(vmi)
        image = objects.image_of(vmi)
        if image != objects.GUEST_IMAGE:
            return "ErrImagePull", f"the lab has no image {image!r}; it runs {objects.GUEST_IMAGE}"
        if objects.claims(vmi):
            return (
                "UnsupportedVolumes",
                "a lab guest has claims from its first volume on, or none: a clone takes no disk",
            )
        return None

    async def _create_pod(self, vmi: Obj) -> None:
        # The cache may not hold the pod yet when the VMI's own change comes back.
        if vmi["metadata"]["uid"] not in self._has_pod:
            self._has_pod.add(vmi["metadata"]["uid"])
            await self._world.create(objects.launcher_pod(vmi))
            status = {"phase": "Scheduling", "phaseTransitionTimestamps": self._stamp(vmi, "Scheduling")}
            await self._world.set_status(VMI, key_of(vmi), status)

    async def _refuse(self, vmi: Obj, reason: str, message: str) -> None:
        conditions = (vmi.get("status") or {}).get("conditions") or []
        if not any(c["message"] == message for c in conditions):
            new = condition("Ready", False, reason, message)
            status = {"phase": "Pending", "conditions": with_condition(vmi, new)}
            await self._world.set_status(VMI, key_of(vmi), status)

    async def _start(self, vmi: Obj, pod: Obj) -> None:
        async with self._starting:
            if self._kubelet.guest(pod) is None:
                await self._kubelet.start_guest(vmi, pod)
        await self.publish_running(vmi, pod, {})

    async def publish_running(self, vmi: Obj, pod: Obj, more: Obj) -> None:
        """Status of a VMI that runs in `pod`; `more` is merged in (a migration's state)."""
        ready = condition("Ready", True, "Running")
        why = objects.why_not_movable(vmi, self._disks.shared(vmi))
        movable = condition("LiveMigratable", True, "Lab", "immediate post-copy over the migration link")
        if why:
            movable = condition("LiveMigratable", False, *why)
        conditions = [*with_condition(vmi, ready)]
        conditions = [c for c in conditions if c["type"] != "LiveMigratable"] + [movable]
        status = {
            "phase": "Running",
            "nodeName": pod["spec"]["nodeName"],
            "activePods": {
                **dict.fromkeys(self.active_pods(key_of(vmi))),
                pod["metadata"]["uid"]: pod["spec"]["nodeName"],
            },
            "interfaces": self._interfaces(vmi, pod),
            "conditions": conditions,
            "phaseTransitionTimestamps": self._stamp(vmi, "Running"),
            **more,
        }
        await self._world.set_status(VMI, key_of(vmi), status)

    def _interfaces(self, vmi: Obj, pod: Obj) -> list[Obj]:
        found = []
        for nic, got in self._kubelet.attached(pod):
            found.append(
                {
                    "name": nic["name"],
                    "mac": got["mac"],
                    "ipAddress": got["ip"],
                    "ipAddresses": [got["ip"]],
                    "podInterfaceName": pod_interface_name(nic["name"]),
                    "infoSource": "domain, multus-status",
                    "linkState": "up",
                }
            )
        return found

    def _stamp(self, vmi: Obj, phase: str) -> list[dict[str, Any]]:
        old = (vmi.get("status") or {}).get("phaseTransitionTimestamps") or []
        if any(s["phase"] == phase for s in old):
            return old
        return [*old, {"phase": phase, "phaseTransitionTimestamp": now()}]

    async def _guest_exited(self, pod_key: Key, vmi_key: Key, reason: str) -> None:
        """A guest ended by itself: its Pod and its VMI have failed, and say how."""
        pod = self._world.get(POD, pod_key)
        if pod is not None:
            await self._world.set_status(POD, pod_key, {"phase": "Failed", "message": reason})
        if pod is not None and pod["metadata"]["uid"] in self.active_pods(vmi_key):
            await self.failed(vmi_key, "GuestNotRunning", reason)

    def active_pods(self, key: Key) -> Obj:
        """The pods (by uid) in which a VMI runs, with their nodes."""
        vmi = self._world.get(VMI, key) or {}
        found: Obj = (vmi.get("status") or {}).get("activePods") or {}
        return found

    async def failed(self, key: Key, reason: str, message: str) -> None:
        """The VMI has no guest any more: Failed, and an Event says why. One that has ended stays as it is."""
        vmi = self._world.get(VMI, key)
        if vmi is None or (vmi.get("status") or {}).get("phase") in ("Failed", "Succeeded"):
            return
        conditions = with_condition(vmi, condition("Ready", False, reason, message))
        await self._world.set_status(VMI, key, {"phase": "Failed", "conditions": conditions})
        await self._world.event(vmi, "Warning", "Stopped", message)


def _ready_reason(vmi: Obj) -> str:
    """Why a VMI is not Ready."""
    found = (vmi.get("status") or {}).get("conditions") or []
    return next((str(each["reason"]) for each in found if each["type"] == "Ready"), "")
