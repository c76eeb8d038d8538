"""Screenshots of the live screen on the running lab, SVG and PNG, at 80×24 and 160×45, in both themes.

Called by scripts/screenshots.sh, which brings a lab up when none runs. The PNG comes from rsvg-convert, which knows
neither textLength nor leading spaces; so every character is put at its cell first.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import re
import subprocess
import sys
from pathlib import Path

from bascule_console.app import BasculeApp
from bascule_console.screens.live.screen import LiveScreen
from bascule_console.services.credentials import choose
from bascule_console.services.session import Session
from bascule_console.store.store import Store

SIZES = {"80x24": (80, 24), "160x45": (160, 45)}
THEMES = ("dark", "light")
WAIT_S = 60.0
CELL = 12.2  # the width of a character in Rich's SVG
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
    """`path`.svg and `path`.png."""
    target = path.with_name(path.name + ".svg")
    target.write_text(svg)
    done = subprocess.run(
        ["rsvg-convert", "-o", str(path.with_name(path.name + ".png"))],
        input=on_the_grid(svg).encode(),
        capture_output=True,
    )
    if done.returncode:
        sys.exit(f"screenshots: rsvg-convert: {done.stderr.decode().strip()} (apt install librsvg2-bin)")
    print(f"screenshots: {target} and .png", file=sys.stderr)


async def shoot(folder: Path, size: str, theme: str) -> None:
    """One picture, taken when VMs and flows are on screen."""
    access = choose(None, None, lab=True)
    store = Store()
    app = BasculeApp(store, Session(store, access.kubeconfig, access.context), theme=f"bascule-{theme}")
    async with app.run_test(size=SIZES[size]) as pilot:
        screen = app.screen
        assert isinstance(screen, LiveScreen)
        async with asyncio.timeout(WAIT_S):
            while not (len(screen.vms.view) and len(screen.flows.view)):
                await pilot.pause(0.2)
        await pilot.pause(2.0)
        write(app.export_screenshot(title="bascule --lab"), folder / f"live-{theme}-{size}")


def main() -> None:
    """Take all pictures, or turn SVG files into PNG beside them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--convert", nargs="+", type=Path, metavar="SVG", help="only convert these files to PNG")
    parser.add_argument("--to", type=Path, default=Path("screenshots"), metavar="FOLDER")
    options = parser.parse_args()
    options.to.mkdir(exist_ok=True)
    for svg in options.convert or []:
        write(svg.read_text(), options.to / svg.stem)
    if options.convert:
        return
    for theme in THEMES:
        for size in SIZES:
            asyncio.run(shoot(options.to, size, theme))


if __name__ == "__main__":
    main()
