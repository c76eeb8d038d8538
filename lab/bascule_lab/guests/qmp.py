"""QMP: commands to a QEMU and its events, each with the hypervisor's own time. A thin wrapper over qemu.qmp."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qemu.qmp import EventListener, QMPClient, QMPError

from bascule_lab.guests.errors import GuestError

KEPT_EVENTS = ("MIGRATION", "STOP", "RESUME", "SHUTDOWN")
CONNECT_TIMEOUT_S = 20.0
COMMAND_TIMEOUT_S = 20.0
# the library logs a traceback whenever a QEMU quits, which is what ours are told to do
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Event:
    """A QEMU event: its name, `status` (of MIGRATION events, else ""), and CLOCK_REALTIME ns (to the microsecond)."""

    name: str
    status: str
    at_ns: int


def parse_event(message: dict[str, Any]) -> Event:
    """A QMP event message as an Event."""
    stamp = message["timestamp"]
    at_ns = stamp["seconds"] * 1_000_000_000 + stamp["microseconds"] * 1000
    return Event(message["event"], str(message.get("data", {}).get("status", "")), at_ns)


class Qmp:
    """A connection to one QEMU. `events` are those of KEPT_EVENTS since the connection, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: list[Event] = []
        self._client: Any = None
        self._pump: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    async def connect(self, running: Callable[[], bool]) -> None:
        """Connect as soon as the socket is there. Raises GuestError when `running` turns false or after 20 s."""
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while True:
            if self.path.exists():
                client = QMPClient(self.path.stem)
                listener = EventListener(names=KEPT_EVENTS)
                client.register_listener(listener)
                try:
                    await client.connect(str(self.path))
                    break
                except QMPError as error:
                    cause = str(error)
            else:
                cause = "no socket"
            if not running() or time.monotonic() > deadline:
                raise GuestError(f"QEMU at {self.path} does not answer", cause, "see its log beside the socket")
            await asyncio.sleep(0.005)
        self._client = client
        self._pump = asyncio.create_task(self._collect(listener))

    async def _collect(self, listener: Any) -> None:
        async for message in listener:
            self.events.append(parse_event(dict(message)))
            self._news.set()

    async def execute(self, name: str, **arguments: object) -> Any:
        """Run a QMP command; underscores in argument names stand for hyphens. Raises GuestError."""
        sent = {key.replace("_", "-"): value for key, value in arguments.items()}
        if self._client is None:
            raise GuestError(f"QEMU cannot be asked for {name}", "the connection is closed", "it has ended")
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                return await self._client.execute(name, sent)
        except (QMPError, OSError, TimeoutError, EOFError) as error:
            raise GuestError(f"QEMU refused {name}", str(error) or type(error).__name__) from error

    async def capabilities(self, **wanted: bool) -> None:
        """Switch migration capabilities on or off; underscores stand for hyphens."""
        listed = [{"capability": name.replace("_", "-"), "state": state} for name, state in wanted.items()]
        await self.execute("migrate-set-capabilities", capabilities=listed)

    async def wait_news(self, timeout: float) -> None:
        """Return at the next event, or after `timeout` seconds."""
        self._news.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._news.wait()

    async def close(self) -> None:
        """Disconnect; a QEMU that is already gone is no error."""
        if self._pump:
            self._pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pump
        if self._client:
            with contextlib.suppress(QMPError, OSError, EOFError):
                await self._client.disconnect()
        self._client = self._pump = None
