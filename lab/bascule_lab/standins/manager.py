"""All stand-ins on one cluster: what changed decides whose reconcile runs."""

from __future__ import annotations

from collections.abc import Callable

from bascule_kube import Cluster, Kind
from bascule_kube.kinds import IPPOOL, NAD, NETWORK, POD, VM, VMI, VMIM
from bascule_lab.config import LabConfig
from bascule_lab.guests.guest import Guest
from bascule_lab.guests.plumbing import PodPort
from bascule_lab.guests.spec import GuestSpec
from bascule_lab.standins.kubelet import Kubelet
from bascule_lab.standins.move import MoveController
from bascule_lab.standins.nodelife import NodeLife
from bascule_lab.standins.tasks import KeyedTasks
from bascule_lab.standins.virt import VirtController
from bascule_lab.standins.world import Obj, World, key_of


class Manager:
    """Starts and stops the stand-ins."""

    def __init__(
        self,
        cluster: Cluster,
        config: LabConfig,
        make_guest: Callable[[GuestSpec, PodPort], Guest],
    ) -> None:
        self.world = World(cluster, self._changed)
        self.kubelet = Kubelet(self.world, config, make_guest)
        virt = VirtController(self.world, self.kubelet)
        moves = MoveController(self.world, self.kubelet, virt)
        self._nodes = NodeLife(self.world, self.kubelet, virt)
        self._tasks = {
            VM: KeyedTasks("VM", virt.reconcile_vm),
            VMI: KeyedTasks("VMI", virt.reconcile_vmi),
            POD: KeyedTasks("Pod", self.kubelet.reconcile_pod),
            VMIM: KeyedTasks("VMIM", moves.reconcile),
        }

    async def start(self) -> None:
        """Begin to reconcile."""
        await self.world.start()
        self._nodes.start()

    def _changed(self, kind: Kind, _type: str, obj: Obj) -> None:
        if kind in self._tasks:
            self._tasks[kind].poke(key_of(obj))
        owners = obj["metadata"].get("ownerReferences") or []
        if kind == POD and owners:
            self._tasks[VMI].poke((obj["metadata"]["namespace"], owners[0]["name"]))
        if kind == VMI:
            self._tasks[VM].poke(key_of(obj))
            for pod in self.world.all(POD):
                if pod["metadata"]["labels"].get("kubevirt.io/created-by") == obj["metadata"]["uid"]:
                    self._tasks[POD].poke(key_of(pod))
        if kind in (NETWORK, NAD, IPPOOL):
            for pod in self.world.all(POD):
                self._tasks[POD].poke(key_of(pod))

    async def stop(self) -> None:
        """Stop reconciling, then end every guest and its plumbing."""
        await self._nodes.stop()
        for tasks in self._tasks.values():
            await tasks.stop()
        await self.world.stop()
        await self.kubelet.stop()
