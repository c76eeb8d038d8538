"""`lab fetch`, `lab up`, `lab down`: the supervisor is a process of its own; these start it, wait for it, end it."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bascule.errors import BasculeError, RefusedError, UsageError
from bascule_lab.config import LabConfig
from bascule_lab.places import alive, read_status, state_dir

UP_TIMEOUT_S = 300.0
DOWN_TIMEOUT_S = 30.0


class LabError(BasculeError):
    """The lab did not come up, or did not go away."""


def fetch(_args: argparse.Namespace) -> int:
    """Download and unpack the guest kernel, boot and save the guest template; fast when both are there."""
    from bascule_lab.guests import template

    asyncio.run(template.ensure())
    return 0


def up(args: argparse.Namespace) -> int:
    """Start the supervisor and narrate until the lab stands."""
    from bascule_agent.netlink import list_netns

    if not 1 <= args.nodes <= 9:
        raise UsageError(f"--nodes {args.nodes}: 1 to 9 nodes", fix="leave it out for 3")
    if args.guests is not None and args.guests < 0:
        raise UsageError(f"--guests {args.guests}: not negative", fix="use --empty for none")
    state = state_dir()
    try:
        running = read_status(state)
    except RefusedError:
        running = None
    if running:
        raise RefusedError(
            "a lab is already running", cause=f"supervisor pid {running['pid']}", fix="bascule lab down, or use it"
        )
    if (state / "lab.json").exists() or list_netns(f"{LabConfig().prefix}-"):
        print("removing what an earlier lab left", file=sys.stderr)
        _sweep(state)
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    (state / "logs").mkdir(exist_ok=True)
    options = {
        "nodes": args.nodes,
        "guests": 0 if args.empty else args.guests,
        "empty": args.empty,
        "stand_in_guests": args.stand_in_guests,
    }
    with (state / "logs" / "supervisor.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bascule_lab", "supervise", "--state", str(state), "--options", json.dumps(options)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return _follow(state, process)


def _follow(state: Path, process: subprocess.Popen[bytes]) -> int:
    """Print the supervisor's progress until it is up. Raises LabError when it dies or takes too long."""
    shown = 0
    deadline = time.monotonic() + UP_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            status = json.loads((state / "lab.json").read_text())
        except (OSError, ValueError):
            status = {}
        if status.get("pid") == process.pid:
            for line in status["progress"][shown:]:
                print(line, file=sys.stderr, flush=True)
            shown = len(status["progress"])
            if status["state"] == "up":
                return 0
        if process.poll() is not None:
            tail = (state / "logs" / "supervisor.log").read_text().splitlines()[-12:]
            _sweep(state)
            raise LabError("the lab did not come up", cause="\n".join(tail), fix="see the lines above")
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGTERM)
    raise LabError(f"the lab is not up after {UP_TIMEOUT_S:.0f} s", fix=f"see {state}/logs")


def down(_args: argparse.Namespace) -> int:
    """End the supervisor; then remove whatever is left, also after a crash, and say what stays."""
    state = state_dir()
    try:
        pid = int(json.loads((state / "lab.json").read_text())["pid"])
    except (OSError, ValueError, KeyError):
        pid = 0
    if pid and alive(pid, "bascule_lab"):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + DOWN_TIMEOUT_S
        while alive(pid, "bascule_lab") and time.monotonic() < deadline:
            time.sleep(0.02)
    left = _sweep(state)
    if left:
        raise LabError("something of the lab is still here", cause="; ".join(left), fix="bascule lab down once more")
    print("lab is down", file=sys.stderr)
    return 0


def _sweep(state: Path) -> list[str]:
    """Remove what a lab left on this machine; returns what could not be removed."""
    from bascule_lab import machine

    return machine.cleanup(LabConfig(state=state))
