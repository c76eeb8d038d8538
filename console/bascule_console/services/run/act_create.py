"""Steps `create` and `disks`: a halted VirtualMachine whose claims wait for bytes, and the bytes."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from bascule.migration.manifests import FROM
from bascule.resources.kubevirt import VirtualMachine
from bascule.resources.read import dig, items, text
from bascule_console.services.collect.hypervisor import GONE, OFF, SourceDisk, SourceFault
from bascule_console.services.run.act_network import applied
from bascule_console.services.run.moving import Evidence, Moving, StepFailed
from bascule_kube.cluster import Obj
from bascule_kube.errors import NotFound
from bascule_kube.kinds import VM, VMI

_TELL_EVERY_S = 0.5


class CreateAct:
    """All that can be done while the source still runs."""

    async def check(self, vm: Moving) -> Evidence:
        """Nobody has the name, the source has the disks that the plan knows, and none of them was filled before."""
        there = await machine(vm)
        if there is not None and (not _ours(there, vm) or VirtualMachine.of(there).run_strategy != "Halted"):
            cause = "it is not the one that this plan makes" if not _ours(there, vm) else "it is meant to run"
            raise StepFailed(f"there is a VirtualMachine {vm.place} already", cause, "delete it, or plan another name")
        disks = await vm.source_disks()
        volumes = items(dig(vm.loaded.machines[vm.name].object, "spec", "template", "spec", "volumes"))
        if len(volumes) != len(disks):
            cause = f"the plan has {len(volumes)}, the source has {len(disks)}: {', '.join(d.name for d in disks)}"
            raise StepFailed(f"the disks of {vm.planned.name} are not those of the plan", cause, "plan build again")
        shared = [disk.name for disk in disks if disk.shared]
        if shared:
            raise StepFailed(f"disk {shared[0]} of {vm.planned.name} is shared", "a copy would part its users",
                             "move them by hand")  # fmt: skip
        for number in range(len(disks)):
            if await vm.ends.disks.size(vm.namespace, vm.disk(number)):
                cause = "what it holds is not from this run"
                fix = f"kubectl delete datavolume -n {vm.namespace} {vm.disk(number)}"
                raise StepFailed(f"the claim {vm.namespace}/{vm.disk(number)} is filled already", cause, fix)
        return {"disks": [{"name": d.name, "format": d.format, "capacity": d.capacity, "stored": d.stored}
                          for d in disks]}  # fmt: skip

    async def apply(self, vm: Moving) -> Evidence:
        """The VirtualMachine, halted, and its claims ready for an upload."""
        changed = await applied(vm, [vm.loaded.machines[vm.name]])
        disks = await vm.source_disks()
        phases = await asyncio.gather(*(vm.ends.disks.prepare(vm.namespace, vm.disk(number), disk.capacity)
                                        for number, disk in enumerate(disks)))  # fmt: skip
        return {"applied": changed, "claims": list(phases)}

    async def verify(self, vm: Moving) -> Evidence:
        """It is accepted and halted."""
        there = await machine(vm)
        if there is None:
            raise StepFailed(f"VirtualMachine {vm.place} was deleted meanwhile")
        if VirtualMachine.of(there).run_strategy != "Halted":
            raise StepFailed(f"VirtualMachine {vm.place} is not halted", "somebody means it to run")
        return {"uid": text(dig(there, "metadata", "uid"))}

    async def revert(self, vm: Moving) -> Evidence:
        """Delete it, and its claims."""
        there = await machine(vm)
        if there is not None:
            if not _ours(there, vm):
                raise StepFailed(f"VirtualMachine {vm.place} is not the one that this run made", "it is left alone")
            try:
                await vm.ends.cluster.delete(VM, vm.name, vm.namespace)
            except NotFound:
                pass
            else:
                vm.ends.journal.append("plan rollback", there, None)
            await _until_gone(vm)
        return {"deleted": await delete_disks(vm)}


class DisksAct:
    """The copy: what it takes is outage."""

    async def check(self, vm: Moving) -> Evidence:
        """The source is off."""
        await source_is_off(vm)
        return {}

    async def apply(self, vm: Moving) -> Evidence:
        """Stream every disk to its claim; one that arrived before a crash is not sent again."""
        found = []
        for number, disk in enumerate(await vm.source_disks()):
            name = vm.disk(number)
            if await vm.ends.disks.size(vm.namespace, name):
                found.append({"name": disk.name, "claim": name, "bytes": disk.stored, "before": True})
                continue
            await vm.ends.disks.prepare(vm.namespace, name, disk.capacity)
            began, digest = time.monotonic(), hashlib.sha256()
            chunks = _told(vm, disk, digest, began)
            async with aclosing(chunks):
                await vm.ends.disks.upload(vm.namespace, name, chunks, disk.stored)
            seconds = round(time.monotonic() - began, 3)
            found.append({"name": disk.name, "claim": name, "bytes": disk.stored, "capacity": disk.capacity,
                          "seconds": seconds, "sha256": digest.hexdigest()})  # fmt: skip
        return {"disks": found}

    async def verify(self, vm: Moving) -> Evidence:
        """Every claim is whole and has room for what the guest had; the source was not started meanwhile."""
        sizes = []
        for number, disk in enumerate(await vm.source_disks()):
            size = await vm.ends.disks.size(vm.namespace, vm.disk(number))
            if size < disk.capacity:
                cause = f"{size} bytes, the source's {disk.name} has {disk.capacity}"
                raise StepFailed(f"the claim {vm.namespace}/{vm.disk(number)} is not whole", cause)
            sizes.append(size)
        await source_is_off(vm)
        return {"sizes": sizes}

    async def revert(self, vm: Moving) -> Evidence:
        """Delete the copies, unless they are all that is left."""
        if await vm.ends.source.power(vm.uuid) == GONE:
            raise StepFailed(
                f"the copies of {vm.planned.name} are kept: the source has no such VM any more",
                "they are the last that is left of its disks",
                "restore it on the old side and roll back again, or start the target by hand",
            )
        return {"deleted": await delete_disks(vm)}


async def machine(vm: Moving) -> Obj | None:
    """The target's VirtualMachine, None when there is none."""
    try:
        return await vm.ends.cluster.get(VM, vm.name, vm.namespace)
    except NotFound:
        return None


