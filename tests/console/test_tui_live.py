"""The live screen on a real session: the lab's API server, real agent servers, keys pressed by a pilot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from bascule_console.app import BasculeApp
from bascule_console.screens.live.screen import LiveScreen
from bascule_console.screens.move.choose import ChooseNode
from bascule_console.screens.move.progress import MoveProgress
from bascule_console.services.session import Session
from bascule_console.store.store import Store
from bascule_console.widgets.lines import Line
from bascule_console.widgets.theme import ink
from bascule_kube.kinds import VMI, VMIM


@asynccontextmanager
async def running(live: Any, **options: Any) -> AsyncIterator[tuple[BasculeApp, Pilot[None]]]:
    store = Store()
    app = BasculeApp(store, Session(store, live.kubeconfig, options.pop("context", None)), **options)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        yield app, pilot


async def until(pilot: Pilot[None], what: Callable[[], object], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not what():
            await pilot.pause(0.05)


def screen_of(app: BasculeApp) -> LiveScreen:
    found = app.screen_stack[0]
    assert isinstance(found, LiveScreen)
    return found


def text_of(app: BasculeApp) -> str:
    return "\n".join("".join(segment.text for segment in line) for line in app.screen._compositor.render_strips())


async def three_vms(live: Any) -> None:
    await live.start(nodes=3)
    for name, node in (("web-1", "node1"), ("web-2", "node2"), ("db-1", "node3")):
        await live.run(name, node)


async def test_vms_flows_and_ledger_arrive(live: Any, scene: Any) -> None:
    await three_vms(live)
    async with running(live) as (app, pilot):
        screen = screen_of(app)
        await until(pilot, lambda: len(screen.vms.view) == 3)
        await until(pilot, lambda: app.store.flows.heard)
        live.agents["node2"].drain()  # tells whose port 10.110.0.12 is
        live.agents["node1"].drain(scene.record(20, "web-1", "web-2", packets=41))
        await until(pilot, lambda: len(screen.flows.view) == 1)
        await until(pilot, lambda: "web-2:7" in text_of(app) and "seen 41" in text_of(app))
        shown = text_of(app)
        assert "lab-admin" in shown and "3 nodes · 3 agents" in shown
        assert "web-1:40000" in shown and "✓ allow" in shown
        assert "seen 41 = sent 41 + lost 0" in shown


async def test_a_killed_guest_turns_its_row_red(live: Any) -> None:
    await three_vms(live)
    async with running(live) as (app, pilot):
        screen = screen_of(app)
        await until(pilot, lambda: len(screen.vms.view) == 3)
        current = await live.cluster.get(VMI, "db-1", "vms")
        status = {**current["status"], "phase": "Failed"}
        await live.cluster.replace({**current, "status": status}, subresource="status")
        await until(pilot, lambda: "✗ Failed" in text_of(app))
        red = ink(app, "bad").color
        row = next(strip for strip in map(screen.vms.render_line, range(1, 4)) if "db-1" in strip.text)
        await pilot.press("down")  # off the row: the cursor has colours of its own
        row = next(strip for strip in map(screen.vms.render_line, range(1, 4)) if "db-1" in strip.text)
        assert all(segment.style is not None and segment.style.color == red for segment in row if segment.text.strip())


async def test_m_moves_a_vm_and_shows_the_record(live: Any) -> None:
    await three_vms(live)
    async with running(live) as (app, pilot):
        screen = screen_of(app)
        await until(pilot, lambda: len(screen.vms.view) == 3 and "Move VM" in text_of(app))
        screen.vms.focus()
        while (row := screen.vms.view.cursor_row()) is None or row.name != "web-1":
            await pilot.press("down")
        await pilot.press("m")
        await until(pilot, lambda: isinstance(app.screen, ChooseNode))
        assert "node1" not in text_of(app).split("Move vms/web-1 away from node1")[1].split("enter choose")[0]
        await pilot.press("enter")
        assert "Live-migrate web-1 from node1 to node2?" in str(app.screen.query_one("#question", Static).render())
        assert await live.cluster.list(VMIM) == []
        playing = asyncio.create_task(live.play_move(pace=0.4))
        await pilot.press("y")
        await until(pilot, lambda: isinstance(app.screen, MoveProgress))
        await until(pilot, lambda: "✓ Scheduling" in text_of(app))
        await until(pilot, lambda: "KEPT" in text_of(app))
        await playing
        shown = text_of(app)
        assert "✓ Succeeded after" in shown
        assert "400 sent every 5 ms, 3 lost" in shown
        await pilot.press("escape")
        assert app.screen is screen
        await pilot.press("r")
        await until(pilot, lambda: "KEPT" in text_of(app))


async def test_a_closed_window_does_not_stop_the_move(live: Any) -> None:
    await three_vms(live)
    async with running(live) as (app, pilot):
        await until(pilot, lambda: len(screen_of(app).vms.view) == 3 and "Move VM" in text_of(app))
        await pilot.press("m", "enter", "y")
        await until(pilot, lambda: isinstance(app.screen, MoveProgress))
        await pilot.press("escape")
        assert app.screen is screen_of(app)
        await live.play_move()
        await until(pilot, lambda: app.store.records)
        await until(pilot, lambda: "moved: kept" in text_of(app))


async def test_a_move_that_is_refused_says_why(live: Any) -> None:
    await three_vms(live)
    async with running(live) as (app, pilot):
        await until(pilot, lambda: len(screen_of(app).vms.view) == 3 and "Move VM" in text_of(app))
        vmi = await live.cluster.get(VMI, "db-1", "vms")
        fixed = {"type": "LiveMigratable", "status": "False", "message": "it has a host disk"}
        await live.cluster.replace({**vmi, "status": {**vmi["status"], "conditions": [fixed]}}, subresource="status")
        await until(pilot, lambda: not app.store.vms.rows()["vms/db-1"].movable)
        await pilot.press("m", "enter", "y")
        await until(pilot, lambda: "it has a host disk" in text_of(app))
        assert await live.cluster.list(VMIM) == []


async def test_read_only_has_no_danger(live: Any) -> None:
    await three_vms(live)
    async with running(live, read_only=True) as (app, pilot):
        await until(pilot, lambda: len(screen_of(app).vms.view) == 3)
        await pilot.press("m")
        assert app.screen is screen_of(app)
        await pilot.pause(0.3)
        assert "READ-ONLY" in text_of(app) and "Move VM" not in text_of(app)


async def test_a_silent_agent_is_named_and_comes_back(live: Any, scene: Any) -> None:
    await three_vms(live)
    async with running(live) as (app, pilot):
        await until(pilot, lambda: app.store.flows.heard)
        banner = screen_of(app).query_one("#banner", Line)
        await live.agents["node2"].listener.stop()
        await until(pilot, lambda: "silent: node2" in str(banner.render()))
        await live.agent("node2")
        await until(pilot, lambda: "silent" not in str(banner.render()), 20)


async def test_no_cluster_says_so_and_what_to_do(live: Any) -> None:
    await live.start(nodes=1)
    live.kubeconfig.unlink()
    async with running(live) as (app, pilot):
        await until(pilot, lambda: "no kubeconfig at" in text_of(app))
        assert "set KUBECONFIG" in text_of(app).replace("\n", " ")


async def test_an_empty_cluster_names_the_next_command(live: Any) -> None:
    await live.start(nodes=1, silent=("node1",))
    async with running(live) as (app, pilot):
        await until(pilot, lambda: "bascule apply -f examples/dc1.yaml" in text_of(app))
        await until(pilot, lambda: "No agent: node1" in text_of(app))


@pytest.mark.parametrize(("size", "small"), [((59, 24), True), ((80, 15), True), ((60, 16), False)])
async def test_too_small_is_said_and_ends(scene: Any, size: tuple[int, int], small: bool) -> None:
    app = BasculeApp(scene.cluster().store, None)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.resize_terminal(*size)
        await pilot.pause(0.1)
        assert ("Terminal too small" in text_of(app)) is small
        await pilot.resize_terminal(80, 24)
        await pilot.pause(0.1)
        assert "Terminal too small" not in text_of(app)
