"""Screenshots of every screen on the running lab at 80×24 and 160×45, and of the live screen in every theme.

SVG goes to screenshots/, where the docs take it from; PNG, ten times the size, to build/screenshots/, to be looked at.
Called by scripts/screenshots.sh, which brings a lab up when none runs. Before the pictures a VM is moved, a Network
made and taken away again and examples/policies.yaml applied; while they are taken the guests open connections one after
the other, some to a port that policy denies, one with an address that is not its own. The PNG comes from
rsvg-convert, which knows neither textLength nor leading spaces; so every character is put at its cell first.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TypeAlias

import yaml
from textual.pilot import Pilot

from bascule_console.app import BasculeApp
from bascule_console.screens.base import BasculeScreen
from bascule_console.screens.modes import MODES
from bascule_console.services.credentials import choose
from bascule_console.services.session import Session
from bascule_console.services.settings import THEMES
from bascule_console.store.store import Store

SIZES = {"80x24": (80, 24), "160x45": (160, 45)}
PNGS = Path("build/screenshots")
WAIT_S, SETTLE_S = 60.0, 3.0
LOOK_S = 2.0
CELL = 12.2  # the width of a character in Rich's SVG
# What is pressed on a screen before its picture, beside the picture that shows it as it opens.
Keys: TypeAlias = dict[str, tuple[str, tuple[str, ...]]]
MORE: Keys = {
    "live-move": ("live", ("m",)),
    "networks-detail": ("networks", ("enter",)),
    "networks-form": ("networks", ("n",)),
    "networks-yaml": ("networks", ("E",)),
    "trunks-matrix": ("trunks", ("m",)),
    "flows-talkers": ("flows", ("2",)),
    "flows-drops": ("flows", ("3",)),
    "flows-arp": ("flows", ("4",)),
    "flows-detail": ("flows", ("1", "enter")),
    "policies-detail": ("policies", ("enter",)),
    "policies-form": ("policies", ("down", "down", "e")),
    "policies-yaml": ("policies", ("down", "down", "E")),
    "policies-whatif": ("policies", ("w",)),
    "policies-explain": ("policies", ("x", *"db-1", "enter", *"web-1", "enter", *"tcp/22", "enter")),
    "moves-record": ("moves", ("enter",)),
    "nodes-node": ("nodes", ("enter",)),
    "move-drain": ("nodes", ("D",)),
    "vms-attach": ("vms", ("a",)),
    "wizard-steps": ("wizard", ("w",)),
    "help": ("vms", ("question_mark",)),
    "palette": ("vms", ("ctrl+p",)),
}
_TEXT = re.compile(r'<text class="([^"]+)" x="([\d.]+)" y="([\d.]+)" textLength="[\d.]+" ([^>]*)>([^<]*)</text>')


def on_the_grid(svg: str) -> str:
    """The same picture with every character in a text of its own, at its cell."""

    def spread(found: re.Match[str]) -> str:
        style, x, y, rest, text = found.groups()
        return "".join(
            f'<text class="{style}" x="{float(x) + at * CELL:.1f}" y="{y}" {rest}>{html.escape(char)}</text>'
            for at, char in enumerate(html.unescape(text))
            if char != "\xa0"
        )

    return _TEXT.sub(spread, svg)


def write(svg: str, path: Path) -> None:
    """`path`.svg, and its PNG under build/screenshots."""
    target = path.with_name(path.name + ".svg")
    target.write_text(svg)
    PNGS.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["rsvg-convert", "-o", str(PNGS / f"{path.name}.png")],
        input=on_the_grid(svg).encode(),
        capture_output=True,
    )
    if done.returncode:
        sys.exit(f"screenshots: rsvg-convert: {done.stderr.decode().strip()} (apt install librsvg2-bin)")
    print(f"screenshots: {target}", file=sys.stderr)


def something_to_show() -> None:
    """A move with its record, and two journal records that leave nothing behind."""

    def bascule(*words: str) -> str:
        command = [str(Path(sys.executable).with_name("bascule")), "--lab", *words]
        return subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True).stdout

    vm = next(row for row in yaml.safe_load(bascule("vms", "list", "-o", "json")) if row["phase"] == "Running")
    node = next(f"node{number}" for number in (1, 2) if vm["node"] != f"node{number}")
    bascule("vms", "move", vm["name"], "--to", node)
    bascule("apply", "-f", "examples/policies.yaml")
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        network = next(
            document
            for document in yaml.safe_load_all(Path("examples/dc1.yaml").read_text())
            if document["kind"] == "Network"
        )
        trunk = network["spec"]["l2Bridge"]["hostConfig"][0]["hostConnections"][0]["trunkPort"]["interface"]
        network["metadata"]["name"], trunk["name"] = "dc2", "trunk1"
        del network["spec"]["l2Bridge"]["hostConfig"][0]["hostConnections"][0]["trunkPort"]["nativeVLAN"]
        network["spec"]["l2Bridge"]["vlans"] = [{"vlan": {"id": 300}, "subnets": [{"cidr": "10.30.0.0/24"}]}]
        yaml.safe_dump(network, file)
        bascule("apply", "-f", file.name)
        bascule("networks", "delete", "dc2")


def traffic(seconds: int) -> None:
    """Guests that open connections for so long: allowed, denied by policy, and one with a foreign address."""
    talk = "for p in 7 80 22; do echo x | nc -w 1 {} $p; done; "
    plans = {
        "web-1": talk.format("10.110.0.12"),
        "web-2": talk.format("10.110.0.13") + talk.format("10.110.0.11"),
        "db-1": talk.format("10.120.0.12"),
        "db-2": "ifconfig eth0:1 10.120.0.77; ping -c 1 -W 1 -I 10.120.0.77 10.120.0.11; ",
    }
    for vm, words in plans.items():
        script = f"(e=$(($(date +%s) + {seconds})); while [ $(date +%s) -lt $e ]; do {words} done) >/dev/null 2>&1 &"
        command = [str(Path(sys.executable).with_name("bascule")), "lab", "exec", vm, "--", script]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


async def shown(pilot: Pilot[None], mode: str) -> None:
    """Open a mode and wait for its rows; a screen without any shows what it says then."""
    app = pilot.app
    assert isinstance(app, BasculeApp)
    app.open(mode)
    for _ in range(int(SETTLE_S / 0.1)):
        await pilot.pause(0.1)
    screen = app.screen
    assert isinstance(screen, BasculeScreen)
    if screen.tables:
        screen.tables[0].focus()
    await pilot.pause(0.3)


async def shoot(
    folder: Path, size: str, theme: str, modes: list[str], more: dict[str, tuple[str, tuple[str, ...]]]
) -> None:
    """The pictures of one size in one theme."""
    access = choose(None, None, lab=True)
    store = Store()
    app = BasculeApp(store, Session(store, access.kubeconfig, access.context), theme=f"bascule-{theme}")

    def picture(name: str) -> None:
        write(app.export_screenshot(title="bascule --lab"), folder / f"{name}-{theme}-{size}")

    async with app.run_test(size=SIZES[size]) as pilot:
        async with asyncio.timeout(WAIT_S):
            while not (store.findings is not None and store.vms.rows() and store.flows.rows()):
                await pilot.pause(0.2)
        for mode in modes:
            await shown(pilot, mode)
            picture(mode)
        for name, (mode, keys) in more.items():
            await shown(pilot, mode)
            await pilot.press(*keys)
            await pilot.pause(LOOK_S)
            picture(name)
            while len(app.screen_stack) > 1:
                app.pop_screen()


def main() -> None:
    """Take all pictures, or turn SVG files into PNG beside them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--convert", nargs="+", type=Path, metavar="SVG", help="only convert these files to PNG")
    parser.add_argument("--to", type=Path, default=Path("screenshots"), metavar="FOLDER")
    parser.add_argument("--only", nargs="+", metavar="MODE", help="only these screens, in the dark theme")
    options = parser.parse_args()
    options.to.mkdir(exist_ok=True)
    for svg in options.convert or []:
        write(svg.read_text(), options.to / svg.stem)
    if options.convert:
        return
    with tempfile.TemporaryDirectory() as state:
        os.environ["XDG_STATE_HOME"] = state
        something_to_show()
        modes = [mode.id for mode in MODES if not options.only or mode.id in options.only]
        more = {name: what for name, what in MORE.items() if what[0] in modes}
        traffic(420)
        for size in SIZES:
            asyncio.run(shoot(options.to, size, "dark", modes, more))
        for theme in THEMES if not options.only else ():
            if theme != "dark":
                asyncio.run(shoot(options.to, "80x24", theme, ["live"], {}))


if __name__ == "__main__":
    main()
