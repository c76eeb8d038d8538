"""The one way to the old side's libvirt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bascule_lab.hypervisor.errors import OldSideError
from bascule_lab.hypervisor.places import Places

PACKAGES = "libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients python3-libvirt qemu-utils"


@contextmanager
def connection(places: Places) -> Iterator[Any]:
    """A libvirt connection, closed at the end; what libvirt raises inside becomes OldSideError."""
    try:
        import libvirt
    except ImportError as error:
        raise OldSideError("no libvirt for Python here", str(error), f"apt-get install {PACKAGES}") from error
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    try:
        opened = libvirt.open(places.uri)
        try:
            yield opened
        finally:
            opened.close()
    except libvirt.libvirtError as error:
        raise OldSideError(f"libvirt at {places.uri}", str(error), f"see {places.log}") from error
