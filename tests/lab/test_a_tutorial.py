"""docs/tutorial.md works as written: every command in order, every shown line in its answer."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests_lab import BIN, STATE, Lab

pytestmark = [pytest.mark.root, pytest.mark.qemu]

ROOT = Path(__file__).resolve().parents[2]
COMMAND = re.compile(r"^\$ (?P<text>.*?)(?: \[exit (?P<code>\d+)\])?$")


@dataclass
class Step:
    """One command of the page, the exit code it must have, and the lines its answer must show."""

    text: str
    code: int
    shown: list[str] = field(default_factory=list)


def steps(page: str) -> list[Step]:
    """The console blocks of a page, in order."""
    found: list[Step] = []
    for block in re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            command = COMMAND.match(line)
            if command:
                found.append(Step(command["text"], int(command["code"] or 0)))
            else:
                found[-1].shown.append(line)
    return found


def pattern(line: str) -> str:
    """A shown line as a regular expression: `…` is anything, blanks are any blanks."""
    words = [r"\s+".join(re.escape(word) for word in part.split()) for part in line.split("…")]
    return r"[^\n]*".join(words)


def test_the_page_has_steps_and_patterns_can_fail() -> None:
    found = steps((ROOT / "docs" / "tutorial.md").read_text())
    assert len(found) > 12
    assert re.search(pattern("a … 0% lost"), "a  x 0%   lost")
    assert not re.search(pattern("a … 0% lost"), "a x 10 lost")


def test_the_tutorial_as_written() -> None:
    if (STATE / "lab.json").exists():
        pytest.fail("a lab is up on this machine: run 'bascule lab down' before the tests")
    try:
        for step in steps((ROOT / "docs" / "tutorial.md").read_text()):
            run(step)
    finally:
        Lab().lab("down", check=None)
        Path("/tmp/bascule-tutorial.yaml").unlink(missing_ok=True)


def run(step: Step) -> None:
    """Run one step in a shell, as the reader would, with bascule on the PATH."""
    done = subprocess.run(
        ["bash", "-c", f"export PATH={BIN}:$PATH; {step.text}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == step.code, f"$ {step.text}\nexit {done.returncode}\n{said}"
    for line in step.shown:
        assert re.search(pattern(line), said), f"$ {step.text}\nnot shown: {line}\n{said}"
