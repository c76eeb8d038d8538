"""Who may do what: read-only, protected, what the cluster grants; no key and no verb of a viewer writes."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from bascule_console.actions.guard import Guard
from bascule_console.actions.model import Action, Need
from bascule_console.actions.registry import all_actions, needs
from bascule_console.app import BasculeApp
from bascule_console.screens.dialogs import Confirm
from bascule_console.screens.live.screen import LiveScreen
from bascule_console.screens.modes import MODES
from bascule_console.screens.move.choose import ChooseNode
from bascule_console.services.session import Session
from bascule_console.store.store import Store
from bascule_kube.kinds import VMIM
from bascule_lab.apiserver.server import ApiServer

NEED = Need("create", "kubevirt.io", "virtualmachineinstancemigrations")
DANGER = Action("x", "X", "x", danger=True, needs=(NEED,))


def test_what_a_guard_permits() -> None:
    harmless = Action("y", "Y", "y")
    assert Guard(read_only=True).permits(harmless, {})
    assert not Guard().permits(DANGER, {})  # not answered yet
    assert not Guard().permits(DANGER, {NEED: False})
    assert Guard(protected=True).permits(DANGER, {NEED: True})
    assert not Guard(read_only=True).permits(DANGER, {NEED: True})
    assert Guard(unasked=True).permits(DANGER, {})


def test_the_registry_is_sound() -> None:
    everywhere = {action.key for action in all_actions() if not action.scope}
    modes = {mode.id for mode in MODES}
    assert len({action.id for action in all_actions()}) == len(all_actions())
    for mode in modes:
        own = [action.key for action in all_actions() if mode in action.scope]
        assert len(own) == len(set(own)) and not everywhere & set(own), mode
    for action in all_actions():
        assert set(action.scope) <= modes
        assert not action.danger or (action.needs and "{name}" in action.confirm and action.verb), action.id
    assert NEED in needs()


@asynccontextmanager
async def running(live: Any, **options: Any) -> AsyncIterator[tuple[BasculeApp, Pilot[None]]]:
    store = Store()
    app = BasculeApp(store, Session(store, live.kubeconfig, options.pop("context", None)), **options)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: len(store.vms.rows()) == 2 and len(store.rights.granted) == len(needs()))
        await pilot.pause(0.3)
        yield app, pilot


async def until(pilot: Pilot[None], what: Callable[[], object], seconds: float = 15) -> None:
    async with asyncio.timeout(seconds):
        while not what():
            await pilot.pause(0.05)


async def two_vms(live: Any) -> None:
    await live.start(nodes=2)
    await live.run("web-1", "node1")
    await live.run("web-2", "node2")


def live_keys(app: BasculeApp) -> set[str]:
    return {active.binding.action for active in app.screen.active_bindings.values()}


async def test_an_admin_has_danger_and_a_viewer_has_none(live: Any) -> None:
    await two_vms(live)
    async with running(live) as (app, _):
        assert "move_vm" in live_keys(app)
        assert all(app.store.rights.granted.values())
    async with running(live, context="lab-viewer") as (app, pilot):
        assert "move_vm" not in live_keys(app)
        assert not any(app.store.rights.granted.values())
        await pilot.press("m")
        assert isinstance(app.screen, LiveScreen)


async def test_a_protected_context_wants_the_name(live: Any) -> None:
    await two_vms(live)
    async with running(live, protected=True) as (app, pilot):
        assert "PROD" in str(app.screen.query_one("#banner").render())
        await pilot.press("m")
        assert isinstance(app.screen, ChooseNode)
        await pilot.press("enter", "y")
        await until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press(*"web-2", "enter")
        assert isinstance(app.screen, Confirm)
        assert "'web-2' is not 'web-1'" in str(app.screen.query_one("#wrong").render())
        assert await live.cluster.list(VMIM) == []
        app.screen.query_one(Input).value = ""
        await pilot.press(*"web-1", "enter")
        async with asyncio.timeout(10):
            while not await live.cluster.list(VMIM):
                await pilot.pause(0.05)


async def test_the_api_goes_and_comes_back(live: Any) -> None:
    await two_vms(live)
    async with running(live) as (app, pilot):
        banner = app.screen.query_one("#banner")
        address = live._socket.getsockname()
        await live._server.stop()
        await until(pilot, lambda: "API silent" in str(banner.render()), 30)
        assert len(app.store.vms.rows()) == 2  # what was known stays on screen
        await pilot.press("down", "m", "escape", "escape")
        live._socket = socket.socket()
        live._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        live._socket.bind(address)
        live._server = ApiServer(live._folder / "api")
        await live._server.start([live._socket])
        await live.run("web-3", "node1")
        await until(pilot, lambda: len(app.store.vms.rows()) == 3, 40)
        await until(pilot, lambda: "API silent" not in str(banner.render()), 30)


async def test_no_danger_key_of_a_viewer_writes(live: Any) -> None:
    """Every danger action's key in every mode it has, with every way to say yes."""
    await two_vms(live)
    before = await live.versions()
    async with running(live, context="lab-viewer") as (app, pilot):
        for mode in {scope for action in all_actions() if action.danger for scope in action.scope}:
            app.open(mode)
            await pilot.pause(0.2)
            for action in all_actions():
                if action.danger and action.works_in(mode):
                    await pilot.press(action.key, "y", "enter", "escape", "escape")
            assert not any(each.danger and each.id in live_keys(app) for each in all_actions())
        assert app.is_running
    assert await live.versions() == before