async def instance(vm: Moving) -> Obj | None:
    """The target's running instance, None when there is none."""
    try:
        return await vm.ends.cluster.get(VMI, vm.name, vm.namespace)
    except NotFound:
        return None


async def source_is_off(vm: Moving) -> None:
    """Raises StepFailed that turns around when the source runs again: what was copied is old then."""
    power = await vm.ends.source.power(vm.uuid)
    if power == GONE:
        raise SourceFault(f"the source has no VM {vm.planned.name} any more", "it was deleted while it was moved",
                          f"bascule plan status; the copy, where there is one, is {vm.disk(0)}")  # fmt: skip
    if power != OFF:
        raise StepFailed(f"{vm.planned.name} was started again on the old side", f"its power is {power}",
                         "its disks are being written: the move begins anew", turn=True)  # fmt: skip


async def delete_disks(vm: Moving) -> list[str]:
    """Take the claims of this VM away."""
    volumes = items(dig(vm.loaded.machines[vm.name].object, "spec", "template", "spec", "volumes"))
    names = [vm.disk(number) for number in range(len(volumes))]
    for name in names:
        await vm.ends.disks.delete(vm.namespace, name)
    return names


async def _until_gone(vm: Moving) -> None:
    deadline = time.monotonic() + vm.ends.limits.gone
    while await machine(vm) is not None or await instance(vm) is not None:
        if time.monotonic() > deadline:
            raise StepFailed(f"{vm.place} is not gone after {vm.ends.limits.gone:.0f} s", "its node may be away",
                             "bascule nodes list")  # fmt: skip
        await asyncio.sleep(0.1)


def _ours(there: Obj, vm: Moving) -> bool:
    return text(dig(there, "metadata", "annotations", FROM)) == vm.planned.key


async def _told(vm: Moving, disk: SourceDisk, digest: hashlib._Hash, began: float) -> AsyncGenerator[bytes, None]:
    """The bytes of a disk, counted and summed on their way."""
    done, told = 0, 0.0
    async with aclosing(vm.ends.source.read(vm.uuid, disk)) as chunks:
        async for chunk in chunks:
            digest.update(chunk)
            yield chunk
            done += len(chunk)
            now = time.monotonic()
            if now - told > _TELL_EVERY_S or done == disk.stored:
                told = now
                vm.progress("disks", done, disk.stored, began)
