"""docs/reference/keys.md is what the console's own tables say, and help lists what is live."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from textual.pilot import Pilot

from bascule_console.app import BasculeApp
from bascule_console.screens.modes import MODES

ROOT = Path(__file__).parents[2]


def keys_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("keys_script", ROOT / "scripts" / "keys.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current() -> None:
    script = keys_script()
    assert script.PAGE.read_text() == script.page(), "run: .venv/bin/python scripts/keys.py"


def test_the_page_names_every_place_and_danger() -> None:
    page = keys_script().page()
    for mode in MODES:
        assert f"`:{mode.id}`" in page
    assert "`create virtualmachineinstancemigrations.kubevirt.io`" in page


def shown(app: BasculeApp) -> str:
    return "\n".join("".join(segment.text for segment in line) for line in app.screen._compositor.render_strips())


async def test_help_lists_what_is_live_on_each_screen(scene: Any) -> None:
    app = BasculeApp(scene.cluster().talk().store, None)
    async with app.run_test(size=(120, 70)) as pilot:
        for mode in MODES:
            app.open(mode.id)
            await pilot.pause(0.1)
            live = {active.binding.description for active in app.screen.active_bindings.values()}
            await pilot.press("question_mark")
            await pilot.pause(0.1)
            text = shown(app)
            assert ("Move VM" in text) is ("Move VM" in live) is (mode.id in ("live", "vms"))
            await pilot.press("escape")


async def press_palette(pilot: Pilot[None], words: str) -> None:
    await pilot.press("ctrl+p")
    await pilot.pause(0.3)
    await pilot.press(*words)
    await pilot.pause(0.6)
    await pilot.press("down", "enter")
    await pilot.pause(0.3)


async def test_the_palette_goes_places_and_acts(scene: Any) -> None:
    app = BasculeApp(scene.cluster().talk().store, None)
    async with app.run_test(size=(120, 40)) as pilot:
        await press_palette(pilot, "Go to Nodes")
        assert app.current_mode == "nodes"
        await press_palette(pilot, "Go to Live")
        assert app.current_mode == "live"
        await press_palette(pilot, "Freeze")
        assert any(table.view.frozen for table in app.screen.tables)  # type: ignore[attr-defined]
