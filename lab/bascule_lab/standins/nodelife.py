"""The stand-in for the node controller: a node whose kubelet is silent is Unknown, and what ran there has failed.

A lost node (`lab fault node NODE lose`) is one whose kubelet says nothing: that its guests are dead is not known
before GRACE_S have passed (40 s and five minutes on a cluster).
"""

from __future__ import annotations

import asyncio
import logging
import time

from bascule_kube.errors import Conflict
from bascule_kube.kinds import NODE, POD
from bascule_lab.faults import orders
from bascule_lab.standins.kubelet import Kubelet, vm_of
from bascule_lab.standins.virt import VirtController
from bascule_lab.standins.world import Obj, World, key_of, now

log = logging.getLogger(__name__)
GRACE_S = 4.0
POLL_S = 0.2
SILENT = "Kubelet stopped posting node status."


class NodeLife:
    """Looks at every node again and again."""

    def __init__(self, world: World, kubelet: Kubelet, virt: VirtController) -> None:
        self._world = world
        self._kubelet = kubelet
        self._virt = virt
        self._silent: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            for node in self._world.all(NODE):
                try:
                    await self._look(node["metadata"]["name"])
                except Exception:
                    log.exception("node %s", node["metadata"]["name"])
            await asyncio.sleep(POLL_S)

    async def _look(self, name: str) -> None:
        since = orders.lost_since(self._kubelet.state, name)
        if since is None and name in self._silent:
            await self._ready(name, "True", "LabNode", "a network namespace of the lab")
            self._silent.discard(name)
        elif since is not None and time.time() - since > GRACE_S:
            if name not in self._silent:
                await self._ready(name, "Unknown", "NodeStatusUnknown", SILENT)
                self._silent.add(name)
            await self._fail_pods(name)

    async def _ready(self, name: str, status: str, reason: str, message: str) -> None:
        """Set the condition, and keep what others wrote beside it meanwhile."""
        while True:
            node = await self._world.cluster.get(NODE, name)
            others = [c for c in (node.get("status") or {}).get("conditions") or [] if c["type"] != "Ready"]
            ready = {"type": "Ready", "status": status, "reason": reason, "message": message}
            version = {"resourceVersion": node["metadata"]["resourceVersion"]}
            new = {"metadata": version, "status": {"conditions": [*others, {**ready, "lastTransitionTime": now()}]}}
            try:
                await self._world.cluster.merge_patch(NODE, name, new, subresource="status")
                break
            except Conflict:
                continue
        log.warning("node %s: Ready %s", name, status)

    async def _fail_pods(self, name: str) -> None:
        for pod in self._there(name):
            reason = f"node {name} was lost: {SILENT}"
            await self._world.set_status(POD, key_of(pod), {"phase": "Failed", "reason": "NodeLost", "message": reason})
            active = self._virt.active_pods(vm_of(pod))
            if pod["metadata"]["uid"] in active:
                await self._virt.failed(vm_of(pod), "NodeLost", reason)

    def _there(self, name: str) -> list[Obj]:
        """Launcher Pods of the node that nobody has called Failed yet."""
        return [
            pod
            for pod in self._world.all(POD)
            if pod["spec"].get("nodeName") == name
            and pod["metadata"]["labels"].get("kubevirt.io") == "virt-launcher"
            and (pod.get("status") or {}).get("phase") != "Failed"
        ]
