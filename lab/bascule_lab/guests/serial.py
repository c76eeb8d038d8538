"""Commands in a guest over its serial port: the line protocol of init.sh.

It needs no network in the guest, so a guest that is alive but cut off can be told from one that is dead. The port is
a unix socket that takes one client at a time; QEMU drops what the guest says while nobody listens, and a live
migration or a garbled line can swallow a request. Hence: a request carries an id, is sent again until its answer
comes, and the guest runs an id once. What cannot be read as an answer to this id is skipped.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from bascule_lab.guests.errors import SerialError

T = TypeVar("T")

RESEND_S = 2.0
CONFIGURE_RESEND_S = 0.15
CONNECT_RETRY_S = 0.01
MAX_LINE = 16 << 20
# what the guest may take beyond the command's own time: base64 of the output, an emulated CPU, a busy host
ANSWER_MARGIN_S = 10.0


class SerialClient:
    """One client on one guest's serial socket; use as an async context manager, which connects and disconnects."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> SerialClient:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self, timeout: float = 10.0) -> None:
        """Connect, waiting for the socket to appear. Raises SerialError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                self._reader, self._writer = await asyncio.open_unix_connection(self.path, limit=MAX_LINE)
                return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise SerialError(f"no serial port at {self.path}", str(error), "is the guest running?") from error
            await asyncio.sleep(CONNECT_RETRY_S)

    async def close(self) -> None:
        """Disconnect, so that the next client gets its turn."""
        if self._writer:
            self._writer.close()
            with contextlib.suppress(OSError):  # the guest went first
                await self._writer.wait_closed()
        self._reader = self._writer = None

    async def wait_template(self, timeout: float) -> None:
        """Wait until a booting guest says TEMPLATE. Raises SerialError when it does not in `timeout` seconds."""
        await self._ask(b"\n", lambda words: words[:1] == ["TEMPLATE"] or None, timeout, timeout)

    async def configure(self, line: str, timeout: float = 20.0) -> None:
        """Send a configuration (`spec.GuestSpec.line`) until the guest takes it; a restored UART loses the first."""
        await self._ask(
            f"\n{line}\n".encode(), lambda words: words[:1] == ["OKGOT"] or None, timeout, CONFIGURE_RESEND_S
        )

    async def answers(self, timeout: float = 5.0) -> bool:
        """Whether the guest answers at all within `timeout` seconds; nothing is started in it for that."""
        try:
            await self._ask(b"\nHELLO\n", lambda words: words[:1] == ["HERE"] or None, timeout, timeout / 4)
        except SerialError:
            return False
        return True

    async def exec(self, command: str, timeout: float = 30.0) -> tuple[int, bytes]:
        """Run a shell command in the guest; returns its exit code and its stdout and stderr as bytes, interleaved.

        The guest kills the command after `timeout` seconds (exit code 137). Raises SerialError when the guest is
        silent for that long and ten seconds more.
        """
        name = secrets.token_hex(6)
        text = base64.b64encode(command.encode()).decode()
        request = f"\nRUN {name} {max(1, round(timeout))} {text}\n".encode()
        return await self._ask(request, lambda words: parse_answer(words, name), timeout + ANSWER_MARGIN_S, RESEND_S)

    async def _ask(self, request: bytes, match: Callable[[list[str]], T | None], timeout: float, resend: float) -> T:
        """Send `request` until a line matches; the pause doubles, so that a slow answer is not asked for in bulk."""
        reader, writer = self._reader, self._writer
        if reader is None or writer is None:
            raise SerialError(f"{self.path} is not connected")
        deadline = time.monotonic() + timeout
        try:
            while (left := deadline - time.monotonic()) > 0:
                writer.write(request)
                found = await _scan(reader, match, min(resend, left))
                if found is not None:
                    return found
                resend *= 1.5
        except OSError as error:
            raise SerialError(f"the guest at {self.path} hung up", str(error), "is the guest running?") from error
        raise SerialError(
            f"the guest at {self.path} is silent",
            f"no answer on its serial port in {timeout:g} s",
            "QemuGuest.diagnose() tells whether its kernel still runs",
        )


async def _scan(reader: asyncio.StreamReader, match: Callable[[list[str]], T | None], timeout: float) -> T | None:
    """Read lines until one matches (its value) or `timeout` seconds passed (None)."""
    try:
        async with asyncio.timeout(timeout):
            while True:
                line = await reader.readline()
                if not line:
                    raise ConnectionResetError("end of file on the serial port")
                found = match(line.decode("ascii", "replace").split())
                if found is not None:
                    return found
    except TimeoutError:
        return None
    except ValueError:
        return None  # a line beyond MAX_LINE: asyncio dropped it, the request is sent again


def parse_answer(words: list[str], name: str) -> tuple[int, bytes] | None:
    """(exit code, output) when `words` are an intact `OUT <name> <code> [base64]`, else None."""
    if len(words) not in (3, 4) or words[:2] != ["OUT", name]:
        return None
    try:
        return int(words[2]), base64.b64decode(words[3] if len(words) == 4 else "", validate=True)
    except (ValueError, binascii.Error):
        return None
