"""CDI's stand-in, asked as curl and kubectl ask CDI: phases, tokens, every way an upload can end, and what is left."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests_cdi import MIB, Storage, storage_in

from bascule_kube.kinds import DATAVOLUME, EVENT, POD, PVC, VM, VMI
from bascule_lab.faults import orders
from bascule_lab.guests import qemu


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    async with storage_in(tmp_path / "state") as found:
        yield found


def qcow2(path: Path, data: bytes, size: int, *more: str) -> bytes:
    """A qcow2 image of `size` bytes that begins with `data`."""
    raw = path / "raw"
    raw.write_bytes(data)
    os.truncate(raw, size)
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", *more, raw, path / "qcow2"], check=True)
    return (path / "qcow2").read_bytes()


async def only_the_claim(storage: Storage, name: str) -> None:
    """The upload failed: nothing on the storage, and the claim waits for another."""
    assert storage.files == {}
    assert (await storage.cluster.get(DATAVOLUME, name, "vms"))["status"]["phase"] == "UploadReady"


async def test_an_image_becomes_a_raw_volume_of_the_claims_size(storage: Storage, tmp_path: Path) -> None:
    await storage.make("a")
    claim = await storage.cluster.get(PVC, "a", "vms")
    assert claim["status"] == {
        "phase": "Bound",
        "accessModes": ["ReadWriteMany"],
        "capacity": {"storage": str(4 * MIB)},
    }
    assert claim["metadata"]["ownerReferences"][0]["kind"] == "DataVolume"
    assert "cdi.kubevirt.io/storage.upload.target" in claim["metadata"]["annotations"]
    assert storage.files == {}
    assert await storage.post(await storage.token("a"), qcow2(tmp_path, b"hello", 2 * MIB)) == (200, "")
    volume = await storage.cluster.get(DATAVOLUME, "a", "vms")
    assert volume["status"]["phase"] == "Succeeded"
    assert {c["type"]: c["status"] for c in volume["status"]["conditions"]} == {
        "Bound": "True",
        "Ready": "True",
        "Running": "False",
    }
    disk = await storage.disk("a")
    assert storage.files == {disk.name: 4 * MIB}
    assert disk.read_bytes() == b"hello" + bytes(4 * MIB - 5)


async def test_without_the_right_token_nothing_is_taken(storage: Storage) -> None:
    await storage.make("a")
    await storage.make("b")
    assert (await storage.post("", b"x"))[0] == 400
    assert (await storage.post("", b"x", Authorization="Basic eDp5"))[0] == 400
    token = await storage.token("a")
    assert (await storage.post(token[:-3] + "abc", b"x"))[0] == 401
    assert (await storage.post((storage.state / "tokens").name, b"x"))[0] == 401
    await only_the_claim(storage, "a")
    assert (await storage.post(token, bytes(512)))[0] == 200
    assert list(storage.files) == [(await storage.disk("a")).name], "a token is for its own claim"
    assert (await storage.post(token, bytes(512)))[0] == 401, "and for one upload"
    status, text = await storage.post(await storage.token("a"), bytes(512))
    assert (status, text) == (503, "rejecting Upload Request for PVC a that already finished uploading")
    status, text = await storage.post(await storage.token("c"), bytes(512))
    assert (status, text) == (503, "rejecting Upload Request for PVC c that doesn't exist")


async def test_an_image_that_does_not_fit_is_refused(storage: Storage, tmp_path: Path) -> None:
    await storage.make("a")
    status, text = await storage.post(await storage.token("a"), qcow2(tmp_path, b"x", 8 * MIB))
    assert status == 400
    assert f"virtual image size {8 * MIB} is larger than the reported available storage {4 * MIB}" in text
    await only_the_claim(storage, "a")
    assert (await storage.post(await storage.token("a"), bytes(4 * MIB + 1)))[0] == 400, "raw just as well"
    await only_the_claim(storage, "a")


async def test_an_image_that_is_broken_or_reaches_outside_is_refused(storage: Storage, tmp_path: Path) -> None:
    await storage.make("a")
    status, text = await storage.post(await storage.token("a"), b"QFI\xfb" + bytes(range(200)))
    assert status == 500 and text.startswith("Saving stream failed: qemu-img info execution failed")
    await only_the_claim(storage, "a")
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 4096)
    image = tmp_path / "outside"
    words = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", image]
    subprocess.run(words, check=True)
    status, text = await storage.post(await storage.token("a"), image.read_bytes())
    assert status == 500 and "backing file" in text
    words = ["qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={secret},data_file_raw=on", image, "4096"]
    subprocess.run(words, check=True)
    status, text = await storage.post(await storage.token("a"), image.read_bytes())
    assert status == 500 and "backing file" in text
    await only_the_claim(storage, "a")


async def test_a_body_that_is_cut_off_leaves_the_claim_as_it_was(storage: Storage) -> None:
    await storage.make("a")

    seen: list[list[str]] = []

    async def half() -> AsyncIterator[bytes]:
        yield bytes(MIB)
        await asyncio.sleep(0.2)
        seen.append(list(storage.files))
        raise ConnectionAbortedError("the source died")

    for headers in ({}, {"Content-Length": str(3 * MIB)}):
        with pytest.raises(aiohttp.ClientError):
            await storage.post(await storage.token("a"), half(), **headers)
        for _ in range(100):
            if storage.files == {}:
                break
            await asyncio.sleep(0.02)
        await only_the_claim(storage, "a")
        assert seen.pop()[0].endswith(".scratch"), "it was on its way"
    assert (await storage.post(await storage.token("a"), bytes(MIB)))[0] == 200


async def test_a_full_disk_is_told_and_nothing_stays(storage: Storage) -> None:
    await storage.make("a")
    orders.fill_disk(storage.state, True)
    status, text = await storage.post(await storage.token("a"), bytes(MIB))
    assert status == 400 and "no space left on device" in text
    await only_the_claim(storage, "a")
    orders.fill_disk(storage.state, False)
    assert (await storage.post(await storage.token("a"), bytes(MIB)))[0] == 200


async def test_a_claim_goes_with_its_data_volume_and_its_file_with_it(storage: Storage) -> None:
    await storage.make("a")
    await storage.post(await storage.token("a"), bytes(MIB))
    assert len(storage.files) == 1
    await storage.cluster.delete(DATAVOLUME, "a", namespace="vms")
    await storage.gone(PVC, "a")
    assert storage.files == {}


async def test_a_claim_that_a_pod_uses_stays_until_the_pod_goes(storage: Storage) -> None:
    await storage.make("a")
    await storage.post(await storage.token("a"), bytes(MIB))
    volumes = [{"name": "disk0", "persistentVolumeClaim": {"claimName": "a"}}]
    spec = {"containers": [{"name": "c", "image": "i"}], "volumes": volumes}
    pod = POD.of("p", "vms") | {"spec": spec}
    pod["metadata"]["labels"] = {"app": "other"}
    await storage.cluster.create(pod)
    await asyncio.sleep(0.3)
    await storage.cluster.delete(DATAVOLUME, "a", namespace="vms")
    await storage.until(PVC, "a", lambda claim: "deletionTimestamp" in claim["metadata"])
    await asyncio.sleep(0.3)
    assert len(storage.files) == 1
    await storage.cluster.delete(POD, "p", namespace="vms")
    await storage.gone(PVC, "a")
    assert storage.files == {}


async def test_an_upload_whose_claim_is_deleted_under_it_leaves_nothing(storage: Storage) -> None:
    await storage.make("a")

    async def slow() -> AsyncIterator[bytes]:
        yield bytes(MIB)
        await storage.cluster.delete(DATAVOLUME, "a", namespace="vms")
        await storage.gone(PVC, "a")
        yield bytes(MIB)

    await storage.post(await storage.token("a"), slow())
    assert storage.files == {}


async def test_somebody_elses_claim_is_not_touched(storage: Storage) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    await storage.cluster.create(PVC.of("a", "vms") | {"spec": spec})
    await storage.until(PVC, "a", lambda claim: claim["status"]["phase"] == "Bound")
    assert list(storage.files.values()) == [MIB], "a plain claim gets an empty volume"
    wanted = {"source": {"upload": {}}, "storage": {"resources": {"requests": {"storage": "1Mi"}}}}
    await storage.cluster.create(DATAVOLUME.of("a", "vms") | {"spec": wanted})
    volume = await storage.phase("a", "Pending")
    assert "already exists and is not managed by DataVolume" in volume["status"]["conditions"][0]["message"]
    events = await storage.cluster.list(EVENT, "vms")
    assert [each["reason"] for each in events] == ["ErrResourceExists"]


async def test_other_sources_are_refused_in_words(storage: Storage) -> None:
    spec = {"source": {"http": {"url": "http://x"}}, "pvc": {"resources": {"requests": {"storage": "1Mi"}}}}
    await storage.cluster.create(DATAVOLUME.of("a", "vms") | {"spec": spec})
    volume = await storage.phase("a", "Pending")
    assert "uploads only" in volume["status"]["conditions"][0]["message"]


def test_disks_are_attached_in_order_and_a_machine_without_is_the_templates() -> None:
    none = qemu.Machine(Path("v"), Path("i"), Path("s"), 3, "02:00:00:00:00:01")
    two = replace(none, disks=(Path("/a.img"), Path("/b.img")))
    added = [word for word in qemu.command(two) if word not in qemu.command(none)]
    assert [word for word in added if "file=" in word] == [
        "if=none,id=d0,format=raw,file=/a.img",
        "if=none,id=d1,format=raw,file=/b.img",
    ]
    assert [word for word in added if "virtio-blk" in word][0].endswith("drive=d0,id=disk0")


def machine(claim: str) -> dict[str, Any]:
    networks = [{"name": "net-0", "multus": {"networkName": "none"}}]
    volumes = [{"name": "disk-0", "persistentVolumeClaim": {"claimName": claim}}]
    spec = {"domain": {"devices": {"interfaces": [{"name": "net-0"}]}}, "networks": networks, "volumes": volumes}
    return VM.of("old", "vms") | {"spec": {"runStrategy": "Always", "template": {"spec": spec}}}


async def test_a_vm_waits_for_its_claim_and_says_for_what(storage: Storage) -> None:
    def waits(reason: str) -> Any:
        return lambda vmi: (
            (vmi.get("status") or {}).get("phase") == "Pending" and vmi["status"]["conditions"][0]["reason"] == reason
        )

    def shows(word: str) -> Any:
        return lambda vm: (vm.get("status") or {}).get("printableStatus") == word

    await storage.cluster.create(machine("a"))
    await storage.until(VMI, "old", waits("FailedPvcNotFound"))
    await storage.until(VM, "old", shows("ErrorPvcNotFound"))
    await storage.make("a")
    await storage.until(VMI, "old", waits("NotAllDVsReady"))
    await storage.until(VM, "old", shows("Provisioning"))
    assert await storage.cluster.list(POD, "vms") == []
    assert (await storage.post(await storage.token("a"), bytes(MIB)))[0] == 200
    await storage.until(VMI, "old", lambda vmi: vmi["status"]["phase"] == "Scheduling")
    (pod,) = await storage.cluster.list(POD, "vms")
    assert pod["spec"]["volumes"][0]["persistentVolumeClaim"] == {"claimName": "a"}
