"""One key at a time: the next is given out when what the last one set off has run through.

Textual gives a key to whoever has the focus when the key is read, and what a key does (open a form, move the focus,
close a prompt) passes through the queues of several widgets. Keys that arrive in one burst, from a paste, a slow line
or quick fingers, would so reach the widget that had the focus before: the first letters after `:` or the address
after Enter would be lost, or worse, be keys of the table below.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from textual.message_pump import MessagePump

if TYPE_CHECKING:
    from textual.app import App
    from textual.events import Key

# A key's action posts a message, whose handler opens a screen, which takes the focus: each is one round.
ROUNDS_MIN, ROUNDS_MAX = 2, 6
LOOK_EVERY_S, LIMIT_S = 0.02, 0.5


class KeyTurns:
    """Asked by the app about every key that is read. A key that has to wait is posted to the app again later."""

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._waiting: deque[Key] = deque()
        self._next: Key | None = None
        self._settling: asyncio.Task[None] | None = None

    @property
    def resting(self) -> bool:
        """No key waits, and what the last one set off has run through."""
        return not self._waiting and self._next is None and (self._settling is None or self._settling.done())

    def admits(self, key: Key) -> bool:
        """Whether it is this key's turn."""
        if key is not self._next and not self.resting:
            self._waiting.append(key)
            return False
        self._next = None
        self._settling = asyncio.create_task(self._settle(), name="key turns")
        return True

    async def _settle(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LIMIT_S):
                await quiet(self._app)
        if self._waiting and self._app.is_running:
            self._next = self._waiting.popleft()
            self._app.post_message(self._next)


async def quiet(app: App[Any]) -> None:
    """Return when every queue between the focus and the app has passed, and the focus has come to rest."""
    before = None
    for number in range(ROUNDS_MAX):
        if not app.is_running:
            return
        target = app.focused or app.screen
        for pump in target.ancestors_with_self:
            await _passed(pump)
        if number >= ROUNDS_MIN - 1 and target is before:
            return
        before = target


async def _passed(pump: MessagePump) -> None:
    """Everything that stood in the queue of `pump` has been handled, or it is being closed."""
    done = asyncio.Event()
    if not pump.call_later(done.set):
        return
    while (pump.is_dom_root or pump.is_attached) and not done.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY_S):
                await done.wait()
