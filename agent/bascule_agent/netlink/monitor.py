"""Link, bridge-entry and tc events of a namespace, for asyncio.

A raw socket made inside the namespace and read from the loop (`add_reader`), not pyroute2's monitor: that one delivers
nothing, silently, when it is bound in one thread and read in another.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Callable
from pathlib import Path

from bascule_agent.netlink import rawbridge, rawlinks
from bascule_agent.netlink.netns import in_netns
from bascule_agent.netlink.request import messages
from bascule_agent.netlink.types import FdbEvent, LinkEvent, Overrun, Touched

Event = LinkEvent | FdbEvent | Touched | Overrun
_NEWLINK, _DELLINK, _NEWNEIGH, _DELNEIGH = 16, 17, 28, 29
_TC = (36, 37, 44, 45)  # RTM_NEWQDISC, DELQDISC, NEWTFILTER, DELTFILTER
_LINK, _NEIGH, _TC_GROUP = 1, 4, 8  # RTMGRP_*

_RECEIVE_BUFFER = 4 << 20
_SO_RCVBUFFORCE = 33


def _open() -> socket.socket:
    sock = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
    )
    sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    sock.bind((0, _LINK | _NEIGH | _TC_GROUP))
    return sock


def _event(kind: int, body: bytes) -> Event | None:
    if len(body) < 8:
        return None
    family = body[0]
    index = int.from_bytes(body[4:8], "little")
    if kind in (_NEWLINK, _DELLINK):
        if family == rawbridge.AF_BRIDGE:
            return Touched(index)
        return LinkEvent(rawlinks.decode(body), gone=kind == _DELLINK)
    if kind in (_NEWNEIGH, _DELNEIGH) and family == rawbridge.AF_BRIDGE:
        entry = rawbridge.entry(body)
        return FdbEvent(entry, gone=kind == _DELNEIGH) if entry.master else None
    return Touched(index) if kind in _TC else None


class Monitor:
    """Events since it was made. `read()` never blocks; `start(loop, callback)` calls back on the loop's thread."""

    def __init__(self, netns: str | Path | None = None) -> None:
        self._sock = in_netns(netns, _open)
        self._loop: asyncio.AbstractEventLoop | None = None

    def fileno(self) -> int:
        """The socket, readable when events wait."""
        return self._sock.fileno()

    def read(self) -> list[Event]:
        """All events that wait, in order; an Overrun among them means some were lost."""
        events: list[Event] = []
        while True:
            try:
                data = self._sock.recv(1 << 17)
            except BlockingIOError:
                return events
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                # The kernel says once that it dropped some; what follows is good again.
                events.append(Overrun())
                continue
            events.extend(event for kind, _, body in messages(data) if (event := _event(kind, body)))

    def start(self, loop: asyncio.AbstractEventLoop, callback: Callable[[Event], None]) -> None:
        """Call `callback(event)` on `loop` for every event from now on."""
        self._loop = loop

        def ready() -> None:
            for event in self.read():
                callback(event)

        loop.add_reader(self._sock.fileno(), ready)

    def close(self) -> None:
        """Stop and close the socket."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
