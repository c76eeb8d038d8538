"""`bascule demo`, whole: a lab comes up, guests are on screen, and after `q` nothing is left."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys

import pytest

LAB = (sys.executable, "-m", "bascule_lab")


@pytest.mark.root
@pytest.mark.qemu
@pytest.mark.long
@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
async def test_demo_from_up_to_down() -> None:
    if subprocess.run([*LAB, "status"], capture_output=True).returncode == 0:
        pytest.skip("a lab is running: the demo would use it and leave it")
    tmux = ("tmux", "-L", f"h8-demo-{os.getpid()}", "-f", "/dev/null")

    def send(*words: str) -> None:
        subprocess.run([*tmux, "send-keys", "-t", "t", *words], check=True)

    async def until(words: str, seconds: float) -> None:
        shown = ""
        async with asyncio.timeout(seconds):
            while words not in shown:
                await asyncio.sleep(0.3)
                shown = subprocess.run([*tmux, "capture-pane", "-p", "-t", "t"], capture_output=True, text=True).stdout

    subprocess.run([*tmux, "new-session", "-d", "-x", "120", "-y", "40", "-s", "t", "sh"], check=True)
    try:
        program = f"env -u COLUMNS -u LINES {sys.executable} -c "
        program += "'import sys; from bascule_console.cli.main import main; sys.exit(main())' demo"
        send(f"{program}; echo ended with $?", "Enter")
        await until("VMs 12", 240)
        await until("✓ allow", 30)
        send("q")
        await until("ended with 0", 60)
        assert subprocess.run([*LAB, "status"], capture_output=True).returncode != 0
    finally:
        subprocess.run([*tmux, "kill-server"], capture_output=True)
        if subprocess.run([*LAB, "status"], capture_output=True).returncode == 0:
            subprocess.run([*LAB, "down"], check=True)
