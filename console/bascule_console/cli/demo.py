"""`bascule demo`: lab up, the interface on it, lab down at the end. A lab that ran before is used and left running."""

from __future__ import annotations

import argparse
import importlib.util
import os
import signal
import subprocess
import sys
from types import FrameType

from bascule.errors import BasculeError, UsageError
from bascule_console.cli.options import Subparsers
from bascule_console.cli.output import narrate
from bascule_console.cli.tui import add_options, require_terminal, show
from bascule_console.services.credentials import choose

LAB = (sys.executable, "-m", "bascule_lab")


class DemoError(BasculeError):
    """The lab did not come up."""


def add_parser(sub: Subparsers) -> None:
    """Declare the verb."""
    add_options(sub.add_parser("demo", help="lab up, the interface on it, lab down at the end"))


def run(args: argparse.Namespace) -> int:
    """Run the demo."""
    require_terminal()
    if importlib.util.find_spec("bascule_lab") is None:
        raise UsageError("the lab is not installed", fix="pip install 'bascule[lab]', or make install in a checkout")
    if _lab_runs():
        narrate("a lab is running already: it is used, and left running at the end")
        return show(choose(None, None, lab=True), args)
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _end)
    try:
        _up()
        return show(choose(None, None, lab=True), args)
    finally:
        _down()


def _lab_runs() -> bool:
    return subprocess.run([*LAB, "status"], capture_output=True, stdin=subprocess.DEVNULL).returncode == 0


def _up() -> None:
    """Bring the lab up; what it says is narration, so its stdout goes to our stderr."""
    done = subprocess.run([*LAB, "up"], stdout=sys.stderr, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise DemoError("the lab did not come up", cause=f"exit {done.returncode}; its own words stand above")


def _down() -> None:
    """Take the lab down, whatever happened; a second Ctrl-C must not leave half of it."""
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.SIG_IGN)
    narrate("taking the lab down")
    # A session of its own: the terminal's Ctrl-C must not reach it.
    done = subprocess.run([*LAB, "down"], stdout=sys.stderr, stdin=subprocess.DEVNULL, start_new_session=True)
    if done.returncode:
        narrate(f"lab down ended with {done.returncode}; run it again: bascule lab down")


def _end(number: int, _frame: FrameType | None) -> None:
    os.write(2, b"\n")
    raise SystemExit(128 + number)
