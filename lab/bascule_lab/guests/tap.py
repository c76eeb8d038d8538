"""Tap devices by file descriptor: opened in the launcher's namespace, handed to a QEMU that runs in the node's.

A tap belongs to the namespace in which /dev/net/tun was opened, and dies with its last descriptor. VNET_HDR must be
the same on every QEMU of a guest, the template included, or a migration target refuses the device state.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from pathlib import Path

from bascule_agent.netlink import in_netns
from bascule_lab.guests.errors import GuestError

_TUNSETIFF = 0x400454CA
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def open_tap(netns: str | Path, name: str) -> int:
    """A descriptor of a new tap `name` in `netns`. Blocking. Raises GuestError."""
    return in_netns(netns, lambda: _open(name))


def open_template_tap() -> int:
    """A tap in a namespace without a name, which nothing else uses and which dies with the descriptor."""

    def alone() -> int:
        if _libc.unshare(_CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise GuestError("cannot make a network namespace", os.strerror(code), "run as root")
        return _open("tap0")

    return in_netns(None, alone)


def _open(name: str) -> int:
    try:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise GuestError("no tap device", str(error), "the lab needs root and /dev/net/tun") from error
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR))
    except OSError as error:
        os.close(fd)
        raise GuestError(f"cannot make tap {name}", str(error)) from error
    return fd
