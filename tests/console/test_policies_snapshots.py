"""What the policy tree, a policy, its form and YAML with what-if, and explain look like, at 80×24 and 160×45."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests_clock import StoppedClock
from tests_policy_world import DOCUMENTS, address, pod
from textual.pilot import Pilot

from bascule.policy.endpoints import endpoints_of
from bascule_console.app import BasculeApp
from bascule_console.screens import base as base_screen
from bascule_console.screens.policies.panel import ImpactPanel
from bascule_console.store.inventory import object_key
from bascule_console.store.policybook import Hits
from bascule_console.store.policyworld import World
from bascule_console.store.vms import ATTACHMENTS, VMIS, VMS

SIZES = {"80x24": (80, 24), "160x45": (160, 45)}
Compare = Callable[..., bool]


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch, scene: Any) -> Any:
    """Twelve VMs that talk, two tiers, policies of every state; the agents count hits."""
    monkeypatch.setattr(base_screen, "time", StoppedClock(scene.noon_ns + 400_000_000))
    scene.cluster().talk()
    inventory = scene.store.inventory
    pods = [pod(name, *address(name)) for name in scene.placed]
    vmis = []
    for each in inventory.all(VMIS):  # with the template's NICs, as KubeVirt makes them
        template = inventory.get(VMS, object_key(each))["spec"]["template"]["spec"]
        vmis.append({**each, "spec": {**each["spec"], **template}})
    found = endpoints_of(pods, vmis, inventory.all(ATTACHMENTS))
    assert not found.problems and len(found.endpoints) == len(scene.placed)
    scene.store.policy.keep(World([*DOCUMENTS], found.endpoints, ()))
    return scene


def count_hits(scene: Any) -> None:
    """What agents count by rule."""
    web = ("NetworkPolicy", "vms", "web", "Ingress")
    scene.store.policy.keep_hits(Hits({(*web, 0): 1204, (*web, 1): 9}, ("node1", "node2", "node3")))


async def settle(pilot: Pilot[None], done: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not done():
            await pilot.pause(0.05)
    await pilot.pause(0.3)
    pilot.app.screen.set_focus(pilot.app.screen.focused)


async def tree(pilot: Pilot[None]) -> None:
    app = pilot.app
    assert isinstance(app, BasculeApp)
    app.open("policies", ("rule", "NetworkPolicy", "vms", "web", "Ingress", 2))
    world = app.store.policy.world
    assert world is not None
    await settle(pilot, lambda: bool(world.known_effects(("NetworkPolicy", "vms", "web"))))
    app.screen.show_lines()
    await pilot.pause(0.1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("theme", ["dark", "light", "ansi"])
def test_tree(still: Any, snap_compare: Compare, size: str, theme: str) -> None:
    if theme != "dark" and size == "160x45":
        pytest.skip("one size is enough for a theme")
    count_hits(still)
    app = BasculeApp(still.store, None, theme=f"bascule-{theme}")
    assert snap_compare(app, terminal_size=SIZES[size], run_before=tree)


@pytest.mark.parametrize("size", SIZES)
def test_one_policy(still: Any, snap_compare: Compare, size: str) -> None:
    async def opened(pilot: Pilot[None]) -> None:
        await tree(pilot)
        await pilot.press("enter")
        await pilot.pause(0.5)

    assert snap_compare(BasculeApp(still.store, None), terminal_size=SIZES[size], run_before=opened)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("key", ["E", "e"])
def test_editors(still: Any, snap_compare: Compare, size: str, key: str) -> None:
    async def opened(pilot: Pilot[None]) -> None:
        await tree(pilot)
        await pilot.press("down", "down", key)  # the staged policy, which cuts talkers off
        await pilot.pause(0.2)

        def judged() -> bool:
            found = pilot.app.screen.query(ImpactPanel)
            return bool(found) and found.first().impact is not None and found.first().impact.forecast is not None

        await settle(pilot, judged)

    assert snap_compare(BasculeApp(still.store, None), terminal_size=SIZES[size], run_before=opened)


@pytest.mark.parametrize("size", SIZES)
def test_what_if(still: Any, snap_compare: Compare, size: str) -> None:
    async def opened(pilot: Pilot[None]) -> None:
        await tree(pilot)
        await pilot.press("w")
        await pilot.pause(0.2)
        await settle(pilot, lambda: bool(getattr(pilot.app.screen, "_rows", None)))

    assert snap_compare(BasculeApp(still.store, None), terminal_size=SIZES[size], run_before=opened)


@pytest.mark.parametrize("size", SIZES)
def test_explain(still: Any, snap_compare: Compare, size: str) -> None:
    async def opened(pilot: Pilot[None]) -> None:
        await tree(pilot)
        await pilot.press("x")
        await pilot.pause(0.2)
        await pilot.press(*"db-1", "enter", *"web-1", "enter", *"tcp/22", "enter")
        await pilot.pause(0.8)

    assert snap_compare(BasculeApp(still.store, None), terminal_size=SIZES[size], run_before=opened)
