"""Port events from the kernel's ring: a port opened, moved, returned. Handled at once, beside the passes."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from bascule.errors import BasculeError
from bascule_agent.apply.host import Host
from bascule_agent.apply.moving import MoveFeed
from bascule_agent.apply.ports import Known, Ports
from bascule_agent.apply.tell import Teller
from bascule_agent.apply.worker import Worker
from bascule_agent.bpf.layout import EVENT, EventKind
from bascule_agent.bpf.objects import Objects
from bascule_agent.bpf.ring import Ring
from bascule_agent.flows.clock import realtime_minus_monotonic

log = logging.getLogger("bascule_agent")


class PortEvents:
    """Reads the ring from the loop; what an event asks of the node runs in the Worker, in the order of the events."""

    def __init__(
        self, objects: Objects, host: Host, worker: Worker, ports: Ports, feed: MoveFeed, teller: Teller
    ) -> None:
        self._ring = Ring(objects.maps["events"], EVENT)
        self._host, self._worker, self._ports, self._feed, self._teller = host, worker, ports, feed, teller
        self._queue: asyncio.Queue[tuple[EventKind, int, int, int]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, with what waits in the ring since an earlier agent."""
        self._task = asyncio.create_task(self._handle(), name="port events")
        asyncio.get_running_loop().add_reader(self._ring.fileno(), self._read)
        self._read()

    def close(self) -> None:
        """Stop reading; the ring keeps what comes."""
        asyncio.get_running_loop().remove_reader(self._ring.fileno())
        if self._task is not None:
            self._task.cancel()
        self._ring.close()

    def _read(self) -> None:
        offset = realtime_minus_monotonic()
        for row in self._ring.read():
            event = _event(row, offset)
            if event is not None:
                self._queue.put_nowait(event)

    async def _handle(self) -> None:
        while True:
            kind, ifindex, ethertype, at_ns = await self._queue.get()
            try:
                await self._one(kind, ifindex, ethertype, at_ns)
            except BasculeError as error:
                log.error("port %d %s: %s", ifindex, kind.name.lower(), error)

    async def _one(self, kind: EventKind, ifindex: int, ethertype: int, at_ns: int) -> None:
        port = self._ports.by_ifindex(ifindex)
        log.info("port %s %s", port.link if port else ifindex, kind.name.lower())
        if kind is EventKind.MOVED:
            removed = await self._worker(self._host.moved, ifindex)
            if port:
                self._moved(port, at_ns, removed)
        else:
            if port:
                self._tell_live(kind, port, ethertype, at_ns)
            await self._worker(self._host.opened, ifindex)
        await self._ports.refresh()

    def _tell_live(self, kind: EventKind, port: Known, ethertype: int, at_ns: int) -> None:
        if kind is EventKind.OPENED:
            self._feed.opened(port, ethertype, at_ns)
        else:
            self._feed.returned(port)

    def _moved(self, port: Known, at_ns: int, removed: tuple[str, ...]) -> None:
        if self._feed.moved(port, at_ns, removed):
            return
        nic = port.nic
        self._teller.event(
            "MacSeenElsewhere",
            f"{nic.mac} of VM {nic.namespace}/{nic.vm} came in from the trunk on VLAN {nic.vlan}, and no migration of "
            "it is known; cause: another machine uses this MAC; fix: give one of them another",
        )


def _event(row: Any, offset: int) -> tuple[EventKind, int, int, int] | None:
    try:
        kind = EventKind(int(row["kind"]))
    except ValueError:
        return None
    return kind, int(row["ifindex"]), int(row["ethertype"]), int(row["time"]) + offset
