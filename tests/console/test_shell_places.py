"""Getting about: modes on first use, the way back, crumbs, the prompt, and what happens while the world changes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot

from bascule.errors import BasculeError
from bascule_console.app import BasculeApp
from bascule_console.screens.base import BasculeScreen
from bascule_console.screens.modes import MODES
from bascule_console.widgets.lines import Line
from bascule_console.widgets.prompt import Prompt

NASTY = (
    "x\x1b[31mred",
    "[bold]markup[/bold]",
    "a\r\nb",
    "\u202egnirts",
    "שלום",
    "🦊" * 20,
    "n" * 253,
    "e\u0301" * 30,
    "\ud800",
)


def screen_of(app: BasculeApp) -> BasculeScreen:
    assert isinstance(app.screen, BasculeScreen)
    return app.screen


def shown(app: BasculeApp) -> str:
    return "\n".join("".join(segment.text for segment in line) for line in app.screen._compositor.render_strips())


async def go(pilot: Pilot[None], command: str) -> None:
    await pilot.press("colon", *command, "enter")
    await pilot.pause(0.1)


async def test_every_place_opens_by_its_name_and_goes_back(scene: Any) -> None:
    app = BasculeApp(scene.cluster().talk().store, None)
    async with app.run_test(size=(100, 30)) as pilot:
        for mode in MODES:
            await go(pilot, mode.id)
            assert app.current_mode == mode.id and mode.id == type(screen_of(app)).MODE
        crumbs = str(screen_of(app).query_one("#crumbs", Line).render())
        assert crumbs.startswith(" … › Flows › Moves › Journal › Wizard")
        for mode in reversed(MODES[:-1]):
            at = app.current_mode
            await pilot.press("escape")
            if app.current_mode == at == "wizard":  # the first leaves the answer under the cursor
                await pilot.press("escape")
            assert app.current_mode == mode.id
        await pilot.press("escape")
        assert app.current_mode == "live"


def test_a_screen_is_loaded_on_first_use_only() -> None:
    code = (
        "import bascule_console.app, sys; print([m for m in sys.modules if m.startswith('bascule_console.screens.')])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for mode in MODES:
        assert f"bascule_console.screens.{mode.id}" not in loaded


async def test_a_place_with_a_filter_and_a_wrong_one(scene: Any) -> None:
    app = BasculeApp(scene.cluster().store, None)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await go(pilot, "vms web")
        await pilot.pause(0.2)
        assert {row for row in screen_of(app).tables[0].view.order} == {f"vms/web-{n}" for n in range(1, 5)}
        await go(pilot, "nowhere")
        assert app.current_mode == "vms" and "no place or command" in shown(app)
        await go(pilot, "vms [")
        await pilot.pause(0.2)
        assert "is not a regular expression" in shown(app) and app.is_running


async def test_the_prompt_completes_and_remembers(scene: Any) -> None:
    app = BasculeApp(scene.cluster().store, None)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("colon", *"net", "tab", "enter")
        await pilot.pause(0.1)
        assert app.current_mode == "networks"
        await pilot.press("colon", "up")
        assert app.screen.query_one(Prompt).input.value == "networks"
        await pilot.press("escape")
        assert not app.screen.query(Prompt) and app.screen.query_one("#crumbs").display


async def test_keys_in_one_burst_belong_to_the_prompt(scene: Any) -> None:
    app = BasculeApp(scene.cluster().store, None)
    async with app.run_test(size=(100, 30)) as pilot:
        for key, character in (("slash", "/"), *((letter, letter) for letter in "quit"), ("enter", None)):
            app.post_message(events.Key(key, character))
        await pilot.pause(0.5)
        assert app.is_running and screen_of(app).tables[0].view.filter.text == "quit"


@pytest.mark.parametrize("name", NASTY)
async def test_text_from_outside_is_shown_as_it_is(scene: Any, name: str) -> None:
    """Every screen with an object of that name: no control byte reaches the terminal, no markup is read."""
    scene.cluster()
    inventory = scene.store.inventory
    original = inventory.get("virtualmachines", "vms/web-1")
    nasty = {**original, "metadata": {**original["metadata"], "name": name, "labels": {"a": name}}}
    inventory.put("virtualmachines", nasty)
    node = {**scene.node(9), "metadata": {**scene.node(9)["metadata"], "name": name}}
    inventory.put("nodes", node)
    app = BasculeApp(scene.store, None)
    async with app.run_test(size=(160, 45), notifications=True) as pilot:
        for mode in MODES:
            app.open(mode.id)
            await pilot.pause(0.05)
            text = shown(app)
            assert not set(text) - {"\n"} & {chr(c) for c in range(32)}, mode.id
            assert "\u202e" not in text and "\x1b" not in text
        app.open("vms")
        app.say(BasculeError(name, name, name))
        screen_of(app).arrive(f"vms/{name}")
        await pilot.pause(0.2)
        await pilot.press("y")
        await pilot.pause(0.2)
        text = shown(app)
        assert "\x1b" not in text and app.is_running
        if name.startswith("[bold]"):
            assert "[bold]markup[/bold]" in text


async def test_an_object_deleted_under_the_cursor(scene: Any) -> None:
    app = BasculeApp(scene.cluster().store, None)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await go(pilot, "vms")
        table = screen_of(app).tables[0]
        await pilot.press("down", "down")
        gone = table.view.cursor
        app.store.inventory.remove("virtualmachines", str(gone))
        await pilot.press("y")  # before the screen has noticed
        await pilot.pause(0.3)
        assert table.view.cursor != gone and table.view.cursor_row() is not None
        for row in list(table.view.order):
            app.store.inventory.remove("virtualmachines", str(row))
        await pilot.press("y", "m", "r", "enter", "down", "G")
        await pilot.pause(0.3)
        assert app.is_running


async def test_a_watch_that_replays_moves_no_cursor(scene: Any) -> None:
    app = BasculeApp(scene.cluster().store, None)
    async with app.run_test(size=(100, 30)) as pilot:
        await go(pilot, "vms")
        table = screen_of(app).tables[0]
        await pilot.press("down", "down", "down")
        here, order = table.view.cursor, list(table.view.order)
        for _ in range(3):
            for vm in app.store.inventory.all("virtualmachines"):
                app.store.inventory.put("virtualmachines", vm)
            await pilot.pause(0.15)
        assert (table.view.cursor, table.view.order) == (here, order)


async def test_resize_during_a_stream(scene: Any) -> None:
    app = BasculeApp(scene.cluster().talk().store, None)
    async with app.run_test(size=(160, 45)) as pilot:
        await pilot.press("tab", "home", "down", "down")
        here = screen_of(app).tables[1].view.cursor
        for at, size in enumerate(((80, 24), (59, 15), (200, 60), (61, 17), (160, 45)) * 3):
            scene.send("node1", scene.record(20, "web-1", "web-2", packets=at + 1, ports=(40_000 + at, 7)))
            await pilot.resize_terminal(*size)
            await pilot.pause(0.05)
        await pilot.pause(0.2)
        assert screen_of(app).tables[1].view.cursor == here
        assert "Terminal too small" not in shown(app)
