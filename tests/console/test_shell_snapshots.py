"""What the shell looks like: prompts, a protected context, palette, themes. Look at the report before updating."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests_rest import at_rest
from textual.pilot import Pilot

from bascule_console.app import BasculeApp

Compare = Callable[..., bool]
SIZES = {"80x24": (80, 24), "160x45": (160, 45)}


def keys(*pressed: str) -> Callable[[Pilot[None]], Any]:
    async def press(pilot: Pilot[None]) -> None:
        await at_rest(pilot)
        await pilot.press(*pressed)
        await at_rest(pilot)

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
