"""The stand-in for kube-scheduler, kubelet, Multus and Calico's CNI plugin: a launcher Pod gets a node, NICs, a guest.

CNI's order is the contract with the agent: plumb with the host side down, write the annotations, then wait for carrier,
which comes when the agent has programmed the port and set it up. A guest starts only after that.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bascule.errors import BasculeError
from bascule_kube.kinds import IPPOOL, NAD, NETWORK, NODE, POD, VMI
from bascule_lab.config import LabConfig, node_migration
from bascule_lab.faults import orders
from bascule_lab.guests import plumbing
from bascule_lab.guests.errors import GuestError
from bascule_lab.guests.guest import Guest
from bascule_lab.guests.plumbing import PodPort
from bascule_lab.guests.spec import GuestSpec
from bascule_lab.standins import ipam, objects, schedule
from bascule_lab.standins.disks import VmDisks
from bascule_lab.standins.world import Key, Obj, World, key_of

log = logging.getLogger(__name__)
WATCH_S = 0.2
MOVE_LABEL = "kubevirt.io/migrationJobUID"
Nic = tuple[Obj, Obj]


@dataclass
class Launch:
    """One launcher Pod on its node: what CNI gave it and the guest that runs in it."""

    pod: Obj
    node: str
    nics: list[Nic] = field(default_factory=list)
    port: PodPort | None = None
    guest: Guest | None = None
    watcher: asyncio.Task[None] | None = None
    ending: bool = False


class Kubelet:
    """All nodes' kubelets in one; launches by pod uid."""

    def __init__(
        self,
        world: World,
        config: LabConfig,
        make_guest: Callable[[GuestSpec, PodPort], Guest],
        disks: VmDisks,
    ) -> None:
        self._world = world
        self._disks = disks
        self._make_guest = make_guest
        self._config = config
        self._launches: dict[str, Launch] = {}
        self._placed: dict[str, tuple[str, str]] = {}
        self.on_guest_exit: Callable[[Key, Key, str], Awaitable[None]] | None = None

    @property
    def state(self) -> Path:
        """The lab's state directory, where standing orders lie."""
        return self._config.state

    def holds(self, vmi: Key) -> bool:
        """Whether anything of a VM is still on some node."""
        return any(vm_of(launch.pod) == vmi for launch in self._launches.values())

    def launches(self) -> list[Launch]:
        """Every pod that has a node, for the status file."""
        return list(self._launches.values())

    def attached(self, pod: Obj) -> list[Nic]:
        """The pod's NICs with what CNI gave each: `{mac, ip, network, vlan, prefix, gateway}`."""
        return self._launches[pod["metadata"]["uid"]].nics

    def guest(self, pod: Obj) -> Guest | None:
        """The guest that runs in the pod."""
        launch = self._launches.get(pod["metadata"]["uid"])
        return launch.guest if launch else None

    async def reconcile_pod(self, key: Key) -> None:
        """Schedule, attach; a pod that is gone is torn down."""
        await self._reap()
        pod = self._world.get(POD, key)
        if pod is None or pod["metadata"]["labels"].get("kubevirt.io") != "virt-launcher":
            return
        if not pod["spec"].get("nodeName"):
            if pod["metadata"]["uid"] not in self._placed:  # else the cache has not seen the placement yet
                await self._schedule(pod)
        elif pod["metadata"]["uid"] not in self._launches and pod["status"].get("phase") == "Pending":
            await self._attach(pod)

    async def _reap(self) -> None:
        alive = {pod["metadata"]["uid"] for pod in self._world.all(POD)}
        for uid, launch in list(self._launches.items()):
            if uid not in alive and not launch.ending:
                launch.ending = True
                try:
                    await self._tear_down(launch)
                finally:
                    self._launches.pop(uid, None)

    async def _tear_down(self, launch: Launch) -> None:
        if launch.watcher is not None:
            launch.watcher.cancel()
        if launch.guest is not None:
            await launch.guest.quit()
        if launch.port is not None:
            await plumbing.remove(launch.port)

    async def _schedule(self, pod: Obj) -> None:
        vmi = self._vmi(pod)
        moving = MOVE_LABEL in pod["metadata"]["labels"]
        avoid = (vmi.get("status") or {}).get("nodeName", "") if vmi and moving else ""
        try:
            self._refuse_if_held(pod)
            app = pod["metadata"]["labels"].get("app", "")
            node = schedule.choose(pod, self._world.all(NODE), self._load(), self._load(app), avoid)
        except schedule.Unschedulable as error:
            await self._waiting(pod, "FailedScheduling", str(error))
            raise
        self._placed[pod["metadata"]["uid"]] = node, app
        await self._world.cluster.merge_patch(
            POD, pod["metadata"]["name"], {"spec": {"nodeName": node}}, namespace=pod["metadata"]["namespace"]
        )

    def _refuse_if_held(self, pod: Obj) -> None:
        vm = vm_of(pod)[1]
        order = orders.move_order(self.state, vm) if MOVE_LABEL in pod["metadata"]["labels"] else None
        if order is not None and order.at == "scheduling":
            raise schedule.Unschedulable("the scheduler is held", cause=f"lab fault hold-move {vm}")

    def _load(self, app: str | None = None) -> Counter[str]:
        """Launcher pods (of one app) by node, those included whose placement the cache has not seen yet."""
        alive = {pod["metadata"]["uid"] for pod in self._world.all(POD) if pod["status"].get("phase") != "Failed"}
        self._placed = {uid: place for uid, place in self._placed.items() if uid in alive}
        return Counter(node for node, its_app in self._placed.values() if app is None or its_app == app)

    def _vmi(self, pod: Obj) -> Obj | None:
        owners = pod["metadata"].get("ownerReferences") or []
        return self._world.get(VMI, (pod["metadata"]["namespace"], owners[0]["name"])) if owners else None

    async def _waiting(self, pod: Obj, reason: str, message: str) -> None:
        """Say once why the pod waits; the task that called retries."""
        if (pod.get("status") or {}).get("message") != message:
            await self._world.event(pod, "Warning", reason, message)
            status = {"phase": "Pending", "reason": reason, "message": message}
            await self._world.set_status(POD, key_of(pod), status)

    async def _attach(self, pod: Obj) -> None:
        """CNI ADD for every NIC; the pod runs when the agent has brought each port up."""
        vmi = self._vmi(pod)
        if vmi is None:
            return
        launch = Launch(pod, pod["spec"]["nodeName"])
        self._launches[pod["metadata"]["uid"]] = launch
        try:
            launch.nics = self._decide(vmi)
            network = launch.nics[0][0]["name"]
            launch.port = await plumbing.add(self._config, launch.node, pod["metadata"]["uid"], network)
            marks = objects.cni_annotations(launch.nics, launch.port.netns_path)
            await self._world.annotate(POD, key_of(pod), marks)
            await plumbing.wait_carrier(launch.port)
        except BasculeError as error:
            self._launches.pop(pod["metadata"]["uid"], None)
            await self._tear_down(launch)
            await self._waiting(pod, "FailedCreatePodSandBox", str(error))
            raise
        await self._world.set_status(POD, key_of(pod), {"phase": "Running", "reason": None, "message": None})

    def _decide(self, vmi: Obj) -> list[Nic]:
        networks = self._world.by_name(NETWORK)
        meta = vmi["metadata"]
        taken = self._taken()
        nics: list[Nic] = []
        for nic in objects.nics(vmi):
            nad = self._world.get(NAD, (nic["namespace"], nic["nad"]))
            if nad is None:
                raise ipam.AttachError(
                    f"cannot find a network-attachment-definition ({nic['nad']}) in namespace ({nic['namespace']})",
                    fix="create it, or correct spec.networks[].multus.networkName",
                )
            handle = f"{meta['namespace']}.{meta['name']}"
            wanted = objects.requested_ip(vmi, nic["name"])
            got = ipam.attach(nad, networks, self._world.all(IPPOOL), wanted, handle, taken)
            taken[got.ip] = handle
            nics.append((nic, {**vars(got), "mac": nic["mac"] or objects.mac_for(handle, nic["name"])}))
        return nics

    def _taken(self) -> dict[str, str]:
        held = {}
        for launch in self._launches.values():
            held.update({got["ip"]: ".".join(vm_of(launch.pod)) for _, got in launch.nics})
        return held

    async def start_guest(self, vmi: Obj, pod: Obj) -> None:
        """Start the pod's guest, from the template or, when it has disks, from these. Raises GuestError."""
        launch = self._launches[pod["metadata"]["uid"]]
        guest = self._new_guest(vmi, launch)
        if guest.spec.disks:
            await guest.start_cold()
        else:
            await guest.start_clone()
        self._running(launch, guest, vmi)

    async def start_incoming(self, vmi: Obj, pod: Obj) -> tuple[Guest, str]:
        """Start the pod's guest so that it waits for a migration; returns it and the uri. Raises GuestError."""
        launch = self._launches[pod["metadata"]["uid"]]
        guest = self._new_guest(vmi, launch)
        uri = await guest.start_incoming(node_migration(launch.node))
        self._running(launch, guest, vmi)
        return guest, uri

    def _new_guest(self, vmi: Obj, launch: Launch) -> Guest:
        if launch.port is None:
            raise GuestError(f"{vmi['metadata']['name']}: its pod is not attached")
        return self._make_guest(guest_spec(vmi, launch.nics, self._disks.files(vmi)), launch.port)

    def _running(self, launch: Launch, guest: Guest, vmi: Obj) -> None:
        launch.guest = guest
        launch.watcher = asyncio.create_task(self._watch(launch, guest, key_of(vmi)))

    async def _watch(self, launch: Launch, guest: Guest, vmi: Key) -> None:
        while guest.running:
            await asyncio.sleep(WATCH_S)
        log.warning("guest %s on %s ended", vmi[1], launch.node)
        while orders.lost_since(self.state, launch.node) is not None:  # a lost node's kubelet tells nobody
            await asyncio.sleep(WATCH_S)
        if self.on_guest_exit is not None:
            reason = f"the guest's {guest.kind} process {guest.pid} on {launch.node} ended"
            await self.on_guest_exit(key_of(launch.pod), vmi, reason)

    async def stop(self) -> None:
        """Tear every pod down."""
        await asyncio.gather(*(self._tear_down(launch) for launch in list(self._launches.values())))
        self._launches.clear()


def vm_of(pod: Obj) -> Key:
    """The VM whose launcher Pod this is."""
    return pod["metadata"]["namespace"], pod["metadata"]["labels"]["vm.kubevirt.io/name"]


def guest_spec(vmi: Obj, nics: list[Nic], disks: tuple[Path, ...]) -> GuestSpec:
    """What the guest is told: its first NIC, whom to talk to (the VMI's cloud-init user data), and its disks."""
    got: dict[str, Any] = nics[0][1]
    peers, every = objects.talk(vmi)
    return GuestSpec(
        name=vmi["metadata"]["name"],
        mac=got["mac"],
        ip=got["ip"],
        prefix=got["prefix"],
        gateway=got["gateway"],
        peers=peers,
        talk_every_s=every,
        disks=disks,
    )
