"""What the screens look like, at 80×24 and 160×45. `pytest --snapshot-update` after looking at the report."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests_rest import at_rest
from textual.pilot import Pilot

from bascule_console.app import BasculeApp
from bascule_console.screens.move.progress import MoveProgress
from bascule_console.services.moves import PhaseSeen, RecordReady

SIZES = {"80x24": (80, 24), "160x45": (160, 45)}
Compare = Callable[..., bool]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_live(snap_compare: Compare, still: Any, size: str, theme: str) -> None:
    app = BasculeApp(still.store, None, theme=f"bascule-{theme}")
    assert snap_compare(app, terminal_size=SIZES[size], run_before=at_rest)


@pytest.mark.parametrize("size", SIZES)
def test_record(snap_compare: Compare, still: Any, size: str) -> None:
    still.store.keep_record("vms/db-1", still.move_record("7c6f", vm="db-1", source="node2", target="node1").to_json())

    async def show(pilot: Pilot[None]) -> None:
        await at_rest(pilot)
        await pilot.press("r")
        await at_rest(pilot)

    assert snap_compare(BasculeApp(still.store, None), terminal_size=SIZES[size], run_before=show)


@pytest.mark.parametrize("ended", [False, True])
def test_progress(snap_compare: Compare, still: Any, ended: bool) -> None:
    record = still.move_record("7c6f", vm="db-1", source="node2", target="node1").to_json()

    async def events() -> AsyncIterator[PhaseSeen | RecordReady]:
        for at, phase in enumerate(("Pending", "Scheduling", "Scheduled", "PreparingTarget", "TargetReady", "Running")):
            yield PhaseSeen(phase, at * 0.11)
        if not ended:
            await asyncio.Event().wait()
        yield PhaseSeen("Succeeded", 1.31)
        yield RecordReady(record)

    async def show(pilot: Pilot[None]) -> None:
        await at_rest(pilot)
        row = still.store.vms.rows()["vms/db-1"]
        app = pilot.app
        assert isinstance(app, BasculeApp)
        await app.push_screen(MoveProgress(row, "node1", events(), still.store, app.glyphs))
        await at_rest(pilot)

    assert snap_compare(BasculeApp(still.store, None), terminal_size=(80, 24), run_before=show)


def test_choose_and_confirm(snap_compare: Compare, still: Any) -> None:
    still.store.inventory.put("nodes", still.node(4, agent=False))
    still.store.agent_silent("node3", "the stream ended")

    async def ask(pilot: Pilot[None]) -> None:
        await at_rest(pilot)
        await pilot.press("m", "enter")
        await at_rest(pilot)

    assert snap_compare(BasculeApp(still.store, None), terminal_size=(80, 24), run_before=ask)


def test_frozen_filtered_ascii_read_only(snap_compare: Compare, still: Any) -> None:
    async def use(pilot: Pilot[None]) -> None:
        await at_rest(pilot)
        await pilot.press("tab", "slash", *"src:web-*", "enter", "space")
        still.send("node1", still.record(20, "web-1", "web-2", packets=5), lost={"map-full": 3})
        await at_rest(pilot)

    app = BasculeApp(still.store, None, read_only=True, ascii_only=True)
    assert snap_compare(app, terminal_size=(80, 24), run_before=use)


def test_help(snap_compare: Compare, still: Any) -> None:
    async def ask(pilot: Pilot[None]) -> None:
        await at_rest(pilot)
        await pilot.press("question_mark")
        await at_rest(pilot)

    assert snap_compare(BasculeApp(still.store, None), terminal_size=(80, 24), run_before=ask)


def test_no_color(snap_compare: Compare, still: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(BasculeApp(still.store, None), terminal_size=(80, 24), run_before=at_rest)


def test_nothing_yet(snap_compare: Compare, stopped: Any) -> None:
    stopped.cluster(vms=0)
    assert snap_compare(BasculeApp(stopped.store, None), terminal_size=(80, 24), run_before=at_rest)
