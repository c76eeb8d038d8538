"""The wizard walked in a real terminal (tmux) by keys alone, from a book to manifests on disk, without a cluster."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests_terminal import Terminal
from tests_wizard_pages import write_book

MAIN = "import sys; from bascule_console.cli.main import main; sys.exit(main())"


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux")
    found = Terminal(f"hz6-{os.getpid()}")
    try:
        yield found
    finally:
        found.close()


def test_from_a_book_to_manifests_by_keys_alone(terminal: Terminal, tmp_path: Path) -> None:
    """Every step at 80×24, each captured; what was typed survives leaving; the files are what another reader reads."""
    write_book(tmp_path / "old.xlsx")
    own = " ".join(f"{name}={tmp_path}/{name.lower()}" for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "HOME"))
    program = f"cd {tmp_path}; env -u COLUMNS -u LINES -u KUBECONFIG {own} BASCULE_LAB_DIR={tmp_path}/none"
    command = f"{program} {sys.executable} -c '{MAIN}' wizard"
    terminal.start(command)
    terminal.tmux("resize-window", "-t", "t", "-x", "80", "-y", "24")
    terminal.see("ctrl+n Next")
    seen = {"source": terminal.see("not further yet: name a file")}
    terminal.type("old.x")
    terminal.see("old.xlsx")  # offered
    terminal.press("Right", "Enter")
    terminal.see("6 VMs, 6 NICs, 3 port groups")
    terminal.press("C-n")
    seen["assess"] = terminal.see("2 of 9  Assess")
    assert "✗ error" in seen["assess"]  # two VMs have one address
    terminal.press("n")
    seen["networks"] = terminal.see("3 of 9  Networks")
    terminal.press("m")
    terminal.see("right takes what is there")
    terminal.press("Right", "Escape")
    terminal.see("your answer")  # leaving a field with Esc answers it
    terminal.press("n")
    seen["identity"] = terminal.see("4 of 9  Identity")
    assert "2 held back" in seen["identity"]  # the two with one address
    terminal.press("n")
    seen["policies"] = terminal.see("5 of 9  Policies")
    terminal.press("n")
    seen["waves"] = terminal.see("6 of 9  Waves")
    terminal.press("q")
    terminal.see("ended with 0")
    terminal.type(command)
    terminal.press("Enter")
    terminal.see("6 of 9  Waves")  # resumed
    terminal.press("n")
    seen["review"] = terminal.see("7 of 9  Review")
    terminal.press("e")
    terminal.see("a new directory; nothing is overwritten")
    terminal.type(f"{tmp_path}/out")
    terminal.press("Escape")
    terminal.see("manifests into")
    terminal.press("a")
    terminal.see("What is to be done")
    terminal.press("1")
    terminal.see("wrote ")
    terminal.press("q")
    terminal.see("ended with 0")
    for number, step in enumerate(seen, 1):
        assert f"{number} of 9" in seen[step] and len(seen[step].splitlines()) <= 24
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert sum(1 for each in plan["vms"] if each["wave"]) == 4
    kinds = {each["kind"] for each in yaml.safe_load_all((tmp_path / "out" / "networks.yaml").read_text())}
    assert kinds == {"Network"}
