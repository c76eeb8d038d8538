"""One old side and one cluster for a run in process: the API server and agents are real (tests/console Live); what
speaks on the wire, the hypervisor, CDI and KubeVirt are stand-ins that share one truth, and refuse to have two ends
speak for one address."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import time_ns
from typing import Any

from bascule.errors import BasculeError, UnreachableError
from bascule.migration.run_fence import PROBES
from bascule_console.services.collect.hypervisor import GONE, OFF, ON, SHUT_DOWN, SourceDisk, VmGone
from bascule_console.services.disks import DiskError
from bascule_console.services.journal import Journal
from bascule_console.services.run.ends import Asked, Seen
from bascule_console.services.run.loaded import Loaded, load
from bascule_console.services.run.moving import Ends, Limits
from bascule_console.services.run.runner import Runner
from bascule_console.services.trunk_calls import TrunkAgents
from bascule_kube import Cluster
from bascule_kube.errors import NotFound
from bascule_kube.kinds import VM, VMI

DISK = bytes(range(256)) * 4096
QUICK = Limits(proof=0.2, silence=2.0, running=3.0, answer=3.0, gone=3.0, network=2.0, away=1.5)
NAMES = ("web-1", "db-1")


def uuid_of(name: str) -> str:
    """The old side's UUID of a VM."""
    return f"00000000-0000-4000-8000-{abs(hash(name)) % 10**12:012d}"


def address(name: str) -> tuple[int, str, str]:
    """(VLAN, IP, MAC) by the lab's scheme."""
    kind, number = name.rsplit("-", 1)
    vlan = {"web": 110, "db": 120}[kind]
    return vlan, f"10.{vlan}.0.{10 + int(number)}", f"52:54:00:00:{vlan:02x}:{int(number):02x}"


@dataclass
class Truth:
    """Who speaks. `power` by UUID, `running` targets by name; `intruder` answers for an address with its own MAC."""

    power: dict[str, str] = field(default_factory=dict)
    running: dict[str, str] = field(default_factory=dict)
    autostart: set[str] = field(default_factory=set)
    filled: dict[str, bytes] = field(default_factory=dict)
    prepared: dict[str, int] = field(default_factory=dict)
    intruder: dict[str, str] = field(default_factory=dict)
    broken_disk: str = ""
    deaf_places: set[str] = field(default_factory=set)
    hears_nobody: set[str] = field(default_factory=set)
    both: list[str] = field(default_factory=list)
    boots: bool = True
    node_lost: bool = False

    def speakers(self, ip: str) -> list[str]:
        """The MACs that answer for an address now."""
        found = []
        for name in NAMES:
            _, its, mac = address(name)
            if its != ip:
                continue
            ends = [self.power.get(uuid_of(name)) == ON, bool(self.running.get(name))]
            if all(ends):
                self.both.append(name)
            found += [mac] if any(ends) else []
        return found + ([self.intruder[ip]] if ip in self.intruder else [])


class Source:
    """The hypervisor's stand-in."""

    name = "test://old"

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self.away = False

    def _here(self, uuid: str) -> None:
        if self.away:
            raise UnreachableError("the source is away")
        if self._truth.power.get(uuid, GONE) == GONE:
            raise VmGone("the source has no such VM")

    async def files(self) -> list[tuple[str, bytes]]:
        return []

    async def power(self, uuid: str) -> str:
        if self.away:
            raise UnreachableError("the source is away")
        return self._truth.power.get(uuid, GONE)

    async def shut_down(self, uuid: str, seconds: float) -> str:
        self._here(uuid)
        self._truth.power[uuid] = OFF
        return SHUT_DOWN

    async def start(self, uuid: str) -> None:
        self._here(uuid)
        self._truth.power[uuid] = ON
        for name in NAMES:
            self._truth.speakers(address(name)[1])

    async def autostart(self, uuid: str, on: bool | None = None) -> bool:
        self._here(uuid)
        if on is not None:
            (self._truth.autostart.add if on else self._truth.autostart.discard)(uuid)
        return uuid in self._truth.autostart

    async def disks(self, uuid: str) -> list[SourceDisk]:
        self._here(uuid)
        return [SourceDisk("vda", "/old/disk.qcow2", "qcow2", len(DISK), len(DISK))]

    async def read(self, uuid: str, disk: SourceDisk) -> AsyncGenerator[bytes, None]:
        for at in range(0, len(DISK), 1 << 18):
            self._here(uuid)
            await asyncio.sleep(0)
            yield DISK[at : at + (1 << 18)]

    async def close(self) -> None:
        pass


