"""A run against the lab's API server and agents in process; hypervisor, CDI, KubeVirt and wire are stand-ins
(tests_run.py) that note when two ends speak for one address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests_run import DISK, Bed, address, uuid_of

from bascule.errors import RefusedError, UnreachableError, UsageError
from bascule_console.services.collect.hypervisor import GONE, OFF, ON
from bascule_console.services.run import act_cutover, act_network, drive
from bascule_console.services.run.ledger import locked, read_record
from bascule_kube.errors import NotFound, Unreachable
from bascule_kube.kinds import VM

PROVEN = {"node": "node1", "network": "dc1", "verdict": "proven", "evidence": "10.110.0.1 answered"}


@pytest.fixture
async def bed(live: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bed]:
    """A cluster with Network dc1 whose trunks are proven, and two VMs on the old side."""
    await live.start(nodes=2)
    documents = yaml.safe_load_all((Path(__file__).parents[2] / "examples" / "dc1.yaml").read_text())
    await live.put(next(each for each in documents if each["kind"] == "Network"))

    async def matrix(*_: Any, vlans: list[int], **__: Any) -> tuple[list[dict[str, Any]], None]:
        return [{**PROVEN, "vlan": vlan} for vlan in vlans], None

    monkeypatch.setattr(act_network, "matrix", matrix)
    monkeypatch.setattr(act_cutover, "ASK_S", 1.0)
    found = Bed(live.cluster, tmp_path)
    yield found
    await found.stop()


async def test_a_wave_is_brought_over_and_recorded(bed: Bed) -> None:
    rows = await bed.runner().run()
    assert [(row.target, row.state) for row in rows] == [("web-1", "moved")], rows
    assert bed.truth.power[uuid_of("web-1")] == OFF and "web-1" in bed.truth.running
    assert bed.truth.filled["web-1-disk-0"] == DISK
    assert rows[0].outage_ms is not None and rows[0].outage_ms > 200
    record = read_record(bed.journal, "vms/web-1")
    assert record is not None and record["format"] == "bascule-run/1"
    assert record["nics"][0]["mac"] == address("web-1")[2] and record["nics"][0]["vlan"] == 110
    assert [phase["phase"] for phase in record["phases"]] == ["stop", "silent", "disks", "start", "first answer"]
    assert all(probe["seen"] + probe["lost"] == probe["sent"] > 0 for probe in record["probes"])
    assert {each["from"] for each in record["fence"]["silent_before_start"]} == {"gateway", "node1"}
    assert any(told.kind == "progress" and told.total == len(DISK) for told in bed.told)
    again = await bed.runner().run(wave=1)
    assert again == []
    assert [(row.target, row.state) for row in await bed.runner().run()] == [("db-1", "moved")]


async def test_a_rollback_hands_the_address_back_and_it_can_be_tried_again(bed: Bed) -> None:
    bed.truth.autostart.add(uuid_of("web-1"))
    await bed.runner().run()
    assert bed.truth.autostart == set(), "a boot of the old host would bring a second one"
    row = await bed.runner().rollback("web-1")
    assert (row.state, bed.truth.power[uuid_of("web-1")]) == ("rolled back", ON)
    assert bed.truth.autostart == {uuid_of("web-1")}
    assert "web-1" not in bed.truth.running and bed.truth.filled == {}
    with pytest.raises(NotFound):
        await bed.cluster.get(VM, "web-1", "vms")
    with pytest.raises(RefusedError, match="nothing to roll back"):
        await bed.runner().rollback("web-1")
    assert await bed.runner().run(wave=1) == []
    assert [row.state for row in await bed.runner().run(vms=["old web-1"])] == ["moved"]


async def test_whoever_else_answers_is_named_and_nothing_is_stopped(bed: Bed) -> None:
    bed.truth.intruder["10.110.0.11"] = "02:00:00:00:00:99"
    (row,) = await bed.runner().run()
    assert (row.state, row.step) == ("blocked", "stop")
    assert bed.truth.power[uuid_of("web-1")] == ON
    text = next(told.text for told in bed.told if not told.ok)
    assert "02:00:00:00:00:99" in text and "10.110.0.11" in text
    bed.truth.intruder.clear()
    assert [row.state for row in await bed.runner().run()] == ["moved"]


async def test_the_target_is_refused_while_anything_answers(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    write = drive.write_deed

    def then_an_intruder(journal: Any, deed: Any) -> None:
        write(journal, deed)
        if (deed.step, deed.action) == ("disks", "verify"):
            bed.truth.intruder["10.110.0.11"] = "02:00:00:00:00:99"

    monkeypatch.setattr(drive, "write_deed", then_an_intruder)
    (row,) = await bed.runner().run()
    assert (row.state, row.step) == ("blocked", "start")
    assert "02:00:00:00:00:99" in next(told.text for told in bed.told if not told.ok)
    assert bed.truth.running == {}
    bed.truth.intruder.clear()
    assert [row.state for row in await bed.runner().run()] == ["moved"]


async def test_a_full_disk_rolls_back_and_says_so_once(bed: Bed) -> None:
    bed.truth.broken_disk = "web-1-disk-0"
    (row,) = await bed.runner().run()
    assert row.state == "rolled back" and "storage is full" in row.why
    assert bed.truth.power[uuid_of("web-1")] == ON and bed.truth.running == {}
    assert sum(not told.ok for told in bed.told) == 1


@pytest.mark.long
async def test_a_target_that_does_not_boot_gives_the_address_back(bed: Bed) -> None:
    bed.truth.boots = False
    (row,) = await bed.runner().run()
    assert row.state == "rolled back" and "does not answer" in row.why
    assert bed.truth.power[uuid_of("web-1")] == ON


async def test_the_last_copy_of_a_deleted_source_is_kept(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    write = drive.write_deed

    def then_gone(journal: Any, deed: Any) -> None:
        write(journal, deed)
        if (deed.step, deed.action) == ("disks", "apply"):
            bed.truth.power[uuid_of("web-1")] = GONE

    monkeypatch.setattr(drive, "write_deed", then_gone)
    (row,) = await bed.runner().run()
    assert row.state == "stuck" and "copies" in row.why
    assert bed.truth.filled["web-1-disk-0"] == DISK


async def test_a_source_that_was_started_again_begins_anew(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    write = drive.write_deed

    def then_on(journal: Any, deed: Any) -> None:
        write(journal, deed)
        if (deed.step, deed.action) == ("disks", "verify"):
            bed.truth.power[uuid_of("web-1")] = ON

    monkeypatch.setattr(drive, "write_deed", then_on)
    (row,) = await bed.runner().run()
    assert row.state == "rolled back" and "started again on the old side" in row.why
    assert bed.truth.filled == {} and bed.truth.running == {}


@pytest.mark.long
async def test_a_source_that_is_away_leaves_a_way_on(bed: Bed) -> None:
    bed.source.away = True
    with pytest.raises(UnreachableError) as caught:
        await bed.runner().run()
    assert "plan run" in caught.value.fix
    bed.source.away = False
    assert [row.state for row in await bed.runner().run()] == ["moved"]


async def test_a_place_that_never_heard_it_cannot_prove_its_silence(bed: Bed) -> None:
    bed.truth.hears_nobody.add("node1")
    (row,) = await bed.runner().run()
    assert (row.state, row.step) == ("blocked", "stop") and "not heard everywhere" in row.why
    assert bed.truth.power[uuid_of("web-1")] == ON


@pytest.mark.long
async def test_a_lost_node_keeps_the_source_off_until_its_instance_is_gone(bed: Bed) -> None:
    bed.truth.node_lost = True
    (row,) = await bed.runner().run()
    assert row.state == "stuck" and "does not stop" in row.why
    assert bed.truth.power[uuid_of("web-1")] == OFF
    assert "node1" in next(told.text for told in bed.told if told.action == "revert" and not told.ok)
    bed.truth.node_lost = False
    assert (await bed.runner().rollback("web-1")).state == "rolled back"
    assert bed.truth.power[uuid_of("web-1")] == ON


async def test_an_api_that_is_away_for_a_moment_is_waited_for(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    patch, away = bed.cluster.merge_patch, 2

    async def gone_for_a_moment(*args: Any, **more: Any) -> Any:
        nonlocal away
        away -= 1
        if away >= 0:
            raise Unreachable("the API server does not answer")
        return await patch(*args, **more)

    monkeypatch.setattr(bed.cluster, "merge_patch", gone_for_a_moment)
    monkeypatch.setattr(drive, "RETRY_S", 0.05)
    assert [row.state for row in await bed.runner().run()] == ["moved"]
    assert any("trying again" in told.text for told in bed.told)


async def test_a_second_run_beside_the_first_is_refused(bed: Bed) -> None:
    with locked(bed.journal), pytest.raises(RefusedError, match="another run"):
        await bed.runner().run()


@pytest.mark.long
async def test_a_place_that_falls_silent_proves_nothing(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    write = drive.write_deed

    def then_deaf(journal: Any, deed: Any) -> None:
        write(journal, deed)
        if (deed.step, deed.action) == ("stop", "verify"):
            bed.truth.deaf_places |= {"node1", "node2"}

    monkeypatch.setattr(drive, "write_deed", then_deaf)
    (row,) = await bed.runner().run()
    assert (row.state, row.step) == ("blocked", "start") and "not proven" in row.why
    bed.truth.deaf_places.clear()
    assert [row.state for row in await bed.runner().run()] == ["moved"]


class Killed(BaseException):
    """kill -9, as far as the journal can tell."""


async def crash_at(bed: Bed, at: int, after: bool, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Run until the deed number `at` is to be written; False when the run ends before."""
    write, count = drive.write_deed, 0

    def write_deed(journal: Any, deed: Any) -> None:
        nonlocal count
        count += 1
        if count == at and not after:
            raise Killed
        write(journal, deed)
        if count == at:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(drive, "write_deed", write_deed)
        try:
            await bed.runner().run()
        except Killed:
            return True
    return False


