"""When a screen has come to rest: what a snapshot waits for, however busy the machine is."""

from __future__ import annotations

import asyncio

from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from bascule_console.screens.base import BasculeScreen

LOOK_EVERY_S = 0.22  # longer than any screen waits before it checks what was typed


async def at_rest(pilot: Pilot[None], seconds: float = 20.0) -> None:
    """Until two looks in a row are alike; cursors stop blinking."""
    before = ""
    async with asyncio.timeout(seconds):
        while True:
            for box in pilot.app.screen.query("Input, TextArea"):
                assert isinstance(box, Input | TextArea)
                box.cursor_blink = False
            for screen in pilot.app.screen_stack:
                if isinstance(screen, BasculeScreen):
                    screen.show_lines()  # on a still screen the clock does so once a second
            await pilot.pause(LOOK_EVERY_S)
            now = pilot.app.export_screenshot()
            if now == before:
                return
            before = now
