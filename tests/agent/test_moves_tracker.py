"""The move tracker on fake time: what is fed, what stands in the record, and that no wait delays anything."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests_clock import FakeClock

from bascule.continuity import load_schema
from bascule.errors import UnreachableError
from bascule.protocol.gen.agent_pb2 import Clock, MoveRecord, MovesRequest, ProbeBatch, ProbeRequest
from bascule.resources.pod import PodNic
from bascule_agent.moves import (
    DroppedAfter,
    MoveService,
    MoveTracker,
    PortCounts,
    PortFrame,
    PortMoved,
    SourceTracker,
)

MS = 1_000_000
MAC, IP, UID = "52:54:00:00:6e:01", "10.110.0.11", "b0f5c6de-0000-4000-8000-000000000001"
CLOCK = Clock(offset_ns=0, error_ns=0, source="kernel")


class ScriptedDial:
    """Probes answered as `answer(ms since start)` says; the source's half from a real SourceTracker."""

    def __init__(self, clock: FakeClock, source: SourceTracker) -> None:
        self.clock, self._source = clock, source
        self.answer: Callable[[float], bool] = lambda ms: True
        self.began: list[tuple[str, ProbeRequest]] = []
        self.refuse: dict[str, str] = {}
        self.breaks_after = 10**9
        self.source_answers = True
        self.ended = 0

    async def probe(self, target: str, request: ProbeRequest) -> AsyncGenerator[ProbeBatch, None]:
        self.began.append((target, request))
        if target in self.refuse:
            raise UnreachableError(self.refuse[target])
        start, seq, step = self.clock.ns, 0, round(request.interval_ms * MS)
        try:
            for _ in range(self.breaks_after):
                await self.clock.sleep(0.1)
                batch = ProbeBatch(clock=CLOCK, **{"from": "gateway"})
                while start + seq * step < self.clock.ns:
                    tx = start + seq * step
                    seq += 1
                    batch.seq.append(seq)
                    batch.tx_ns.append(tx)
                    batch.rx_ns.append(tx + MS // 5 if self.answer((tx - start) / MS) else 0)
                yield batch
            raise UnreachableError("the stream broke")
        finally:
            self.ended += 1

    async def source_half(self, target: str, migration_uid: str, seconds: float) -> str:
        if not self.source_answers:
            await asyncio.Event().wait()
        assert target == "unix:/node1.sock"
        return self._source.half(migration_uid)


class Scene:
    """node2's tracker with a gateway as vantage point, and node1 as the source."""

    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock()
        self.source = SourceTracker("node1")
        self.dial = ScriptedDial(self.clock, self.source)
        self.points: Mapping[str, str] = {"gateway": '{"target":"unix:/gw.sock","kind":"gateway"}'}
        self.directory = directory
        self.tracker = self.new_tracker()

    def new_tracker(self) -> MoveTracker:
        return MoveTracker("node2", self.directory, self.dial, lambda: self.points, self.read_node, self.clock)

    async def read_node(self, name: str) -> Mapping[str, Any]:
        return {"metadata": {"name": name, "annotations": {"bascule.dev/agent": f'{{"target":"unix:/{name}.sock"}}'}}}

    def begin(self, uid: str = UID) -> None:
        self.tracker.vmi_changed(vmi())
        self.tracker.vmim_changed(vmim("Scheduling", uid=uid))
        self.tracker.nic_discovered(pod_nic(uid))

    async def end(self, phase: str = "Succeeded", uid: str = UID, **more: Any) -> None:
        """The good second half of a move: the port moves and opens, the VMIM ends, 1.5 s pass."""
        now = self.clock.ns
        self.source.port_moved(PortMoved(uid, pod_nic(), "vethsrc", now, (f"fdb {MAC}",)))
        self.source.dropped(DroppedAfter(uid, {"moved": 2}))
        self.tracker.port_opened(PortFrame(uid, "rarp", now, "vethdst"))
        self.tracker.port_counts(PortCounts(uid, held=3, from_guest=40))
        await self.clock.advance(0.5)
        self.tracker.vmim_changed(vmim(phase, uid=uid, resume_ns=now, **more))
        await self.clock.advance(1.5)
        await self.written()

    async def written(self) -> None:
        while self.tracker._writes:
            await asyncio.gather(*self.tracker._writes)

    async def record(self, uid: str = UID) -> dict[str, Any]:
        (message,) = [message async for message in self.tracker.records(migration_uid=uid)]
        return check(message)


def check(message: MoveRecord) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(message.json)
    jsonschema.Draft202012Validator(load_schema()).validate(document)
    assert message.complete == document["complete"]
    assert message.migration_uid == document["migration_uid"]
    for probe in document["probes"]:
        assert probe["sent"] == len(probe["series"])
        assert probe["lost"] == sum(point[2] is None for point in probe["series"])
    return document


def pod_nic(uid: str = UID, ip: str = IP, vlan: int = 110) -> PodNic:
    return PodNic(
        "virt-launcher-web-1-b", "vms", "web-1", "net-0", "pod900d2c01c91", "dc1", vlan, MAC, ip, "/x", uid, "vms/v"
    )


def vmi(ip: str = IP) -> dict[str, Any]:
    status = {"interfaces": [{"name": "net-0", "mac": MAC.upper(), "ipAddress": ip}]}
    return {"metadata": {"name": "web-1", "namespace": "vms"}, "status": status}


def vmim(phase: str, uid: str = UID, resume_ns: int = 0, **state: Any) -> dict[str, Any]:
    events = [
        {"side": "source", "event": "STOP", "status": "", "at_ns": resume_ns - 20 * MS},
        {"side": "target", "event": "RESUME", "status": "", "at_ns": resume_ns},
    ]
    report = json.dumps({"events": events, "downtime_ms": 12, "total_ms": 109, "mode": "PostCopy"})
    stamp = {"phase": phase, "phaseTransitionTimestamp": "2026-11-23T10:00:01Z"}
    return {
        "metadata": {
            "name": "move-1",
            "namespace": "vms",
            "uid": uid,
            "annotations": {"bascule.dev/hypervisor-events": report} if resume_ns else {},
        },
        "spec": {"vmiName": "web-1"},
        "status": {
            "phase": phase,
            "phaseTransitionTimestamps": [stamp],
            "migrationState": {"sourceNode": "node1", "targetNode": "node2", **state},
        },
    }


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncGenerator[Scene, None]:
    made = Scene(tmp_path / "moves")
    yield made
    await made.tracker.close()


async def test_a_move_from_discovery_to_a_complete_record(scene: Scene) -> None:
    scene.dial.answer = lambda ms: not 700 <= ms < 850
    scene.begin()
    await scene.clock.advance(1)
    pending = await scene.record()
    assert (pending["verdict"], pending["complete"]) == ("pending", False)
    assert pending["probes"][0]["sent"] > 150
    await scene.end()
    record = await scene.record()
    assert (record["verdict"], record["missing"], record["reasons"]) == ("kept", [], [])
    assert (record["source"], record["target"], record["vm"], record["namespace"]) == ("node1", "node2", "web-1", "vms")
    assert [record[key] for key in ("ip", "mac", "vlan")] == [
        {"before": IP, "after": IP},
        {"before": MAC, "after": MAC},
        {"before": 110, "after": 110},
    ]
    icmp, arp, tcp = record["probes"]
    assert (arp["kind"], arp["interval_ms"], arp["lost"]) == ("arp", 5.0, 30)
    assert (icmp["kind"], icmp["lost"], icmp["lost_window_ms"]) == ("icmp", 30, 150.0)
    assert (tcp["kind"], tcp["interval_ms"], tcp["clock"]["source"]) == ("tcp-echo", 20.0, "kernel")
    assert record["announcements"] == [
        {"kind": "rarp", "at": record["cut_ns"], "node": "node2", "port": "vethdst"},
    ]
    assert record["qemu"]["stop_to_resume_ms"] == 20.0
    assert record["source_half"]["dropped_after"] == {"moved": 2}
    assert (record["held_frames"], record["guest_frames"]) == (3, 40)
    assert scene.dial.ended == 2, "all but the TCP session are closed: the after-shock watch keeps that one"
    # 1.5 s before the end of the VMIM, 1 s after it: no probe sent later is in the record
    assert icmp["series"][-1][1] - icmp["series"][0][1] <= 2500 * MS


async def test_probes_begin_with_the_discovery_and_not_before_the_migration_is_known(scene: Scene) -> None:
    scene.tracker.nic_discovered(pod_nic())
    await scene.clock.advance(0.1)
    assert scene.dial.began == []
    scene.tracker.vmim_changed(vmim("Scheduling"))
    await scene.clock.advance(0)
    assert [(target, r.address, r.kind) for target, r in scene.dial.began] == [
        ("unix:/gw.sock", IP, "icmp"),
        ("unix:/gw.sock", IP, "arp"),
        ("unix:/gw.sock", IP, "tcp-echo"),
    ]
    scene.tracker.nic_discovered(pod_nic())  # seen again: nothing twice
    await scene.clock.advance(0.1)
    assert len(scene.dial.began) == 3


async def test_a_nic_whose_name_or_address_comes_later_is_one_nic(scene: Scene) -> None:
    scene.tracker.vmi_changed(vmi())
    scene.tracker.vmim_changed(vmim("Scheduling"))
    bare = dataclasses.replace(pod_nic(), ip="", nic="pod900d2c01c91")
    scene.tracker.nic_discovered(bare)
    await scene.clock.advance(0.1)
    assert scene.dial.began == []
    assert f"address of {bare.interface}" in (await scene.record())["missing"]
    scene.tracker.nic_discovered(pod_nic())
    await scene.clock.advance(0.5)
    assert len(scene.dial.began) == 3
    await scene.end()
    record = await scene.record()
    assert [nic["name"] for nic in record["nics"]] == ["net-0"]
    assert (record["verdict"], record["missing"], record["ip"]) == ("kept", [], {"before": IP, "after": IP})


async def test_two_nics_are_probed_and_judged_each(scene: Scene) -> None:
    scene.begin()
    other = dataclasses.replace(pod_nic(), nic="net-1", interface="podz", ip="10.120.0.11", vlan=120)
    scene.tracker.nic_discovered(other)
    await scene.clock.advance(0.5)
    scene.source.port_moved(PortMoved(UID, dataclasses.replace(other, vlan=121), "vethz", scene.clock.ns))
    await scene.end()
    record = await scene.record()
    assert {probe["address"] for probe in record["probes"]} == {IP, "10.120.0.11"}
    assert [reason["message"] for reason in record["reasons"]] == ["VLAN of net-1 changed from 121 to 120"]
    assert record["vlan"] == {"before": 110, "after": 110}


async def test_old_migrations_and_other_pods_make_no_record(scene: Scene) -> None:
    scene.tracker.nic_discovered(pod_nic(uid=""))
    scene.tracker.nic_discovered(pod_nic())
    scene.tracker.vmim_changed(vmim("Succeeded"))
    scene.tracker.nic_discovered(pod_nic())
    scene.tracker.vmim_changed(vmim("Running", uid="another"))
    await scene.clock.advance(5)
    assert [message async for message in scene.tracker.records()] == []
    assert scene.dial.began == []


async def test_a_silent_source_agent_delays_nothing_and_is_missing(scene: Scene) -> None:
    scene.dial.source_answers = False
    scene.begin()
    await scene.end()
    record = await scene.record()
    assert (record["verdict"], record["missing"]) == ("kept", ["source-half"])
    assert record["vlan"] == {"before": None, "after": 110}
    assert record["ip"]["before"] == IP, "the VMI said so"


async def test_without_the_vmi_the_pods_tell_both_addresses(scene: Scene) -> None:
    scene.tracker.vmim_changed(vmim("Scheduling"))
    scene.tracker.nic_discovered(pod_nic())
    await scene.end()
    record = await scene.record()
    assert (record["ip"], record["mac"]) == ({"before": IP, "after": IP}, {"before": MAC, "after": MAC})


async def test_an_address_told_after_the_cut_over_is_not_the_one_before(scene: Scene) -> None:
    scene.dial.source_answers = False
    scene.tracker.vmim_changed(vmim("Scheduling"))
    scene.tracker.nic_discovered(pod_nic())
    scene.tracker.port_opened(PortFrame(UID, "rarp", scene.clock.ns, "vethdst"))
    scene.tracker.vmi_changed(vmi())
    scene.tracker.nic_discovered(pod_nic())
    await scene.end()
    assert (await scene.record())["ip"] == {"before": None, "after": IP}


async def test_a_changed_address_and_vlan_break_the_move(scene: Scene) -> None:
    scene.tracker.vmim_changed(vmim("Scheduling"))
    scene.tracker.nic_discovered(pod_nic(ip="10.120.0.11", vlan=120))
    await scene.end()
    record = await scene.record()
    assert (record["verdict"], [r["code"] for r in record["reasons"]]) == ("broken", ["ip-changed", "vlan-changed"])


async def test_no_vantage_point_is_missing_and_unknown(scene: Scene) -> None:
    scene.points = {}
    scene.begin()
    await scene.end()
    record = await scene.record()
    assert (record["verdict"], record["missing"]) == ("unknown", ["probes", "vantage-points"])


async def test_a_vantage_point_that_is_wrong_or_gone_does_not_stop_the_others(scene: Scene) -> None:
    scene.points = {**scene.points, "broken": "{", "gone": '{"target":"unix:/gone.sock"}'}
    scene.dial.refuse["unix:/gone.sock"] = "unix:/gone.sock: unavailable"
    scene.begin()
    await scene.clock.advance(1)
    await scene.end()
    record = await scene.record()
    assert record["verdict"] == "kept"
    assert record["missing"] == [
        f"probe arp from gone to {IP}",
        f"probe icmp from gone to {IP}",
        f"probe tcp-echo from gone to {IP}",
        "vantage point broken",
    ]
    assert {probe["from"] for probe in record["probes"]} == {"gateway"}


async def test_a_broken_stream_is_begun_anew_and_its_pause_is_no_outage(scene: Scene) -> None:
    scene.dial.breaks_after = 10
    scene.begin()
    await scene.clock.advance(1.3)
    scene.dial.breaks_after = 10**9
    await scene.clock.advance(1)
    await scene.end()
    record = await scene.record()
    icmp = [probe for probe in record["probes"] if probe["kind"] == "icmp"]
    assert [len(probe["series"]) > 100 for probe in icmp] == [True, True]
    assert all(probe["longest_gap_ms"] < 10 and probe["lost"] == 0 for probe in icmp)
    assert [probe["kind"] for probe in record["probes"]].count("tcp-echo") == 1
    interrupted = [f"probe {kind} from gateway to {IP}, interrupted" for kind in ("arp", "icmp", "tcp-echo")]
    assert (record["verdict"], record["missing"]) == ("kept", interrupted)


async def test_a_failed_migration_is_broken_and_takes_nothing_from_the_target_pod(scene: Scene) -> None:
    scene.tracker.vmim_changed(vmim("Scheduling"))
    scene.tracker.nic_discovered(pod_nic(ip="10.110.0.99"))
    await scene.end("Failed", failureReason="no room")
    record = await scene.record()
    assert [reason["code"] for reason in record["reasons"]] == ["migration-failed"]
    assert "no room" in record["reasons"][0]["message"]
    assert record["ip"]["after"] is None


async def test_a_deleted_migration_ends_its_record(scene: Scene) -> None:
    scene.begin()
    await scene.clock.advance(1)
    scene.tracker.vmim_deleted(vmim("Running"))
    await scene.clock.advance(1.5)
    await scene.written()
    record = await scene.record()
    assert record["complete"] and "vmim" in record["missing"]
    assert scene.tracker.open_moves == frozenset()


async def test_two_moves_at_once_keep_apart(scene: Scene) -> None:
    scene.begin("uid-a")
    await scene.clock.advance(0.3)
    scene.begin("uid-b")
    await scene.end(uid="uid-b")
    assert (await scene.record("uid-b"))["verdict"] == "kept"
    assert (await scene.record("uid-a"))["verdict"] == "pending"
    assert [m.migration_uid async for m in scene.tracker.records()] == ["uid-a", "uid-b"]
    await scene.end(uid="uid-a")
    assert [m.migration_uid async for m in scene.tracker.records()] == ["uid-a", "uid-b"]


async def test_followers_get_what_is_there_every_change_and_the_end(scene: Scene) -> None:
    seen: list[MoveRecord] = []
    service = MoveService(scene.tracker, scene.source)

    async def follow() -> None:
        async for message in service.stream(MovesRequest(follow=True, vm="web-1")):
            seen.append(message)

    async def other() -> None:
        async for _ in service.stream(MovesRequest(follow=True, vm="db-1")):
            pytest.fail("another VM's move")

    tasks = [asyncio.create_task(follow()), asyncio.create_task(other())]
    await scene.clock.advance(0)
    scene.begin()
    await scene.clock.advance(2)
    assert 4 <= len(seen) <= 6, "at most one message in 0.5 s, whatever the probes say"
    await scene.end()
    await scene.clock.advance(1)
    for _ in range(100):
        await asyncio.sleep(0.01)  # the finished record is read from its file, in a thread
        if seen[-1].complete:
            break
    assert seen[-1].complete and check(seen[-1])["verdict"] == "kept"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_restarted_agent_still_has_its_records(scene: Scene) -> None:
    scene.begin()
    await scene.end()
    await scene.clock.advance(61)
    await scene.written()
    before = await scene.record()
    scene.tracker = scene.new_tracker()
    assert await scene.record() == before
    scene.tracker.vmim_changed(vmim("Succeeded"))
    scene.tracker.nic_discovered(pod_nic())
    await scene.clock.advance(2)
    assert await scene.record() == before


async def test_an_agent_killed_in_the_middle_leaves_a_record_that_says_so(scene: Scene) -> None:
    scene.begin()
    await scene.clock.advance(0.5)
    await scene.written()
    killed = scene.tracker  # its files are all that is left of it
    scene.tracker = scene.new_tracker()
    record = await scene.record()
    assert record["complete"] and "agent" in record["missing"]
    scene.begin()  # the move still runs: the new agent watches what is left of it
    await scene.clock.advance(0.5)
    await scene.end()
    record = await scene.record()
    assert (record["verdict"], "agent" in record["missing"]) == ("kept", True)
    await killed.close()


async def test_records_on_disk_are_bounded_and_a_strange_file_is_left_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bascule_agent.moves.store.LIMIT", 3)
    (scene.directory / "note.json").write_text("hello")
    for number in range(5):
        scene.begin(f"uid-{number}")
        await scene.end(uid=f"uid-{number}")
    scene.tracker = scene.new_tracker()
    kept = [message.migration_uid async for message in scene.tracker.records()]
    assert kept == ["uid-4", "uid-3", "uid-2"]
    assert sorted(path.name for path in scene.directory.iterdir()) == [
        "note.json",
        "uid-2.json",
        "uid-3.json",
        "uid-4.json",
    ]


async def test_a_uid_is_never_a_path(scene: Scene) -> None:
    scene.begin("../../etc/x")
    await scene.end(uid="../../etc/x")
    (path,) = scene.directory.iterdir()
    assert len(path.stem) == 64
    assert (await scene.record("../../etc/x"))["complete"]
