"""The terminal driver: Textual's, which also ends when the terminal goes away without a signal, or while it is written.

Textual's reads nothing from a hung-up terminal for ever, a whole core long, and its writer dies of the first write, so
that the app waits at a full queue for good and no signal is heard any more.
"""

from __future__ import annotations

import asyncio
import select
import signal
import threading
from contextlib import suppress
from typing import IO, Any, cast

from textual.drivers.linux_driver import LinuxDriver

HUNG_UP = 128 + signal.SIGHUP


class Lasting:
    """A text file that takes what is written after its terminal has gone, and forgets it."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """As the file's."""
        with suppress(OSError):
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        """As the file's."""
        with suppress(OSError):
            self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class TerminalDriver(LinuxDriver):
    """The app ends with 129 when the terminal hangs up."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._file = cast("Any", Lasting(cast("IO[str]", self._file)))
        self._watched = False

    def start_application_mode(self) -> None:
        """Watch for the end of the terminal from the first time on."""
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if not self._watched:
            self._watched = True
            ends = asyncio.get_running_loop()
            threading.Thread(target=self._watch, args=(ends,), name="terminal", daemon=True).start()

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting = select.poll()
        waiting.register(self.fileno, 0)  # no event but the end, which is told unasked
        waiting.poll()
        with suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(self._app.exit, None, HUNG_UP)
