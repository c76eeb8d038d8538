"""The wizard's last steps in lines, on the lab's API server in process; what is moved are tests_run.py's stand-ins."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests_run import Bed, plan, uuid_of

from bascule.estate.model import Estate, Vm
from bascule.migration.moved import without_moved
from bascule.migration.target import Target
from bascule.migration.wizard import State, dump
from bascule_console.cli import wizard_walk
from bascule_console.services import run as runs
from bascule_console.services.collect.hypervisor import OFF, ON
from bascule_console.services.credentials import Access
from bascule_console.services.journal import Journal, journal_path
from bascule_console.services.plan import plan_path
from bascule_console.services.run import Runner, act_network
from bascule_console.services.wizard import Wizard, state_path

PROVEN = {"node": "node1", "network": "dc1", "verdict": "proven", "evidence": "10.110.0.1 answered"}


@pytest.fixture
async def bed(live: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bed]:
    """A walk that stands at Run, on a cluster whose trunks are proven, with two VMs on the old side."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(wizard_walk, "EVERY_S", 0.05)
    await live.start(nodes=2)
    documents = yaml.safe_load_all((Path(__file__).parents[2] / "examples" / "dc1.yaml").read_text())
    await live.put(next(each for each in documents if each["kind"] == "Network"))
    found = Bed(live.cluster, tmp_path)
    found.journal = Journal(journal_path(), live.cluster.context, live.cluster.server)
    plan_path().parent.mkdir(parents=True)
    found.loaded = plan(plan_path())
    state_path().write_text(dump(State("run", "run", {"run.source": "qemu:///system"})))

    async def matrix(*_: Any, vlans: list[int], **__: Any) -> tuple[list[dict[str, Any]], None]:
        return [{**PROVEN, "vlan": vlan} for vlan in vlans], None

    @asynccontextmanager
    async def opened(loaded: Any, access: Any, source: str, tell: Any, ask: Any) -> AsyncIterator[Runner]:
        assert source == "qemu:///system" and loaded.id == found.loaded.id
        runner = found.runner()
        runner._tell = tell
        yield runner

    monkeypatch.setattr(act_network, "matrix", matrix)
    monkeypatch.setattr(runs, "opened", opened)
    yield found
    await found.stop()


async def walked(live: Any, *lines: str) -> str:
    """What a fresh process on the cluster would print for these lines."""
    out = io.StringIO()
    wizard = Wizard.open(Access(live.kubeconfig, None, "--kubeconfig"))
    given = iter(lines)

    async def line(prompt: str) -> str | None:
        return next(given, None)

    try:
        assert await wizard_walk.Walk(wizard, line, out).walk() == 0
    finally:
        await wizard.close()
    return out.getvalue()


async def test_a_wave_is_checked_run_taken_back_and_moved_again(bed: Bed, live: Any) -> None:
    out = await walked(live, "do rehearse 1", "wait", "do start 1", "no thanks", "do start 1", "yes", "wait")
    assert "web-1: is ready" in out and "nothing was done" in out
    assert "wave 1, web-1: moved, 6 of 6 steps" in out and "Next: compare who talks" in out
    assert bed.truth.power[uuid_of("web-1")] == OFF and "web-1" in bed.truth.running
    out = await walked(live, "do rollback db-1", "do rollback web-1", "yes", "wait", "do move web-1", "yes", "wait")
    assert "error: rollback cannot be done to 'db-1'" in out and "rolled back" in out
    assert bed.truth.power[uuid_of("web-1")] == OFF and "web-1" in bed.truth.running
    out = await walked(live, "do start", "yes", "wait", "next", "do sign web-1", "steps")
    assert "Run - 2 of 2 VMs moved" in out and "median of 1 VM moved before" in out
    assert (
        "Step 9 of 9: Accept - 0 of 2 VMs signed off" in out and "error: sign cannot be done now; compare first" in out
    )
    moved = {(record.content["after"] or {}).get("metadata", {}).get("name") for record in bed.journal.records()}
    assert {"web-1", "db-1"} <= moved


async def test_the_end_of_the_input_pauses_and_the_next_session_goes_on(bed: Bed, live: Any) -> None:
    out = await walked(live, "do start 1", "yes", "back", "do start 1", "do pause")
    assert "error: the run of wave 1 runs: pause it first" in out and "saved" in out
    assert bed.truth.power[uuid_of("web-1")] == ON or "web-1" in bed.truth.running
    out = await walked(live, "do move web-1", "yes", "wait")
    assert "wave 1, web-1: moved" in out or "error: move cannot be done to 'web-1'" in out
    assert "web-1" in bed.truth.running


async def test_what_stops_a_vm_is_named_with_what_leads_on(bed: Bed, live: Any) -> None:
    bed.truth.intruder["10.110.0.11"] = "02:00:00:00:00:99"
    out = await walked(live, "do start 1", "yes", "wait")
    assert "error: web-1 is blocked at stop" in out and "02:00:00:00:00:99" in out
    assert "to do: mend it, then move it again, or roll it back" in out
    assert bed.truth.power[uuid_of("web-1")] == ON and bed.truth.running == {}


async def test_a_plan_that_is_not_there_or_broken_is_one_problem(bed: Bed, live: Any) -> None:
    plan_path().write_text("{")
    out = await walked(live, "do start 1")
    assert out.count("no plan") >= 1 and "error: start cannot be done now" in out
    plan_path().unlink()
    assert "no plan was built" in await walked(live)


def test_what_this_estate_moved_is_no_conflict_of_its_own() -> None:
    def machine(name: str, key: str) -> dict[str, Any]:
        meta = {"name": name, "namespace": "vms", "annotations": {"bascule.dev/moved-from": key} if key else {}}
        annotations = {"cni.projectcalico.org/net-0.ipAddrs": json.dumps([f"10.0.0.{len(name)}"])}
        spec = {"template": {"metadata": {"annotations": annotations}, "spec": {}}}
        return {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": meta, "spec": spec}

    estate = Estate(vms=(Vm("k1", "a"),))
    found = Target([machine("a", "k1"), machine("bb", "k2"), machine("ccc", "")])
    kept = without_moved(found, estate)
    assert set(kept.ip_claims.values()) == {"vms/bb", "vms/ccc"} and kept.known
    assert without_moved(kept, estate) is kept


async def test_pages_answer_while_a_run_works(bed: Bed, live: Any) -> None:
    wizard = Wizard.open(Access(live.kubeconfig, None, "--kubeconfig"))
    await wizard.act("start", "1")
    seen = set()
    while wizard.running:
        page = await wizard.page()
        seen |= {(each.vm, each.state) for each in page.progress}
        assert not page.back.allowed or not wizard.running
        await asyncio.sleep(0.02)
    assert ("web-1", "moving") in seen
    assert {each.state for each in (await wizard.page()).progress} == {"moved"}
    await wizard.close()
