"""Keys that come in one burst, from a paste, a slow line or quick fingers: each reaches what the one before opened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.keys import _character_to_key
from textual.widgets import Input

from bascule_console.app import BasculeApp
from bascule_console.screens.vms.attach import AttachForm
from bascule_console.widgets.keyturns import KeyTurns


def burst(app: App[None], *keys: str) -> None:
    """All of them at once, as a terminal's driver sends what it read in one go."""
    for key in keys:
        character = key if len(key) == 1 else None
        app.post_message(events.Key(_character_to_key(key) if character else key, character))


async def until(what: Callable[[], object]) -> None:
    async with asyncio.timeout(15):
        while not what():
            await asyncio.sleep(0.01)


async def test_from_anywhere_to_a_filled_form_in_one_burst(scene: Any) -> None:
    app = BasculeApp(scene.cluster().store, None)
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.pause()
        to_the_vm = (*":vms", "enter", "/", *"web-3", "enter")
        burst(app, *to_the_vm, "a", "down", "enter", *"10.110.0.77", "tab", *"02:00:00")
        await until(lambda: isinstance(app.screen, AttachForm) and app.turns.resting)
        ip, mac = app.screen.query(Input)
        assert (ip.value, mac.value) == ("10.110.0.77", "02:00:00")
        table = app.screen_stack[0].query_one("#vms")
        assert table.view.filter.text == "web-3" and table.view.cursor == "vms/web-3"
        burst(app, "escape", ":", *"nodes", "enter", "j", "j")
        await until(lambda: getattr(app.screen, "MODE", "") == "nodes" and app.turns.resting)
        assert app.screen.query_one("#nodes").view.cursor == "node3"


async def test_letters_are_never_keys_of_the_table_below(scene: Any) -> None:
    """`m` and `q` in a filter, and in a command that is no place, neither move a VM nor end the app."""
    app = BasculeApp(scene.cluster().store, None)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await pilot.pause()
        burst(app, "/", *"qm", "enter", ":", *"mqy", "enter", "/", "backspace", *"y", "enter")
        await until(lambda: app.screen.query_one("#vms").view.filter.text == "qy" and app.turns.resting)
        assert app.is_running and app.screen.MODE == "live" and len(app.screen_stack) == 1


class Plain(App[None]):
    """An input that is closed by Enter, in Textual's own way."""

    def __init__(self) -> None:
        super().__init__()
        self.turns = KeyTurns(self)
        self.seen: list[str] = []

    def compose(self) -> ComposeResult:
        yield Input()

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        self.seen.append(event.value)
        await event.input.remove()
        fresh = Input()
        await self.mount(fresh)
        fresh.focus()


class Turned(Plain):
    """The same, keys in turn."""

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and not event.is_forwarded and not self.turns.admits(event):
            return
        await super().on_event(event)


@pytest.mark.parametrize(("app", "kept"), [(Turned(), True), (Plain(), False)])
async def test_without_turns_they_are_lost(app: Plain, kept: bool) -> None:
    """The witness: what Textual itself makes of the same burst."""
    async with app.run_test() as pilot:
        await pilot.pause()
        burst(app, *"one", "enter", *"two", "enter", *"three", "enter")
        for _ in range(40):
            await pilot.pause()
        assert (app.seen == ["one", "two", "three"]) == kept, app.seen


async def test_keys_after_the_end_go_nowhere(scene: Any) -> None:
    app = BasculeApp(scene.cluster().store, None)
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.pause()
        burst(app, "q", "j", "m", ":", "enter")
        await until(lambda: app.return_code == 0)
