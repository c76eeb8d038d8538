"""What the shell looks like: prompts, a protected context, palette, themes. Look at the report before updating."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from bascule_console.app import BasculeApp
from bascule_console.screens import base

Compare = Callable[..., bool]
SIZES = {"80x24": (80, 24), "160x45": (160, 45)}


class StoppedClock:
    """Snapshots must not show how fast this machine is, nor when the test ran."""

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns

    def thread_time(self) -> float:
        return 0.0

    def time_ns(self) -> int:
        return self._now_ns


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch, scene: Any) -> Any:
    monkeypatch.setattr(base, "time", StoppedClock(scene.noon_ns + 400_000_000))
    scene.cluster().talk()
    scene.run("db-2", "node2", "Failed")
    return scene


def keys(*pressed: str) -> Callable[[Pilot[None]], Any]:
    async def press(pilot: Pilot[None]) -> None:
        await pilot.pause(0.3)
        for key in pressed:
            await pilot.press(key)
            await pilot.pause(0.05)
        for box in pilot.app.screen.query(Input):
            box.cursor_blink = False
        await pilot.pause(0.5)

    return press


@pytest.mark.parametrize("theme", ["high-contrast", "deuteranopia", "ansi"])
def test_themes(snap_compare: Compare, still: Any, theme: str) -> None:
    app = BasculeApp(still.store, None, theme=f"bascule-{theme}")
    assert snap_compare(app, terminal_size=(80, 24), run_before=keys())


def test_a_place_being_typed(snap_compare: Compare, still: Any) -> None:
    app = BasculeApp(still.store, None)
    assert snap_compare(app, terminal_size=(80, 24), run_before=keys("colon", "n", "e"))


def test_a_filter_being_typed(snap_compare: Compare, still: Any) -> None:
    app = BasculeApp(still.store, None)
    assert snap_compare(app, terminal_size=(80, 24), run_before=keys("slash", *"web|db"))


@pytest.mark.parametrize("size", SIZES)
def test_a_protected_context(snap_compare: Compare, still: Any, size: str) -> None:
    app = BasculeApp(still.store, None, protected=True)
    run = keys("m", "enter", "y", *"web-2", "enter")
    assert snap_compare(app, terminal_size=SIZES[size], run_before=run)


def test_the_palette(snap_compare: Compare, still: Any) -> None:
    assert snap_compare(BasculeApp(still.store, None), terminal_size=(80, 24), run_before=keys("ctrl+p"))


def test_yaml(snap_compare: Compare, still: Any) -> None:
    assert snap_compare(BasculeApp(still.store, None), terminal_size=(80, 24), run_before=keys("y"))


def test_too_small(snap_compare: Compare, still: Any) -> None:
    assert snap_compare(BasculeApp(still.store, None), terminal_size=(50, 12), run_before=keys())
