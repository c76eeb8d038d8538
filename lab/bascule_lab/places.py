"""Where the lab keeps its state, and the lab as its status file tells it (docs/design/contracts.md section 1)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from bascule.errors import RefusedError


def state_dir() -> Path:
    """The lab's state directory: `$BASCULE_LAB_DIR`, else /run/bascule-lab."""
    return Path(os.environ.get("BASCULE_LAB_DIR", "/run/bascule-lab"))


def write_json(path: Path, value: object) -> None:
    """Replace `path` by `value` as JSON, atomically, readable by its owner only."""
    scratch = path.with_name(path.name + ".new")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(value, stream, indent=1)
    scratch.replace(path)


def alive(pid: int, word: str) -> bool:
    """Whether `pid` runs and its command line holds `word` (so that a reused pid is never taken for ours)."""
    try:
        return word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def read_status(state: Path) -> dict[str, Any]:
    """The running lab's status. Raises RefusedError when no lab runs."""
    try:
        found: dict[str, Any] = json.loads((state / "lab.json").read_text())
    except (OSError, ValueError) as error:
        raise RefusedError("no lab is running", cause=f"{state}/lab.json: {error}", fix="bascule lab up") from error
    if not alive(found["pid"], "bascule_lab"):
        raise RefusedError(
            "the lab's supervisor is gone", cause=f"pid {found['pid']} does not run", fix="bascule lab down, then up"
        )
    return found
