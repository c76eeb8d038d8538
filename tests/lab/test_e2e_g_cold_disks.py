"""A disk of the old side on the cluster: uploaded, booted cold on its old address, moved live, deleted with its VM."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests_lab import PREFIX, STATE, Lab, until

from bascule_agent.netlink import in_netns
from bascule_console.services.disks import DiskError, Disks
from bascule_kube import Cluster
from bascule_kube.kinds import DATAVOLUME, PVC, VM, VMI
from bascule_lab.guests.disk import Identity, make

pytestmark = [pytest.mark.root, pytest.mark.qemu]
NAME, CLAIM, IP, MAC = "cold-1", "cold-1-disk-0", "10.110.0.90", "52:54:00:00:6e:90"
SIZE = 16 << 20


def machine(nad: str) -> dict[str, Any]:
    """A VirtualMachine as `bascule plan` writes it."""
    devices = {
        "disks": [{"name": "disk-0", "disk": {"bus": "virtio"}}],
        "interfaces": [{"name": "net-0", "bridge": {}, "model": "virtio", "macAddress": MAC}],
    }
    spec = {
        "evictionStrategy": "LiveMigrate",
        "domain": {"devices": devices},
        "networks": [{"name": "net-0", "multus": {"networkName": nad}}],
        "volumes": [{"name": "disk-0", "persistentVolumeClaim": {"claimName": CLAIM}}],
    }
    pinned = {"cni.projectcalico.org/net-0.ipAddrs": json.dumps([IP])}
    template = {"metadata": {"labels": {"app": NAME}, "annotations": pinned}, "spec": spec}
    return VM.of(NAME, "vms") | {"spec": {"runStrategy": "Halted", "template": template}}


async def chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as stream:
        while data := stream.read(1 << 18):
            yield data


async def bring(path: Path) -> None:
    """Prepare, upload, create the VM and start it by a change of its run strategy."""
    async with await Cluster.open(STATE / "kubeconfig") as cluster:
        disks = Disks(cluster)
        assert await disks.prepare("vms", CLAIM, SIZE) == "UploadReady"
        await disks.upload("vms", CLAIM, chunks(path), path.stat().st_size)
        assert await disks.size("vms", CLAIM) == SIZE
        web = await cluster.get(VM, "web-1", "vms")
        nad = web["spec"]["template"]["spec"]["networks"][0]["multus"]["networkName"]
        await cluster.create(machine(nad))
        await cluster.merge_patch(VM, NAME, {"spec": {"runStrategy": "Always"}}, namespace="vms")


async def take_away() -> None:
    async with await Cluster.open(STATE / "kubeconfig") as cluster:
        await cluster.delete(VM, NAME, namespace="vms")
        await Disks(cluster).delete("vms", CLAIM)


def answers() -> bool:
    command = ["busybox", "ping", "-c", "1", "-W", "1", "-q", IP]
    return in_netns(f"{PREFIX}-gw", lambda: subprocess.run(command, capture_output=True)).returncode == 0


def vmi() -> dict[str, Any]:
    async def get() -> dict[str, Any]:
        async with await Cluster.open(STATE / "kubeconfig") as cluster:
            return await cluster.get(VMI, NAME, "vms")

    return asyncio.run(get())


@pytest.fixture(scope="module")
def cold(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    path = tmp_path_factory.mktemp("old") / "old.qcow2"
    make(path, Identity(IP, gateway="10.110.0.1", boots=3, text="from the old side"), size=SIZE)
    asyncio.run(bring(path))
    try:
        until("the guest answers on its old address", answers, 90)
        yield lab
    finally:
        asyncio.run(take_away())
        assert list((STATE / "volumes").glob("*")) == [], "its disk went with it"


def test_it_runs_on_its_old_address_with_what_was_on_its_disk(cold: Lab) -> None:
    look = "cat /sys/class/net/eth0/address; for n in 1 2; do dd if=/dev/vda bs=512 skip=$n count=1; done"
    told = cold.guest(NAME, look)
    assert told.splitlines()[0] == MAC
    assert "BOOTS 4" in told and "from the old side" in told
    (disk,) = (STATE / "volumes").glob("*.img")
    assert disk.read_bytes()[512:].startswith(b"BOOTS 4\n"), "what the guest wrote is on the claim"
    gateway = in_netns(
        f"{PREFIX}-gw", lambda: subprocess.run(["ip", "-j", "neigh", "show", IP], capture_output=True, text=True)
    )
    assert [entry["lladdr"] for entry in json.loads(gateway.stdout)] == [MAC], "the outside sees its old MAC"


def test_it_moves_live_with_its_disk(cold: Lab) -> None:
    movable = {each["type"]: each for each in vmi()["status"]["conditions"]}["LiveMigratable"]
    assert movable["status"] == "True", movable
    cold.guest(NAME, "echo kept >/run/note")
    here = cold.node_of(NAME)
    there = next(node["name"] for node in cold.status()["nodes"] if node["name"] != here)
    cold.cli("vms", "move", NAME, "--to", there, "--max-gap", "30", check=None)
    until("it runs there", lambda: vmi()["status"]["nodeName"] == there, 30)
    write = "echo moved | dd of=/dev/vda bs=512 seek=2 conv=sync,notrunc,fsync"
    told = cold.guest(NAME, f"cat /run/note; {write}; dd if=/dev/vda bs=512 skip=2 count=1")
    assert "kept" in told and "moved" in told
    (disk,) = (STATE / "volumes").glob("*.img")
    assert disk.read_bytes()[1024:].startswith(b"moved\n")


def test_a_full_disk_is_told_and_leaves_nothing(cold: Lab) -> None:
    async def act() -> None:
        async with await Cluster.open(STATE / "kubeconfig") as cluster:
            disks = Disks(cluster)
            await disks.prepare("vms", "full", 1 << 20)
            try:
                with pytest.raises(DiskError, match="the storage is full"):
                    await disks.upload("vms", "full", chunks(Path(__file__)))
            finally:
                await disks.delete("vms", "full")

    assert cold.lab("fault", "disk-full", "on").json["disk_full"] is True
    try:
        asyncio.run(act())
    finally:
        cold.lab("fault", "disk-full", "off")
    assert len(list((STATE / "volumes").glob("*"))) == 1, "only the running VM's"


def test_a_claim_for_one_node_cannot_move(lab: Lab) -> None:
    """KubeVirt decides by the access mode, although the lab's file is seen by every node."""

    async def act() -> dict[str, Any]:
        async with await Cluster.open(STATE / "kubeconfig") as cluster:
            web = await cluster.get(VM, "web-1", "vms")
            nad = web["spec"]["template"]["spec"]["networks"][0]["multus"]["networkName"]
            vm = json.loads(json.dumps(machine(nad)).replace(NAME, "cold-2").replace(IP, "10.110.0.91"))
            vm = json.loads(json.dumps(vm).replace(MAC, "52:54:00:00:6e:91"))
            spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
            await cluster.create(PVC.of("cold-2-disk-0", "vms") | {"spec": spec})
            vm["spec"]["runStrategy"] = "Always"
            await cluster.create(vm)
            try:
                deadline = time.monotonic() + 60
                while time.monotonic() < deadline:
                    await asyncio.sleep(0.2)
                    found = await cluster.list(VMI, "vms", field_selector="metadata.name=cold-2")
                    if found and (found[0].get("status") or {}).get("phase") == "Running":
                        return found[0]
                raise AssertionError(found)
            finally:
                await cluster.delete(VM, "cold-2", namespace="vms")
                await cluster.delete(PVC, "cold-2-disk-0", namespace="vms")

    conditions = {each["type"]: each for each in asyncio.run(act())["status"]["conditions"]}
    assert conditions["LiveMigratable"]["reason"] == "DisksNotLiveMigratable"
    assert "ReadWriteMany" in conditions["LiveMigratable"]["message"]


def test_a_claim_of_a_running_vm_is_protected(cold: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bascule_console.services.disks.GONE_TIMEOUT_S", 1.0)

    async def act() -> None:
        async with await Cluster.open(STATE / "kubeconfig") as cluster:
            before = await cluster.get(DATAVOLUME, CLAIM, "vms")
            assert before["status"]["phase"] == "Succeeded"
            with pytest.raises(DiskError, match="is not gone"):
                await Disks(cluster).delete("vms", CLAIM)

    asyncio.run(act())
    assert answers()
    assert len(list((STATE / "volumes").glob("*.img"))) == 1
