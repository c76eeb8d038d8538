"""Disks to their claims by Bascule's own client, against the lab's CDI: the good way, and one error for each bad."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests_cdi import MIB, Storage, storage_in

from bascule.errors import BasculeError, RefusedError, UnreachableError
from bascule_console.services import diskproxy, disks
from bascule_console.services.disks import DiskError, Disks
from bascule_kube.kinds import CDICONFIG, DATAVOLUME, PVC
from bascule_lab.apiserver.certs import make_certificates
from bascule_lab.faults import orders

# qcow2 version 3 by its first bytes, and nothing that follows from them
BROKEN = b"QFI\xfb\0\0\0\3" + bytes(600)


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    async with storage_in(tmp_path / "state") as found:
        yield found


@pytest.fixture
def client(storage: Storage) -> Disks:
    return Disks(storage.cluster)


async def pieces(data: bytes, each: int = 300_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), each):
        yield data[start : start + each]


async def point_to(storage: Storage, url: str) -> None:
    await storage.cluster.merge_patch(CDICONFIG, "config", {"status": {"uploadProxyURL": url}}, subresource="status")


def explains(error: BasculeError, storage: Storage) -> str:
    """Every message says what, why and what next, and none a secret."""
    assert error.message and error.cause and error.fix, str(error)
    secrets = (storage.kubeconfig.read_text().partition("token: ")[2].splitlines()[0], "Bearer", "eyJ")
    assert not any(secret in str(error) for secret in secrets)
    return str(error)


async def test_a_disk_arrives_and_is_told_of_on_the_way(storage: Storage, client: Disks) -> None:
    data = hashlib.shake_256(b"disk").digest(MIB)
    assert await client.prepare("vms", "a", 2 * MIB) == "UploadReady"
    assert await client.size("vms", "a") == 0
    told: list[int] = []
    await client.upload("vms", "a", pieces(data), len(data), told.append)
    assert told == [300_000, 600_000, 900_000, MIB]
    assert await client.size("vms", "a") == 2 * MIB
    assert (await storage.disk("a")).read_bytes() == data + bytes(MIB)
    assert await client.prepare("vms", "a", 2 * MIB) == "Succeeded", "a run that resumes is told that it is there"
    with pytest.raises(RefusedError, match="is filled already") as caught:
        await client.upload("vms", "a", pieces(data))
    explains(caught.value, storage)
    await client.delete("vms", "a")
    await client.delete("vms", "a")
    assert storage.files == {} and await client.size("vms", "a") == 0


async def test_what_was_prepared_before_is_found_again(storage: Storage, client: Disks) -> None:
    assert await client.prepare("vms", "a", MIB) == "UploadReady"
    uid = (await storage.cluster.get(PVC, "a", "vms"))["metadata"]["uid"]
    again = Disks(storage.cluster)
    assert await again.prepare("vms", "a", MIB) == "UploadReady"
    await again.upload("vms", "a", pieces(bytes(MIB)))
    assert (await storage.cluster.get(PVC, "a", "vms"))["metadata"]["uid"] == uid
    with pytest.raises(RefusedError, match="too small") as caught:
        await client.prepare("vms", "a", 2 * MIB)
    assert str(2 * MIB) in explains(caught.value, storage)


async def test_without_preparation_an_upload_still_finds_its_way(storage: Storage, client: Disks) -> None:
    await client.prepare("vms", "a", MIB)
    await Disks(storage.cluster).upload("vms", "a", pieces(b"x" * 512), 512)
    assert await client.size("vms", "a") == MIB


async def test_a_claim_of_somebody_else_is_refused_and_kept(storage: Storage, client: Disks) -> None:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    await storage.cluster.create(PVC.of("a", "vms") | {"spec": spec})
    await storage.make("b")
    for name in ("a", "b"):
        for act in (client.prepare("vms", name, MIB), client.delete("vms", name)):
            with pytest.raises(RefusedError, match="not Bascule's") as caught:
                await act
            explains(caught.value, storage)
    await storage.cluster.get(PVC, "a", "vms")
    await storage.cluster.get(DATAVOLUME, "b", "vms")


async def test_a_cluster_without_cdi_or_without_its_proxy(storage: Storage) -> None:
    await storage.cluster.merge_patch(CDICONFIG, "config", {"status": {"uploadProxyURL": None}}, subresource="status")
    with pytest.raises(RefusedError, match="not exposed") as caught:
        await Disks(storage.cluster).prepare("vms", "a", MIB)
    explains(caught.value, storage)
    await storage.cluster.delete(CDICONFIG, "config")
    with pytest.raises(RefusedError, match="no CDI") as caught:
        await Disks(storage.cluster).prepare("vms", "a", MIB)
    explains(caught.value, storage)


async def refused(storage: Storage, client: Disks, kind: type[BasculeError], words: str, data: bytes) -> str:
    """An upload that fails, leaves nothing, and can be made again."""
    with pytest.raises(kind, match=words) as caught:
        await client.upload("vms", "a", pieces(data), len(data))
    assert storage.files == {}
    assert await client.prepare("vms", "a", MIB) == "UploadReady"
    return explains(caught.value, storage)


async def test_what_the_storage_does_not_take(storage: Storage, client: Disks) -> None:
    await client.prepare("vms", "a", MIB)
    assert "larger" in await refused(storage, client, RefusedError, "bigger than its claim", bytes(2 * MIB))
    assert "qemu-img" in await refused(storage, client, DiskError, "could not use the image", BROKEN)
    orders.fill_disk(storage.state, True)
    for size in (MIB, 32 * MIB):
        assert "no space left" in await refused(storage, client, DiskError, "storage is full", bytes(size))
    orders.fill_disk(storage.state, False)
    await client.upload("vms", "a", pieces(bytes(MIB)))


async def test_a_source_that_dies_or_lies_about_its_length(storage: Storage, client: Disks) -> None:
    await client.prepare("vms", "a", MIB)

    async def dying() -> AsyncIterator[bytes]:
        yield bytes(1000)
        raise BasculeError("the hypervisor went away")

    with pytest.raises(BasculeError, match="^the hypervisor went away$"):
        await client.upload("vms", "a", dying(), MIB)
    with pytest.raises(DiskError, match="ended after 1000 of 2000"):
        await client.upload("vms", "a", pieces(bytes(1000)), 2000)
    with pytest.raises(DiskError, match="more than the 500"):
        await client.upload("vms", "a", pieces(bytes(1000)), 500)
    assert storage.files == {}
    await client.upload("vms", "a", pieces(bytes(1000)), 1000)


async def test_a_token_that_is_not_taken_is_asked_for_anew(storage: Storage, client: Disks) -> None:
    await client.prepare("vms", "a", MIB)
    token = client._tokens["vms", "a"]
    await client.upload("vms", "a", pieces(bytes(512)))
    await client.delete("vms", "a")
    await client.prepare("vms", "a", MIB)
    client._tokens["vms", "a"] = token
    with pytest.raises(RefusedError, match="refused the upload token") as caught:
        await client.upload("vms", "a", pieces(bytes(512)))
    explains(caught.value, storage)
    await client.upload("vms", "a", pieces(bytes(512)))


async def test_a_proxy_that_is_not_there_or_not_trusted(storage: Storage, tmp_path: Path) -> None:
    await Disks(storage.cluster).prepare("vms", "a", MIB)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        closed = taken.getsockname()[1]
    await point_to(storage, f"https://127.0.0.1:{closed}")
    with pytest.raises(UnreachableError, match="does not answer") as caught:
        await Disks(storage.cluster).upload("vms", "a", pieces(bytes(512)))
    explains(caught.value, storage)
    foreign = make_certificates()
    (tmp_path / "pem").write_bytes(foreign.server + foreign.server_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem")
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        await point_to(storage, f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(UnreachableError, match="certificate that is not trusted") as caught:
            await Disks(storage.cluster).upload("vms", "a", pieces(bytes(512)))
        explains(caught.value, storage)
    await point_to(storage, "https://127.0.0.1")


async def cut(storage: Storage, when: Callable[[int, bool], bool]) -> asyncio.Server:
    """A relay before the upload proxy that ends a connection when `when(bytes from the client, the proxy speaks)`."""
    host, _, port = (await storage.url()).removeprefix("https://").partition(":")

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(host, int(port))
        sent = 0

        async def back() -> None:
            while data := await there[0].read(65536):
                if when(sent, True):
                    writer.transport.abort()
                    return
                writer.write(data)

        task = asyncio.create_task(back())
        while data := await reader.read(65536):
            sent += len(data)
            if when(sent, False):
                there[1].transport.abort()
                writer.transport.abort()
                break
            there[1].write(data)
        await asyncio.gather(task, return_exceptions=True)
        writer.close()
        there[1].close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    await point_to(storage, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    return server


async def test_a_connection_that_breaks_half_way(storage: Storage) -> None:
    await Disks(storage.cluster).prepare("vms", "a", 8 * MIB)
    async with await cut(storage, lambda sent, _: sent > 2 * MIB):
        # which of the two depends on how much the kernel's buffers had taken when the connection broke
        with pytest.raises(DiskError, match="cut off after|gave no answer") as caught:
            await Disks(storage.cluster).upload("vms", "a", pieces(bytes(8 * MIB)), 8 * MIB)
        explains(caught.value, storage)
    for _ in range(100):
        if storage.files == {}:
            break
        await asyncio.sleep(0.02)
    assert storage.files == {}


async def test_an_answer_that_is_lost_is_looked_up(storage: Storage) -> None:
    """The bytes arrived and only the 200 did not: that is no failure."""
    client = Disks(storage.cluster)
    await client.prepare("vms", "a", 2 * MIB)
    async with await cut(storage, lambda sent, answer: answer and sent > 2 * MIB):
        other = Disks(storage.cluster)
        await other.upload("vms", "a", pieces(bytes(2 * MIB)), 2 * MIB)
    assert await client.size("vms", "a") == 2 * MIB


async def test_a_claim_that_never_gets_ready_says_what_cdi_says(
    storage: Storage, client: Disks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disks, "READY_TIMEOUT_S", 0.5)
    doc: dict[str, Any] = disks.cdi.data_volume("vms", "a", MIB)
    doc["spec"]["source"]["http"] = {"url": "http://x"}
    del doc["spec"]["storage"]["resources"]
    await storage.cluster.create(doc)
    with pytest.raises(DiskError, match="is Pending after") as caught:
        await client.prepare("vms", "a", MIB)
    assert "takes uploads only" in explains(caught.value, storage)


@pytest.mark.parametrize(
    ("status", "said", "kind", "words"),
    [
        (400, "", diskproxy.DiskRefused, "refused the upload token"),
        (401, "", diskproxy.DiskRefused, "refused the upload token"),
        (413, "<html>too large</html>", diskproxy.DiskRefused, "a proxy before"),
        (409, "", diskproxy.DiskRefused, "filled already"),
        (503, "timed out waiting for the condition", DiskError, "not ready"),
        (504, "<html>gateway</html>", diskproxy.AnswerLost, "gave up waiting"),
        (500, "", DiskError, "did not take"),
        (500, "Saving stream failed: unexpected EOF", DiskError, "could not use"),
        (400, "Saving stream failed: effective image size is larger than …", diskproxy.DiskRefused, "bigger"),
        (500, "Saving stream failed: write /data: no space left on device", DiskError, "storage is full"),
    ],
)
def test_every_answer_of_cdi_has_its_words(status: int, said: str, kind: type[DiskError], words: str) -> None:
    error = diskproxy.refusal(status, said, "vms/a", "proxy:443")
    assert type(error) is kind and words in error.message
    assert error.cause and error.fix and error.exit_code
