"""Themes as painted: every text on every screen reaches 4.5:1, verdicts differ for all, 16 colours stay 16."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from rich.color import ColorType
from rich.style import Style
from textual.pilot import Pilot
from textual.screen import ModalScreen
from textual.scrollbar import ScrollBar

from bascule_console.app import BasculeApp
from bascule_console.screens.modes import MODES
from bascule_console.services.settings import THEMES
from bascule_console.widgets.glyphs import ASCII
from bascule_console.widgets.themedata import ANSI, choose_theme, contrast, load_theme, rgb, themes_folder

NAMES = list(ANSI)


def test_every_theme_is_a_file_and_every_file_a_theme() -> None:
    assert sorted(THEMES) == sorted(path.stem for path in themes_folder().glob("*.yaml"))
    assert all(load_theme(themes_folder() / f"{name}.yaml").name == f"bascule-{name}" for name in THEMES)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"TERM": "xterm-256color"}, "dark"),
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "dark"),
        ({"TERM": "linux"}, "ansi"),
        ({"TERM": "xterm"}, "ansi"),
        ({"TERM": "screen"}, "ansi"),
        ({"TERM": "xterm-256color", "TEXTUAL_COLOR_SYSTEM": "standard"}, "ansi"),
    ],
)
def test_few_colours_pick_ansi(environ: dict[str, str], expected: str) -> None:
    assert choose_theme("", environ) == f"bascule-{expected}"
    assert choose_theme("light", environ) == "bascule-light"


def deuteranope(color: str) -> tuple[float, float, float]:
    """What a deuteranope sees of a colour, in linear light (Viénot, Brettel, Mollon 1999)."""
    channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return (0.29275 * r + 0.70725 * g, 0.29275 * r + 0.70725 * g, -0.02234 * r + 0.02234 * g + b)


def test_a_deuteranope_tells_the_verdicts_apart() -> None:
    def nearest(name: str) -> float:
        roles = load_theme(themes_folder() / f"{name}.yaml").roles
        seen = [deuteranope(roles[f"verdict-{word}"]) for word in ("allow", "deny", "drop", "unknown")]
        return min(math.dist(*pair) for pair in itertools.combinations(seen, 2))

    assert nearest("deuteranopia") > 0.12
    assert nearest("deuteranopia") > 1.5 * nearest("dark")


def hexes(style: Style | None, which: str, default: str) -> tuple[str, str]:
    color = getattr(style, which) if style is not None else None
    if color is None or color.type is ColorType.DEFAULT:
        return rgb(default)
    if color.type is ColorType.STANDARD:
        return rgb(NAMES[color.number])
    red, green, blue = color.get_truecolor()
    return rgb(f"#{red:02x}{green:02x}{blue:02x}")


def faint(app: BasculeApp, where: str) -> list[str]:
    """Text on screen below 4.5:1."""
    found = []
    strips = app.screen._compositor.render_strips()
    if isinstance(app.screen, ModalScreen):  # what is below a dialog is dimmed on purpose
        box = app.screen.children[0].region
        strips = [strip.crop(box.x, box.right) for strip in strips[box.y : box.bottom]]
    for strip in strips:
        for segment in strip:
            style = segment.style
            word = segment.text.strip(" ─│╭╮╰╯▁▔▕▏┌┐└┘━┃▊▎█▄▀▌")
            if not word or segment.control:
                continue
            inks = hexes(style, "color", "ansi_bright_white")
            grounds = hexes(style, "bgcolor", "ansi_black")
            if style is not None and style.reverse:
                inks, grounds = grounds, inks
            ratio = min(contrast(ink, ground) for ink, ground in zip(inks, grounds, strict=True))
            if ratio < 4.5:
                found.append(f"{where}: {word[:30]!r} {inks[0]} on {grounds[0]} {ratio:.2f}")
    return found


@pytest.mark.parametrize("theme", THEMES)
async def test_what_is_painted_is_readable(scene: Any, theme: str) -> None:
    scene.cluster().talk()
    scene.run("db-2", "node2", "Failed")
    scene.store.agent_silent("node3", "the stream ended")
    scene.send("node1", scene.record(20, "web-1", "web-2", packets=5), lost={"map-full": 3})
    scene.store.keep_record("vms/web-1", scene.move_record("7c6f").to_json())
    app = BasculeApp(scene.store, None, theme=f"bascule-{theme}", protected=True)
    wrong: list[str] = []

    async def look(pilot: Pilot[None], where: str, *keys: str) -> None:
        await pilot.press(*keys)
        await pilot.pause(0.15)
        wrong.extend(faint(app, where))

    async with app.run_test(size=(160, 45), notifications=True) as pilot:
        await pilot.pause(0.4)
        for mode in MODES:
            app.open(mode.id)
            await look(pilot, mode.id)
        app.open("live")
        await look(pilot, "second table", "tab")
        await look(pilot, "frozen", "space")
        await look(pilot, "prompt", "slash", "w")
        await look(pilot, "prompt with a wrong filter", "[", "enter")
        await pilot.press("escape", "tab")
        await look(pilot, "help", "question_mark")
        await look(pilot, "choose", "escape", "m")
        await look(pilot, "typed confirmation", "enter", "y")
        await look(pilot, "a wrong name", "x", "enter")
        await look(pilot, "record", "escape", "r")
        await look(pilot, "yaml", "escape", "y")
        await look(pilot, "palette", "escape", "ctrl+p")
    assert sorted(set(wrong)) == []


def strange(app: BasculeApp) -> list[str]:
    """Characters on screen that ASCII has not."""
    text = "".join(segment.text for strip in app.screen._compositor.render_strips() for segment in strip)
    return sorted({char for char in text if not char.isascii()})


async def test_ascii_paints_ascii_only(scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScrollBar, "renderer", ScrollBar.renderer)  # put back at the end
    app = BasculeApp(scene.cluster().talk().store, None, ascii_only=True)
    assert app.glyphs is ASCII
    async with app.run_test(size=(160, 45)) as pilot:
        for mode in MODES:
            app.open(mode.id)
            await pilot.pause(0.1)
            assert strange(app) == [], mode.id
        app.open("live")
        for keys in (("question_mark",), ("escape", "m"), ("escape", "y")):
            await pilot.press(*keys)
            await pilot.pause(0.1)
            assert strange(app) == [], keys


async def test_ansi_sends_the_16_colours_only(scene: Any) -> None:
    app = BasculeApp(scene.cluster().talk().store, None, theme="bascule-ansi")
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause(0.3)
        for strip in app.screen._compositor.render_strips():
            for segment in strip:
                for color in (segment.style.color, segment.style.bgcolor) if segment.style else ():
                    assert color is None or color.type in (ColorType.STANDARD, ColorType.DEFAULT), (segment.text, color)
