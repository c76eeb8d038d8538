"""`plan run|rollback|status` as commands: refusals, exit codes, and what they print. No VM is moved here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests_run import plan

from bascule.migration.run import INTENT, Deed
from bascule_console.cli.planrun import progress
from bascule_console.services.journal import Journal
from bascule_console.services.run import Told
from bascule_console.services.run.ledger import write_deed


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "state" / "bascule").mkdir(parents=True)
    return tmp_path / "state" / "bascule"


async def test_status_needs_no_cluster_and_says_what_leads_on(live: Any, state: Path) -> None:
    loaded = plan(state / "plan.json")
    code, out, _ = await live.bascule("plan", "status", "-o", "json")
    assert code == 0 and [row["state"] for row in json.loads(out)] == ["waiting", "waiting"]
    vm = loaded.vms[0]
    deed = Deed(loaded.id, vm["key"], "vms", "web-1", 1, "stop", INTENT, True, {}, "2026-11-23T12:00:00Z")
    write_deed(Journal(state / "journal.jsonl"), deed)
    code, out, _ = await live.bascule("plan", "status", "-o", "wide")
    assert code == 1 and "moving" in out and "plan run --vm web-1 goes on" in out
    code, _, err = await live.bascule("plan", "build", "--trunk", "trunk0")
    assert code == 4 and "the kept plan is being run: web-1 is moving" in err


async def test_what_is_refused_before_anything_is_asked(live: Any, state: Path) -> None:
    code, _, err = await live.bascule("plan", "run", "--source", "test:///default")
    assert code == 2 and "no plan was built" in err
    plan(state / "plan.json")
    code, _, err = await live.bascule("--read-only", "plan", "run", "--source", "test:///default")
    assert code == 4 and "read-only" in err
    code, _, err = await live.bascule("plan", "run")
    assert code == 2 and "--source" in err
    code, _, err = await live.bascule("plan", "run", "--source", "test:///default", "--at-once", "0")
    assert code == 2 and "1 to 100" in err


def test_progress_is_honest_about_what_it_knows() -> None:
    told = Told("progress", "web-1", "disks", "apply", "", True, 30_000_000, 90_000_000, 20e6)
    assert progress(told) == "30.0 of 90.0 MB, 20.0 MB/s, 3 s left"
    assert progress(Told("progress", "web-1", "disks", "apply", "", True, 5_000_000)) == "5.0 MB"
