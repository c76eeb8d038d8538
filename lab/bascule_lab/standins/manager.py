"""All stand-ins on one cluster: what changed decides whose reconcile runs."""

from __future__ import annotations

from collections.abc import Callable

from bascule_kube import Cluster, Kind
from bascule_kube.kinds import DATAVOLUME, IPPOOL, NAD, NETWORK, POD, PVC, VM, VMI, VMIM
from bascule_lab.config import LabConfig
from bascule_lab.guests.guest import Guest
from bascule_lab.guests.plumbing import PodPort
from bascule_lab.guests.spec import GuestSpec
from bascule_lab.standins import objects
from bascule_lab.standins.cdi import Cdi
from bascule_lab.standins.disks import VmDisks
from bascule_lab.standins.kubelet import Kubelet
from bascule_lab.standins.move import MoveController
from bascule_lab.standins.nodelife import NodeLife
from bascule_lab.standins.tasks import KeyedTasks
from bascule_lab.standins.uploads import UploadProxy
from bascule_lab.standins.virt import VirtController
from bascule_lab.standins.volumes import Volumes
from bascule_lab.standins.world import Key, Obj, World, key_of


class Manager:
    """Starts and stops the stand-ins."""

    def __init__(
        self,
        cluster: Cluster,
        config: LabConfig,
        make_guest: Callable[[GuestSpec, PodPort], Guest],
    ) -> None:
        self.world = World(cluster, self._changed)
        volumes = Volumes(config.state)
        disks = VmDisks(self.world, volumes)
        self.kubelet = Kubelet(self.world, config, make_guest, disks)
        virt = VirtController(self.world, self.kubelet, disks)
        self._cdi = Cdi(self.world, volumes)
        self._uploads = UploadProxy(self.world, self._cdi, volumes, config.state)
        moves = MoveController(self.world, self.kubelet, virt)
        self._nodes = NodeLife(self.world, self.kubelet, virt)
        self._tasks = {
            VM: KeyedTasks("VM", virt.reconcile_vm),
            VMI: KeyedTasks("VMI", virt.reconcile_vmi),
            POD: KeyedTasks("Pod", self.kubelet.reconcile_pod),
            VMIM: KeyedTasks("VMIM", moves.reconcile),
            DATAVOLUME: KeyedTasks("DataVolume", self._cdi.reconcile_volume),
            PVC: KeyedTasks("PVC", self._cdi.reconcile_claim),
        }

    async def start(self) -> None:
        """Begin to reconcile."""
        await self.world.start()
        self._nodes.start()
        await self._cdi.publish(await self._uploads.start())

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
        if kind in (PVC, DATAVOLUME):
            self._storage_changed(key_of(obj))
        if kind == POD:
            self._release_claims(obj)
        if kind in (NETWORK, NAD, IPPOOL):
            for pod in self.world.all(POD):
                self._tasks[POD].poke(key_of(pod))

    def _storage_changed(self, key: Key) -> None:
        """A claim and its DataVolume have one name; VMIs may wait for either."""
        self._tasks[PVC].poke(key)
        self._tasks[DATAVOLUME].poke(key)
        for vmi in self.world.all(VMI):
            if vmi["metadata"]["namespace"] == key[0] and key[1] in objects.claims(vmi):
                self._tasks[VMI].poke(key_of(vmi))

    def _release_claims(self, pod: Obj) -> None:
        """A pod that ends lets its claims go."""
        for volume in pod["spec"].get("volumes") or ():
            name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if name:
                self._tasks[PVC].poke((pod["metadata"]["namespace"], name))

    async def stop(self) -> None:
        """Stop reconciling, then end every guest and its plumbing."""
        await self._nodes.stop()
        await self._uploads.stop()
        for tasks in self._tasks.values():
            await tasks.stop()
        await self.world.stop()
        await self.kubelet.stop()
