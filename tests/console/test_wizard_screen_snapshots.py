"""What the wizard looks like: a page with answers and problems, the review, a run, at 80×24 and 160×45; themes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests_clock import StoppedClock
from tests_wizard_pages import Told, page, review_page, run_page
from textual.pilot import Pilot

from bascule.migration.wizard_page import Choice, Field, Gate, Page, Problem, Table
from bascule_console.app import BasculeApp
from bascule_console.screens import base
from bascule_console.screens.wizard import screen as wizard_screen
from bascule_console.services import wizard as service
from bascule_console.store.store import Store

SIZES = {"80x24": (80, 24), "160x45": (160, 45)}
Compare = Callable[..., bool]


def networks_page() -> Page:
    """Step 3: what is assumed, what may be answered, what becomes of each VLAN; an answer that cannot be used."""
    rows = tuple(
        (str(vid), "dc1 (new)", f"pg-{vid}", f"10.{vid}.0.0/24", "assumed from the VMs", "") for vid in (110, 120, 130)
    )
    problems = tuple(
        Problem(
            "warning",
            f"VLAN {vid}: subnet 10.{vid}.0.0/24 is assumed from 2 addresses, its gateway is not known",
            "",
            "answer its subnet",
            f"networks.subnet {vid}",
        )
        for vid in (110, 120)
    )
    return page(
        "networks",
        summary="3 VLANs on 1 Network, 3 new",
        notes=("the sources changed: VLAN 130 is new since you looked",),
        problems=(
            Problem(
                "error", "10.110.0.0/33 is no subnet", "the prefix is longer than 32", "10.110.0.0/24", "networks.x"
            ),
            *problems,
        ),
        fields=(
            Field("networks.network", "Network for new VLANs", "text", "dc1", (), "its name"),
            Field(
                "networks.x", "Subnet of VLAN 110", "text", "10.110.0.0/33", error="the prefix is longer", given=True
            ),
            Field("networks.y", "Is it carried untagged on the trunk of the new Network?", "yes-no", "no", given=True),
            Field("networks.z", "Its pool", "choice", "new", (Choice("new", "a new one"), Choice("there", "as it is"))),
        ),
        facts=(
            Table(
                "vlans",
                "What becomes of each VLAN",
                ("vlan", "network", "port groups", "subnet", "known from", "gateway"),
                rows,
                2,
            ),
        ),
        next=Gate(False, "mend the subnet of VLAN 110"),
    )


PAGES = {"networks": networks_page(), "review": review_page(), "run": run_page()}
SUMMARIES = {"source": "6 VMs, 6 NICs, 3 port groups", "assess": "0 error, 1 warning, 30 unknown, 37 ok"}


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch, scene: Any) -> Any:
    """The wizard's pages on an empty store, at noon."""
    clock = StoppedClock(scene.noon_ns + 400_000_000)
    monkeypatch.setattr(base, "time", clock)
    monkeypatch.setattr(wizard_screen, "time", clock)
    return monkeypatch


def told(step: str) -> Told:
    """Standing at `step`, having been at Run; the Source changed since."""
    pages = {**PAGES, **{name: page(name, summary=words) for name, words in SUMMARIES.items()}}
    found = Told(pages, step, "run")
    found.state = replace(found.state, notes={"source": "changed"})
    return found


async def open_wizard(pilot: Pilot[None], *keys: str) -> None:
    app = pilot.app
    assert isinstance(app, BasculeApp)
    app.open("wizard")
    screen = app.screen
    assert isinstance(screen, wizard_screen.WizardScreen)
    async with asyncio.timeout(15):
        while screen.page is None or screen._busy or len(screen._summaries) < 8:
            await pilot.pause(0.02)
    await pilot.press(*keys)
    await pilot.pause(0.3)
    screen.show_lines()
    await pilot.pause(0.1)


def compare(snap_compare: Compare, still: Any, step: str, size: str, keys: tuple[str, ...] = (), **more: Any) -> bool:
    still.setattr(service, "Wizard", told(step))
    app = BasculeApp(Store(), None, **more)
    return snap_compare(app, terminal_size=SIZES[size], run_before=lambda pilot: open_wizard(pilot, *keys))


SHOWN: dict[str, tuple[str, tuple[str, ...]]] = {
    "page": ("networks", ()),
    "review": ("review", ()),
    "run": ("run", ("tab", "tab", "down")),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("what", SHOWN)
def test_page(snap_compare: Compare, still: Any, what: str, size: str) -> None:
    step, keys = SHOWN[what]
    assert compare(snap_compare, still, step, size, keys)


@pytest.mark.parametrize("theme", ["light", "ansi"])
def test_themes(snap_compare: Compare, still: Any, theme: str) -> None:
    assert compare(snap_compare, still, "networks", "80x24", theme=f"bascule-{theme}")


def test_no_color(snap_compare: Compare, still: Any) -> None:
    still.setenv("NO_COLOR", "1")
    assert compare(snap_compare, still, "networks", "80x24", ("m",))


def test_read_only_in_ascii(snap_compare: Compare, still: Any) -> None:
    assert compare(snap_compare, still, "run", "80x24", ("a",), read_only=True, ascii_only=True)


def test_an_action_is_chosen(snap_compare: Compare, still: Any) -> None:
    assert compare(snap_compare, still, "run", "80x24", ("a",))


def test_a_diff(snap_compare: Compare, still: Any) -> None:
    assert compare(snap_compare, still, "review", "80x24", ("v",))
