"""Disks of a real libvirt host as a stream, and a connection that dies: libvirtd in a namespace of its own, no VM runs.

The witness of the bytes is the file itself; QEMU's own tool made it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bascule_console.services.collect.hypervisor import (
    ALREADY_OFF,
    OFF,
    SourceFault,
    SourceRefused,
    SourceUnreachable,
    connect,
)

libvirt = pytest.importorskip("libvirt", reason="python3-libvirt is not installed")
NEEDED = ("libvirtd", "qemu-img", "qemu-system-x86_64", "ip", "unshare")
pytestmark = [
    pytest.mark.root,
    pytest.mark.qemu,
    pytest.mark.skipif(not all(map(shutil.which, NEEDED)), reason="libvirtd or QEMU is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]
UUID = "dddddddd-0000-4000-8000-000000000001"
DOMAIN = """<domain type="qemu"><name>old-1</name><uuid>{uuid}</uuid><memory unit="MiB">64</memory><vcpu>1</vcpu>
<os><type arch="x86_64">hvm</type></os><devices><disk type="file" device="disk"><driver name="qemu" type="{format}"/>
<source file="{path}"/><target dev="vda" bus="virtio"/></disk></devices></domain>"""


@dataclass(frozen=True)
class Host:
    """A running libvirtd, and libvirt's own connection to it as the second opinion."""

    uri: str
    daemon: subprocess.Popen[bytes]
    images: Path
    own: Any

    def define(self, path: Path, kind: str = "qcow2") -> None:
        """Give the VM this disk."""
        self.own.defineXML(DOMAIN.format(uuid=UUID, path=path, format=kind))

    def pools(self) -> list[str]:
        """The pools that are there now."""
        return sorted(pool.name() for pool in self.own.listAllStoragePools(0))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    from bascule_lab.hypervisor import daemon
    from bascule_lab.hypervisor.places import Places

    root, netns = tmp_path_factory.mktemp("old"), f"bct-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", netns], check=True)
    places = Places(root)
    own = process = None
    try:
        daemon.write_files(places)
        process = daemon.start(places, netns)
        own = libvirt.open(places.uri)
        yield Host(places.uri, process, places.images, own)
    finally:
        if own is not None:
            own.close()
        if process is not None:
            process.kill()
            process.wait()
        subprocess.run(["ip", "netns", "del", netns], check=True)


def image(path: Path, size: int = 3 << 20) -> Path:
    """A qcow2 of random bytes, larger than one piece."""
    plain = path.with_suffix(".bytes")
    plain.write_bytes(os.urandom(size))
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", plain, path], check=True)
    plain.unlink()
    return path


async def test_a_disk_is_read_whole_from_where_it_lies(host: Host) -> None:
    path = image(host.images / "old-1.qcow2")
    host.define(path)
    assert host.pools() == []
    source = await connect(host.uri, write=True)
    assert await source.power(UUID) == OFF and await source.shut_down(UUID, 5.0) == ALREADY_OFF
    (disk,) = await source.disks(UUID)
    assert (disk.name, disk.path, disk.format, disk.capacity) == ("vda", str(path), "qcow2", 3 << 20)
    assert disk.stored == path.stat().st_size
    pieces = [piece async for piece in source.read(UUID, disk)]
    assert len(pieces) > 1 and max(map(len, pieces)) <= 1 << 20
    assert hashlib.sha256(b"".join(pieces)).digest() == hashlib.sha256(path.read_bytes()).digest()
    begun = source.read(UUID, disk)
    await anext(begun)
    await begun.aclose()
    assert await source.power(UUID) == OFF, "a reading that is left off leaves the connection usable"
    assert len(host.pools()) == 1
    await source.close()
    assert host.pools() == [], "the pool that was needed is gone"


async def test_a_pool_that_is_defined_and_stopped_is_used_and_stopped_again(host: Host) -> None:
    path = image(host.images / "old-2.qcow2")
    host.define(path)
    pool = host.own.storagePoolDefineXML(
        f"<pool type='dir'><name>p</name><target><path>{path.parent}</path></target></pool>"
    )
    try:
        source = await connect(host.uri, write=True)
        (disk,) = await source.disks(UUID)
        assert b"".join([piece async for piece in source.read(UUID, disk)]) == path.read_bytes()
        assert pool.isActive()
        await source.close()
        assert not pool.isActive() and host.pools() == ["p"]
    finally:
        pool.undefine()


async def test_a_layer_and_a_disk_that_changed_are_not_read(host: Host) -> None:
    path, layer = image(host.images / "below.qcow2"), host.images / "layer.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", path, "-F", "qcow2", layer], check=True)
    host.define(layer)
    source = await connect(host.uri, write=True)
    try:
        (disk,) = await source.disks(UUID)  # no pool looks at it yet
        with pytest.raises(SourceFault, match="cannot be read alone") as refused:
            await anext(source.read(UUID, disk))
        assert str(path) in refused.value.cause and "blockpull" in refused.value.fix
        with pytest.raises(SourceFault, match="cannot be read alone"):
            await source.disks(UUID)  # and now one does
        host.define(path)
        (disk,) = await source.disks(UUID)
        with path.open("ab") as stream:
            stream.write(bytes(4096))
        with pytest.raises(SourceFault, match="changed since"):
            await anext(source.read(UUID, disk))
        path.unlink()
        with pytest.raises(SourceFault, match="below.qcow2"):
            await anext(source.read(UUID, disk))
    finally:
        await source.close()


async def test_reading_needs_a_connection_that_may(host: Host) -> None:
    host.define(image(host.images / "old-3.qcow2"))
    source = await connect(host.uri)
    try:
        (disk,) = await source.disks(UUID)
        with pytest.raises((SourceRefused, SourceFault)):
            await anext(source.read(UUID, disk))
    finally:
        await source.close()


async def test_a_host_that_dies_is_one_clear_error(host: Host) -> None:
    """The last one: the daemon is gone after it."""
    source = await connect(host.uri, write=True)
    host.daemon.kill()
    host.daemon.wait()
    for _ in range(2):
        with pytest.raises(SourceUnreachable, match="died") as lost:
            await source.power(UUID)
        assert host.uri in str(lost.value) and lost.value.fix
    await source.close()
    with pytest.raises(SourceUnreachable, match="cannot be reached"):
        await connect(host.uri)