class Claims:
    """CDI's stand-in."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth

    async def prepare(self, namespace: str, name: str, size_bytes: int) -> str:
        self._truth.prepared[name] = size_bytes
        return "UploadReady"

    async def upload(
        self,
        namespace: str,
        name: str,
        chunks: AsyncIterator[bytes],
        length: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        found = b""
        async for chunk in chunks:
            found += chunk
            if name == self._truth.broken_disk:
                raise DiskError(f"the storage is full: {name} was not written", "no space left on device")
        self._truth.filled[name] = found

    async def size(self, namespace: str, name: str) -> int:
        return len(self._truth.filled.get(name, b""))

    async def delete(self, namespace: str, name: str) -> None:
        self._truth.filled.pop(name, None)
        self._truth.prepared.pop(name, None)


class Air:
    """The wire's stand-in: places that hear who speaks, every 5 ms."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth

    async def places(self, avoid: str = "") -> list[str]:
        nodes = [name for name in ("node1", "node2") if name != avoid]
        return ["gateway", nodes[0]]

    async def probe(self, place: str, asked: Asked, seconds: float = 0.0) -> AsyncGenerator[Seen, None]:
        seq, end = 0, time_ns() + round(seconds * 1e9)
        while not seconds or time_ns() < end:
            if place in self._truth.deaf_places:
                raise UnreachableError(f"the agent of {place} does not answer")
            at = time_ns()
            who = [] if place in self._truth.hears_nobody else self._truth.speakers(asked.address)
            stays = asked.address not in {address(name)[1] for name in NAMES}
            heard = who or stays
            rx = at + 300_000 if heard else 0
            yield Seen((seq,), (at,), (rx,), 0, tuple(who) if asked.kind == "arp" else ())
            seq += 1
            await asyncio.sleep(max(asked.interval_ms / 1000 / PROBES, 0.004))


class KubeVirt:
    """Runs what VirtualMachines ask for: an instance with the template's identity, and the truth of who speaks."""

    def __init__(self, cluster: Cluster, truth: Truth) -> None:
        self._cluster = cluster
        self._truth = truth
        self._task = asyncio.create_task(self._loop())

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _loop(self) -> None:
        while True:
            wanted = set()
            for vm in await self._cluster.list(VM, namespace="vms"):
                name = vm["metadata"]["name"]
                if vm["spec"].get("runStrategy") == "Always" and not vm["metadata"].get("deletionTimestamp"):
                    wanted.add(name)
                    if name not in self._truth.running and self._truth.boots:
                        await self._start(name, vm)
            for name in set(self._truth.running) - wanted:
                if not self._truth.node_lost:
                    await self._stop(name)
            await asyncio.sleep(0.02)

    async def _start(self, name: str, vm: dict[str, Any]) -> None:
        template = vm["spec"]["template"]
        ip = json.loads(template["metadata"]["annotations"]["cni.projectcalico.org/net-0.ipAddrs"])[0]
        mac = template["spec"]["domain"]["devices"]["interfaces"][0]["macAddress"]
        document = {**VMI.of(name, "vms"), "spec": template["spec"]}
        try:
            there = await self._cluster.create(document)
        except BasculeError:
            there = await self._cluster.get(VMI, name, "vms")
        if self._truth.node_lost:
            self._truth.running[name] = ""
            await self._cluster.replace(
                {**there, "status": {"phase": "Scheduled", "nodeName": "node1"}}, subresource="status"
            )
            return
        interface = {"name": "net-0", "mac": mac, "ipAddress": ip, "ipAddresses": [ip]}
        status = {"phase": "Running", "nodeName": "node1", "interfaces": [interface]}
        await self._cluster.replace({**there, "status": status}, subresource="status")
        self._truth.running[name] = "node1"
        self._truth.speakers(ip)

    async def _stop(self, name: str) -> None:
        self._truth.running.pop(name, None)
        with suppress(NotFound):
            await self._cluster.delete(VMI, name, "vms")