@pytest.mark.long
async def test_no_key_of_a_viewer_writes(live: Any) -> None:
    """Every action's key in every mode, then keys at random, with every way out of dialogs."""
    await two_vms(live)
    before = await live.versions()
    dice = random.Random(7)
    keys = [action.key for action in all_actions() if action.id not in ("quit", "command")]
    keys += [*"ynabdetx", "enter", "escape", "tab", "down", "up", "space", "delete", "ctrl+d", "ctrl+k", "f2"]
    async with running(live, context="lab-viewer") as (app, pilot):
        for mode in MODES:
            app.open(mode.id)
            await pilot.pause(0.1)
            for action in all_actions():
                if action.works_in(mode.id) and action.id not in ("quit", "command"):
                    await pilot.press(action.key, "y", "enter", "escape", "escape")
        for _ in range(300):
            await pilot.press(dice.choice(keys))
        assert app.is_running
    assert await live.versions() == before


async def test_settings_guard_the_verbs(live: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await two_vms(live)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    settings = tmp_path / "bascule" / "config.yaml"
    settings.parent.mkdir()
    move = ("vms", "move", "web-1", "--to", "node2", "--timeout", "0.2")
    settings.write_text("contexts:\n  lab-admin:\n    read_only: true\n")
    code, _, err = await live.bascule(*move)
    assert code == 4 and f"contexts.lab-admin.read_only in {settings}" in err
    settings.write_text("contexts:\n  lab-admin:\n    protected: true\n")
    code, _, err = await live.bascule(*move)
    assert code == 4 and "add --confirm-name web-1" in err
    code, _, err = await live.bascule(*move, "--confirm-name", "web-2")
    assert code == 4 and "--confirm-name says 'web-2'" in err
    code, _, err = await live.bascule("apply", "-f", "examples/dc1.yaml")
    assert code == 4 and "add --confirm-name lab-admin" in err
    assert await live.cluster.list(VMIM) == []
    code, _, err = await live.bascule(*move, "--confirm-name", "web-1")
    assert code == 124, err  # it moved; nobody plays KubeVirt here
    assert len(await live.cluster.list(VMIM)) == 1
    settings.write_text("contexts:\n  lab-admin:\n    protectd: true\n")
    code, _, err = await live.bascule(*move)
    assert code == 2 and f"{settings}:3: contexts.lab-admin.protectd" in err
