"""Drain and preflight on a real session, and their twins on the command line; records as pages and in full."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from bascule_console.app import BasculeApp
from bascule_console.screens.detailed import DetailedScreen
from bascule_console.screens.move.drain import DrainScreen
from bascule_console.screens.move.record import RecordScreen
from bascule_console.services.session import Session
from bascule_console.store.store import Store
from bascule_kube.kinds import NODE, VMI, VMIM


@asynccontextmanager
async def running(live: Any, **options: Any) -> AsyncIterator[tuple[BasculeApp, Pilot[None]]]:
    store = Store()
    app = BasculeApp(store, Session(store, live.kubeconfig, None), **options)
    async with app.run_test(size=(140, 40), notifications=True) as pilot:
        yield app, pilot


async def until(pilot: Pilot[None], what: Callable[[], object], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not what():
            await pilot.pause(0.05)


async def go(app: BasculeApp, pilot: Pilot[None], mode: str, rows: int) -> DetailedScreen[Any]:
    """Open a screen and wait for its rows."""
    await until(pilot, lambda: app.store.inventory.synced("nodes"))
    app.open(mode)
    await until(pilot, lambda: isinstance(app.screen, DetailedScreen) and mode == app.screen.MODE and app.screen.tables)
    screen = app.screen
    assert isinstance(screen, DetailedScreen)
    await until(pilot, lambda: len(screen.table.view) == rows)
    return screen


def text_of(app: BasculeApp) -> str:
    return "\n".join("".join(segment.text for segment in line) for line in app.screen._compositor.render_strips())


async def two_vms(live: Any) -> None:
    await live.start(nodes=2)
    await live.run("web-1", "node1")
    await live.run("web-2", "node1")


async def stuck(live: Any, name: str) -> None:
    """The VM cannot be migrated."""
    vmi = await live.cluster.get(VMI, name, "vms")
    fixed = {"type": "LiveMigratable", "status": "False", "reason": "HostDeviceNotLiveMigratable", "message": "a GPU"}
    await live.cluster.replace({**vmi, "status": {**vmi["status"], "conditions": [fixed]}}, subresource="status")


async def test_a_drain_from_the_screen_asks_moves_and_says_what_stays(live: Any) -> None:
    await two_vms(live)
    await stuck(live, "web-2")
    async with running(live) as (app, pilot):
        await go(app, pilot, "nodes", 2)
        await until(pilot, lambda: "Drain" in text_of(app))
        await pilot.press("D")
        await until(pilot, lambda: isinstance(app.screen, DrainScreen) and "y cordon it, move 1 VMs" in text_of(app))
        await until(pilot, lambda: "a GPU" in text_of(app))
        assert await live.cluster.list(VMIM) == []
        playing = asyncio.create_task(live.play_move())
        await pilot.press("y")
        await until(pilot, lambda: "1 of 2 moved" in text_of(app))
        await playing
        assert len(await live.cluster.list(VMIM)) == 1
        assert (await live.cluster.get(NODE, "node1"))["spec"]["unschedulable"] is True
        await pilot.press("escape")
        await until(pilot, lambda: "cordoned" in text_of(app))
        await pilot.press("U")
        await until(pilot, lambda: "scheduled on node1 again?" in text_of(app))
        await pilot.press("y")
        await until(pilot, lambda: "cordoned" not in text_of(app))


async def test_a_read_only_console_cannot_drain(live: Any) -> None:
    await two_vms(live)
    async with running(live, read_only=True) as (app, pilot):
        await go(app, pilot, "nodes", 2)
        await pilot.press("D")
        await pilot.pause(0.2)
        assert not isinstance(app.screen, DrainScreen)
    code, _, err = await live.bascule("--read-only", "nodes", "drain", "node1")
    assert (code, "read-only" in err) == (4, True)


async def test_the_verbs_say_what_would_happen(live: Any) -> None:
    await two_vms(live)
    await stuck(live, "web-2")
    code, out, _ = await live.bascule("-o", "json", "nodes", "drain", "node1", "--dry-run")
    items = {item["vm"]: item for item in json.loads(out)}
    assert code == 5 and items["vms/web-1"]["state"] == "waiting" and items["vms/web-1"]["target"] == "node2"
    assert items["vms/web-2"]["state"] == "skipped" and "a GPU" in items["vms/web-2"]["why"]
    code, out, _ = await live.bascule("-o", "json", "vms", "move", "web-2", "--to", "node2", "--dry-run")
    found = {check["id"]: check for check in json.loads(out)["checks"]}
    assert code == 1 and found["live-migratable"]["field"].endswith("hostDevices")
    assert json.loads(out)["estimate"]["seconds"] is None
    code, _, err = await live.bascule("nodes", "drain", "node9", "--dry-run")
    assert (code, "there is no node 'node9'" in err) == (2, True)
    assert await live.cluster.list(VMIM) == []


async def test_a_record_is_shown_in_full_and_written_as_a_page(live: Any, tmp_path: Path) -> None:
    await two_vms(live)
    playing = asyncio.create_task(live.play_move())
    code, _, err = await live.bascule("vms", "move", "web-1", "--to", "node2", "--probe-interval", "10")
    assert code == 0, err
    await playing
    made = (await live.cluster.list(VMIM))[0]
    assert made["metadata"]["annotations"] == {"bascule.dev/probe-interval-ms": "10"}
    code, out, _ = await live.bascule("moves", "show", "web-1", "-o", "wide")
    assert code == 0 and "PROBES" in out and "TIMELINE" in out
    page = tmp_path / "record.html"
    code, out, _ = await live.bascule("moves", "export", "web-1", "--html", str(page))
    assert (code, out) == (0, "") and page.read_text().startswith("<!DOCTYPE html>")
    code, _, err = await live.bascule("moves", "export", "--html", str(page))
    assert code == 2 and "one record's page" in err
    async with running(live) as (app, pilot):
        await go(app, pilot, "moves", 1)
        await until(pilot, lambda: app.store.moves.newest("vms", "web-1"))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RecordScreen))
        await until(pilot, lambda: "KEPT" in text_of(app))
        await pilot.press("end")
        await until(pilot, lambda: "CLOCKS" in text_of(app))


async def test_a_move_that_no_agent_saw_is_told_from_its_migration(live: Any) -> None:
    await two_vms(live)
    body = {"metadata": {"name": "m", "namespace": "vms"}, "spec": {"vmiName": "web-1"}}
    made = await live.cluster.create({"apiVersion": VMIM.api_version, "kind": VMIM.kind, **body})
    state = {"failureReason": "in-flight migration detected", "sourceNode": "node1"}
    status = {"phase": "Failed", "migrationState": state, "phaseTransitionTimestamps": [{"phase": "Failed"}]}
    await live.cluster.replace({**made, "status": status}, subresource="status")
    code, out, _ = await live.bascule("-o", "json", "moves", "show", "m")
    record = json.loads(out)
    assert (code, record["verdict"]) == (0, "broken")
    assert "in-flight" in record["reasons"][0]["message"] and "record" in record["missing"]
    code, out, _ = await live.bascule("-o", "json", "moves", "list")
    assert json.loads(out)[0]["failure"] == "in-flight migration detected"