@pytest.mark.parametrize(("at", "after"), [(19, False), (23, True)])
async def test_a_killed_run_goes_on(bed: Bed, at: int, after: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await crash_at(bed, at, after, monkeypatch)
    assert [row.state for row in await bed.runner().run(wave=1)] == ["moved"]
    assert bed.truth.filled["web-1-disk-0"] == DISK


async def test_a_killed_run_goes_back(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await crash_at(bed, 23, False, monkeypatch)
    row = await bed.runner().rollback("web-1")
    assert row.state == "rolled back", row
    assert bed.truth.power[uuid_of("web-1")] == ON and bed.truth.running == {}


@pytest.mark.long
@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 25))
async def test_every_kill_point(bed: Bed, at: int, after: bool, back: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await crash_at(bed, at, after, monkeypatch)
    if back:
        try:
            assert (await bed.runner().rollback("web-1")).state == "rolled back"
        except RefusedError:
            assert at == 1
        assert bed.truth.power[uuid_of("web-1")] == ON and bed.truth.running == {}
    else:
        await bed.runner().run(wave=1)
        assert bed.runner().status()[0].state == "moved"
        assert bed.truth.filled["web-1-disk-0"] == DISK


async def test_a_dry_run_changes_nothing(bed: Bed) -> None:
    (row,) = await bed.runner().rehearse()
    assert (row.state, bed.truth.power[uuid_of("web-1")], bed.truth.prepared) == ("waiting", ON, {})
    assert not bed.journal.path.exists()
    bed.truth.intruder["10.110.0.11"] = "02:00:00:00:00:99"
    (row,) = await bed.runner().rehearse()
    assert row.state == "blocked" and "02:00:00:00:00:99" in row.why


async def test_wrong_names_and_waves(bed: Bed) -> None:
    with pytest.raises(UsageError, match="no VM 'nobody'"):
        await bed.runner().run(vms=["nobody"])
    with pytest.raises(UsageError, match="no wave 9"):
        await bed.runner().run(wave=9)