def plan(path: Path) -> Loaded:
    """A plan of NAMES, a wave each, kept as the wizard keeps one."""
    vms, machines = [], []
    for wave, name in enumerate(NAMES, 1):
        vlan, ip, mac = address(name)
        nic = {"name": "net-0", "port_group": f"pg{vlan}", "network": "dc1", "vlan": vlan, "nad": f"vms/vlan-{vlan}",
               "mac": mac, "ip": ip, "dropped": [], "connected": True}  # fmt: skip
        key = f"/{uuid_of(name)}"
        vms.append({"key": key, "name": f"old {name}", "target": name, "wave": wave, "nics": [nic],
                    "labels": {"bascule.dev/wave": str(wave)}, "held": []})  # fmt: skip
        machines.append(machine(name, key, wave))
    empty: list[Any] = []
    document = {
        "format": "bascule-plan/1", "sources": empty, "options": {"namespace": "vms"}, "segments": empty,
        "trunks": empty, "waves": [{"number": 1, "members": [], "crossing": []}], "vms": vms, "claims": empty,
        "policy": {"files": empty}, "steps": empty, "open": empty, "documents": {"vms.yaml": machines},
    }  # fmt: skip
    path.write_text(json.dumps(document))
    return load(str(path))


def machine(name: str, key: str, wave: int) -> dict[str, Any]:
    """The VirtualMachine that migration/manifests.py would make."""
    vlan, ip, mac = address(name)
    labels = {"app": name, "bascule.dev/wave": str(wave)}
    spec = {
        "domain": {"devices": {"disks": [{"name": "disk-0", "disk": {"bus": "virtio"}}],
                               "interfaces": [{"name": "net-0", "bridge": {}, "macAddress": mac}]},
                   "memory": {"guest": "64Mi"}},
        "networks": [{"name": "net-0", "multus": {"networkName": f"vms/vlan-{vlan}"}}],
        "volumes": [{"name": "disk-0", "persistentVolumeClaim": {"claimName": f"{name}-disk-0"}}],
    }  # fmt: skip
    pinned = {"cni.projectcalico.org/net-0.ipAddrs": json.dumps([ip])}
    return {
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine",
        "metadata": {"name": name, "namespace": "vms", "labels": labels,
                     "annotations": {"bascule.dev/moved-from": key}},
        "spec": {"runStrategy": "Halted",
                 "template": {"metadata": {"labels": labels, "annotations": pinned}, "spec": spec}},
    }  # fmt: skip


class Bed:
    """Everything that a run needs, and the words to begin one again after a crash."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.truth = Truth(power={uuid_of(name): ON for name in NAMES})
        self.cluster = cluster
        self.source = Source(self.truth)
        self.journal = Journal(folder / "state" / "journal.jsonl", cluster.context, cluster.server)
        self.loaded = plan(folder / "plan.json")
        self.agents = TrunkAgents(cluster.bearer_token)
        self.kubevirt = KubeVirt(cluster, self.truth)
        self.told: list[Any] = []

    def runner(self) -> Runner:
        """A new process, as far as a run can tell."""
        ends = Ends(self.cluster, self.agents, self.journal, self.source, Claims(self.truth), Air(self.truth), QUICK)
        return Runner(self.loaded, ends, self.told.append)

    async def stop(self) -> None:
        """End what runs; two ends must never have spoken."""
        await self.kubevirt.stop()
        await self.agents.close()
        assert self.truth.both == [], f"both ends spoke: {self.truth.both}"
