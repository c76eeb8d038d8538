"""Disks of a libvirt host: which a VM has, how large they are, and their stored bytes as a stream.

A stream needs a volume of an active storage pool. For a disk that lies in none a pool of its directory is there for as
long as the connection lasts: the one that is defined there, else a transient one, so that nothing is left on the host.
"""

from __future__ import annotations

import contextlib
import hashlib
import posixpath
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from bascule.estate.xmlread import root_of
from bascule_console.services.collect.faults import library
from bascule_console.services.collect.hypervisor import SourceDisk, SourceFault

PIECE = 1 << 20
_PULL = 256 << 10


def disks(connection: Any, domain: Any) -> list[SourceDisk]:
    """The disks of a VM. Raises libvirtError, SourceFault for one that cannot be read alone."""
    root = root_of(domain.name(), domain.XMLDesc(0).encode())
    return [
        _disk(connection, domain, each)
        for each in root.findall("devices/disk")
        if each.get("device", "disk") in ("disk", "lun")
    ]


def _disk(connection: Any, domain: Any, element: Element) -> SourceDisk:
    source, target, driver = (element.find(each) for each in ("source", "target", "driver"))
    name = target.get("dev", "") if target is not None else ""
    given = dict(source.attrib) if source is not None else {}
    if element.get("type") == "volume":
        volume = connection.storagePoolLookupByName(given.get("pool", "")).storageVolLookupByName(given.get("volume"))
        path = volume.path()
    else:
        path = given.get("file") or given.get("dev") or ""
        volume = _looked_for(connection, path) if path else None
    if not path:
        cause = f"its source is of type {element.get('type')!r}"
        raise SourceFault(f"{domain.name()}: disk {name} cannot be read", cause, "copy it to a file of the host first")
    backing = element.find("backingStore/source")
    refuse_layer(
        domain.name(), name, next(iter(backing.attrib.values()), "?") if backing is not None else below(volume)
    )
    kind = driver.get("type", "raw") if driver is not None else "raw"
    capacity, stored = _sizes(domain, name, volume)
    return SourceDisk(name, path, kind, capacity, stored, element.find("shareable") is not None)


def _sizes(domain: Any, name: str, volume: Any) -> tuple[int, int]:
    """What the guest sees, and what is stored."""
    libvirt = library()
    try:
        capacity, _, physical = domain.blockInfo(name)
        return int(capacity), int(physical)
    except libvirt.libvirtError:
        if volume is None:
            raise
    return int(volume.info()[1]), stored(volume)


def stored(volume: Any) -> int:
    """The bytes that a download of a volume will bring."""
    libvirt = library()
    try:
        return int(volume.infoFlags(libvirt.VIR_STORAGE_VOL_GET_PHYSICAL)[2])
    except libvirt.libvirtError:
        return int(volume.info()[2])


def below(volume: Any) -> str:
    """The file that a volume is a layer over; "" for one that is whole, or not known."""
    if volume is None:
        return ""
    return root_of("", volume.XMLDesc(0).encode()).findtext("backingStore/path", "").strip()


def refuse_layer(vm: str, disk: str, under: str) -> None:
    """Raise SourceFault for a disk whose bytes alone are not the disk."""
    if under:
        fix = f"make it whole first: virsh blockpull {vm} {disk} --wait"
        raise SourceFault(f"{vm}: disk {disk} cannot be read alone", f"it is a layer over {under}", fix)


def _known(connection: Any, path: str) -> Any:
    libvirt = library()
    try:
        return connection.storageVolLookupByPath(path)
    except libvirt.libvirtError:
        return None


def _looked_for(connection: Any, path: str) -> Any:
    """The volume, if an active pool has it; one newer than the pool's last look is looked for, where allowed."""
    volume = _known(connection, path)
    if volume is None:
        pool = _pool_at(connection, posixpath.dirname(path))
        with contextlib.suppress(library().libvirtError):
            if pool is not None and pool.isActive():
                pool.refresh(0)
                volume = _known(connection, path)
    return volume


def _pool_at(connection: Any, folder: str) -> Any:
    for pool in connection.listAllStoragePools(0):
        if root_of("", pool.XMLDesc(0).encode()).findtext("target/path", "").rstrip("/") == folder:
            return pool
    return None


def volume_of(connection: Any, path: str, made: list[Any]) -> Any:
    """The volume at a path; a pool that had to be started for it is added to `made`. Raises libvirtError."""
    volume = _looked_for(connection, path)
    if volume is not None:
        return volume
    folder = posixpath.dirname(path)
    pool = _pool_at(connection, folder)
    if pool is not None:
        if not pool.isActive():
            pool.create(0)
            made.append(pool)
        return connection.storageVolLookupByPath(path)
    root = Element("pool", type="dir")
    SubElement(root, "name").text = "bascule-" + hashlib.sha256(folder.encode()).hexdigest()[:10]
    SubElement(SubElement(root, "target"), "path").text = folder
    made.append(connection.storagePoolCreateXML(tostring(root, "unicode"), 0))
    return connection.storageVolLookupByPath(path)


class Download:
    """One stream; every method blocks."""

    def __init__(self, connection: Any, volume: Any) -> None:
        self.expected = stored(volume)
        self._stream = connection.newStream(0)
        self._open = True
        try:
            volume.download(self._stream, 0, 0, 0)
        except library().libvirtError:
            self._open = False
            raise

    def piece(self) -> bytes:
        """The next bytes, at most PIECE; b"" at the end."""
        parts: list[bytes] = []
        size = 0
        while size + _PULL <= PIECE:
            part = self._stream.recv(_PULL)
            if not part:
                break
            parts.append(part)
            size += len(part)
        if not parts and self._open:
            self._open = False
            self._stream.finish()
        return b"".join(parts)

    def end(self) -> None:
        """Stop, wherever it stands."""
        if self._open:
            self._open = False
            self._stream.abort()
