"""The real program in a real terminal (tmux), and what it says where there is none."""

from __future__ import annotations

import asyncio
import os
import pty
import select
import shutil
import subprocess
import sys
import termios
from collections.abc import AsyncIterator
from typing import Any

import pytest

# pytest exports a size of its own, which Textual would believe instead of the terminal's.
MAIN = "import sys; from bascule_console.cli.main import main; sys.exit(main())"
PROGRAM = f"env -u COLUMNS -u LINES {sys.executable} -c '{MAIN}'"


class Tmux:
    """One tmux server of our own with one 100×30 window."""

    def __init__(self) -> None:
        self._name = f"h8-{os.getpid()}"

    async def __call__(self, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *("tmux", "-L", self._name, "-f", "/dev/null", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode()

    async def run(self, command: str) -> None:
        await self("new-session", "-d", "-x", "100", "-y", "30", "-s", "t", "sh")
        await self("send-keys", "-t", "t", f"{command}; echo ended with $?", "Enter")

    async def until(self, words: str, seconds: float = 20) -> str:
        shown = ""
        try:
            async with asyncio.timeout(seconds):
                while words not in shown:
                    await asyncio.sleep(0.1)
                    shown = await self("capture-pane", "-p", "-t", "t")
        except TimeoutError:
            pytest.fail(f"{words!r} did not come up:\n{shown}")
        return shown


@pytest.fixture
async def tmux() -> AsyncIterator[Tmux]:
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    terminal = Tmux()
    try:
        yield terminal
    finally:
        subprocess.run(["tmux", "-L", terminal._name, "kill-server"], capture_output=True)


async def test_keys_work_and_q_gives_the_terminal_back(live: Any, tmux: Tmux) -> None:
    await live.start(nodes=2)
    await live.run("web-1", "node1")
    await tmux.run(f"{PROGRAM} --kubeconfig {live.kubeconfig}")
    shown = await tmux.until("✓ Running")
    assert "lab-admin" in shown and "52:54:00:00:6e:01" in shown
    await tmux("send-keys", "-t", "t", "?")
    await tmux.until("bascule vms move NAME --to NODE")
    await tmux("send-keys", "-t", "t", "Escape")
    await tmux.until("✓ Running")  # a key right after Escape would be read as Alt and that key
    await tmux("send-keys", "-t", "t", "/")
    await tmux("send-keys", "-t", "t", "nothing-like-it", "Enter")
    await tmux.until("No VM passes the filter")
    await tmux("resize-window", "-t", "t", "-x", "50", "-y", "12")
    await tmux.until("Terminal too small")
    await tmux("resize-window", "-t", "t", "-x", "100", "-y", "30")
    await tmux.until("No VM passes the filter")
    await tmux("send-keys", "-t", "t", "q")
    await tmux.until("ended with 0")


@pytest.mark.parametrize("ending", ["TERM", "HUP"])
async def test_a_signal_gives_the_terminal_back(live: Any, tmux: Tmux, ending: str) -> None:
    await live.start(nodes=1)
    await tmux.run(f"{PROGRAM} --kubeconfig {live.kubeconfig}")
    await tmux.until("This cluster has no VirtualMachine")
    shell = int((await tmux("display-message", "-p", "-t", "t", "#{pane_pid}")).strip())
    (child,) = subprocess.run(["pgrep", "-P", str(shell)], capture_output=True, text=True).stdout.split()
    subprocess.run(["kill", f"-{ending}", child], check=True)
    await tmux.until(f"ended with {128 + {'TERM': 15, 'HUP': 1}[ending]}")


def hang_up(command: list[str], words: str) -> int:
    """Run a program on a terminal that is nobody's controlling one, so that its end sends no signal; close the terminal
    once the words were written. The exit code."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (30, 100))
    program = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    shown = b""
    try:
        while words.encode() not in shown:
            assert select.select([ours], [], [], 30)[0], f"{words!r} did not come up: {shown[-2000:]!r}"
            shown += os.read(ours, 65536)
        os.close(ours)
        return program.wait(30)
    finally:
        program.kill()
        program.wait()


async def test_a_terminal_that_goes_without_a_signal_ends_it(live: Any) -> None:
    await live.start(nodes=1)
    command = [sys.executable, "-c", MAIN, "--kubeconfig", str(live.kubeconfig)]
    assert await asyncio.to_thread(hang_up, command, "VirtualMachine") == 129


@pytest.mark.parametrize("verb", [(), ("tui",), ("demo",)])
def test_without_a_terminal_it_names_the_headless_twin(verb: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MAIN, *verb],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "bascule flows --last 20" in done.stderr


async def test_a_dumb_terminal_is_refused(tmux: Tmux) -> None:
    await tmux.run(f"TERM=dumb {PROGRAM}")
    shown = await tmux.until("ended with 2")
    assert "TERM is dumb" in shown
