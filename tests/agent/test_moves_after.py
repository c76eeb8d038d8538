"""The after-shock watch, the control target and the announcement on fake time: what is asked, kept and written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests_clock import FakeClock

from bascule.continuity import load_schema
from bascule.errors import UnreachableError
from bascule.protocol.gen.agent_pb2 import Clock, ProbeBatch, ProbeRequest, SourceHalfRequest
from bascule.resources.pod import PodNic
from bascule_agent.moves import Extras, MoveTracker, PortFrame, PortMoved, SourceTracker

MS = 1_000_000
MAC, IP, UID = "52:54:00:00:6e:01", "10.110.0.11", "uid-1"


class Wire:
    """Every vantage point, and every other agent: `dead` says from when (ns) a TCP session is reset."""

    def __init__(self, clock: FakeClock, source: SourceTracker) -> None:
        self.clock, self.source = clock, source
        self.asked: list[tuple[str, ProbeRequest]] = []
        self.dead: Callable[[int], bool] = lambda ns: False
        self.views: list[SourceHalfRequest] = []

    async def probe(self, target: str, request: ProbeRequest) -> AsyncGenerator[ProbeBatch, None]:
        self.asked.append((target, request))
        start, seq, step = self.clock.ns, 0, round(request.interval_ms * MS)
        while True:
            await self.clock.sleep(0.1)
            batch = ProbeBatch(clock=Clock(source="kernel"), neighbour=MAC if request.kind == "icmp" else "")
            if request.kind == "tcp-echo" and self.dead(self.clock.ns):
                batch.error = "reset by the peer"
                yield batch
                return
            while start + seq * step < self.clock.ns:
                seq += 1
                batch.seq.append(seq)
                batch.tx_ns.append(start + seq * step)
                batch.rx_ns.append(start + seq * step + MS // 5)
            yield batch

    async def source_half(self, target: str, migration_uid: str, seconds: float) -> str:
        return self.source.half(migration_uid)

    async def view(self, target: str, request: SourceHalfRequest, seconds: float) -> str:
        self.views.append(request)
        if "node3" in target:
            raise UnreachableError("unix:/node3.sock: unavailable")
        return json.dumps({"bridge": "b", "port": "s", "static": False, "trunk_side": True, "changes": []})


class FakeFabric:
    """The trunk: `heard` says whether the VM's own announcement has left."""

    link = "trunk0"

    def __init__(self, clock: FakeClock) -> None:
        self.clock, self.heard, self.sent, self.closed = clock, True, 0, False

    def announce(self) -> int | None:
        if self.heard:
            return None
        self.sent += 1
        return self.clock.ns

    def told(self, vlan: int, first_frame_ns: int | None) -> dict[str, Any]:
        by = "" if not self.sent and not self.heard else "guest" if self.heard else "agent"
        keys = {"announced_ns": None, "announced_kind": "", "first_out_ns": None, "foreign": []}
        return {"link": "trunk0", "vlan": vlan, "first_frame_ns": first_frame_ns, "announced_by": by, **keys}

    def close(self) -> None:
        self.closed = True


class Scene:
    """node2's tracker with all of an agent's extras."""

    def __init__(self, directory: Path) -> None:
        self.clock, self.source = FakeClock(), SourceTracker("node1")
        self.wire, self.directory = Wire(self.clock, self.source), directory
        self.fabric = FakeFabric(self.clock)
        self.tracker = self.new_tracker()

    def new_tracker(self) -> MoveTracker:
        points = {"gateway": '{"target":"unix:/gw.sock"}'}
        extras = Extras(self.nodes, lambda nic: self.fabric, self.view)
        return MoveTracker("node2", self.directory, self.wire, lambda: points, self.node, self.clock, extras)

    async def node(self, name: str) -> Mapping[str, Any]:
        mark = {"bascule.dev/agent": f'{{"target":"unix:/{name}.sock"}}'}
        return {"metadata": {"name": name, "annotations": mark}}

    async def nodes(self) -> Sequence[Mapping[str, Any]]:
        return [await self.node(name) for name in ("node1", "node2", "node3")]

    async def view(self, mac: str, network: str, vlan: int) -> dict[str, Any]:
        return {"bridge": "b", "port": "veth2", "static": True, "trunk_side": False, "changes": []}

    async def go(self, annotations: Mapping[str, str] | None = None, uid: str = UID) -> None:
        """A good move of web-1, up to its complete record."""
        for name, ip in (("web-1", IP), ("web-2", "10.110.0.12"), ("other", "10.120.0.11")):
            self.tracker.vmi_changed(vmi(name, ip, "vms/vlan-120" if name == "other" else "vms/vlan-110"))
        self.tracker.vmim_changed(vmim("Scheduling", annotations, uid))
        self.tracker.nic_discovered(pod_nic(uid))
        await self.clock.advance(0.2)
        await settled()
        now = self.clock.ns
        self.source.port_moved(PortMoved(uid, pod_nic(uid), "veth1", now))
        self.tracker.port_live(uid, "pod1")
        self.tracker.port_opened(PortFrame(uid, "rarp", now, "veth2"))
        await self.clock.advance(0.5)
        self.tracker.vmim_changed(vmim("Succeeded", annotations, uid))
        await self.clock.advance(1.5)
        await settled()

    async def record(self, uid: str = UID) -> dict[str, Any]:
        found = [m async for m in self.tracker.records(migration_uid=uid)]
        document: dict[str, Any] = json.loads(found[0].json)
        jsonschema.Draft202012Validator(load_schema()).validate(document)
        return document

    async def minute(self) -> None:
        await self.clock.advance(61)
        await settled()


async def settled() -> None:
    """Files are written, and the fabric's watch made, in threads."""
    for _ in range(20):
        await asyncio.sleep(0.005)


def vmi(name: str, ip: str, nad: str) -> dict[str, Any]:
    spec = {
        "domain": {"devices": {"interfaces": [{"name": "net-0"}]}},
        "networks": [{"name": "net-0", "multus": {"networkName": nad}}],
    }
    status = {"phase": "Running", "interfaces": [{"name": "net-0", "ipAddress": ip, "mac": MAC}]}
    return {"metadata": {"name": name, "namespace": "vms"}, "spec": spec, "status": status}


def vmim(phase: str, annotations: Mapping[str, str] | None = None, uid: str = UID) -> dict[str, Any]:
    state = {"sourceNode": "node1", "targetNode": "node2"}
    return {
        "metadata": {"name": f"m-{uid}", "namespace": "vms", "uid": uid, "annotations": dict(annotations or {})},
        "spec": {"vmiName": "web-1"},
        "status": {"phase": phase, "migrationState": state, "phaseTransitionTimestamps": []},
    }


def pod_nic(uid: str = UID) -> PodNic:
    return PodNic("p", "vms", "web-1", "net-0", "pod1", "dc1", 110, MAC, IP, "", uid, "vms/vlan-110")


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncGenerator[Scene, None]:
    made = Scene(tmp_path / "moves")
    yield made
    await made.tracker.close()


async def test_three_vantage_points_a_control_and_every_bridge(scene: Scene) -> None:
    await scene.go()
    asked = [(target, r.kind, r.address) for target, r in scene.wire.asked]
    assert asked[:5] == [
        ("unix:/gw.sock", "icmp", IP),
        ("unix:/gw.sock", "arp", IP),
        ("unix:/gw.sock", "tcp-echo", IP),
        ("unix:/gw.sock", "icmp", "10.110.0.12"),
        ("unix:/node3.sock", "arp", IP),
    ]
    from_node = next(r for target, r in scene.wire.asked if "node3" in target)
    assert (from_node.mac, from_node.network, from_node.vlan) == (MAC, "dc1", 110)
    record = await scene.record()
    assert [entry["vm"] for entry in record["control"]] == ["vms/web-2"]
    assert {p["from"] for p in record["probes"]} == {"gateway", "node3"}
    assert record["fdb"]["node2"]["moved"] is True and record["fdb"]["node1"]["moved"] is True
    assert list(record["missing_why"]) == ["fdb of node3", "hypervisor-events"]
    assert {request.mac for request in scene.wire.views} == {MAC}


async def test_the_watch_goes_on_after_the_record_is_complete_and_is_added_to_it(scene: Scene) -> None:
    await scene.go()
    record = await scene.record()
    assert record["complete"] and record["aftershock"]["state"] == "running"
    sent = sum(p["sent"] for p in record["probes"])
    scene.source.port_closed(UID, "veth1", scene.clock.ns)
    await scene.minute()
    record = await scene.record()
    assert (record["verdict"], record["aftershock"]["state"]) == ("kept", "done")
    assert {p["kind"]: p["interval_ms"] for p in record["aftershock"]["probes"]} == {"icmp": 50.0, "tcp-echo": 20.0}
    assert all(p["sent"] > 1000 and p["lost"] == 0 for p in record["aftershock"]["probes"])
    assert sum(p["sent"] for p in record["probes"]) == sent, "what came later is the watch's"
    assert record["source_half"]["nics"][0]["closed_ns"], "the source is asked once more"
    assert scene.fabric.closed


async def test_a_session_that_dies_in_the_watch_breaks_the_record(scene: Scene) -> None:
    await scene.go()
    record = await scene.record()
    dies = record["cut_ns"] + 15_000 * MS
    scene.wire.dead = lambda ns: ns >= dies
    await scene.clock.advance(14)
    scene.source.port_closed(UID, "veth1", dies - 50 * MS)
    await scene.minute()
    record = await scene.record()
    assert (record["verdict"], record["reasons"][0]["code"]) == ("broken", "aftershock-tcp-died")
    assert record["tcp"]["alive"] is True, "the move itself kept it"
    assert "removed the source endpoint veth1" in record["reasons"][0]["message"]
    assert "late-source-removal" in {f["id"] for f in record["findings"]}


async def test_the_next_move_of_the_vm_ends_the_watch(scene: Scene) -> None:
    await scene.go()
    await scene.clock.advance(5)
    scene.tracker.vmim_changed(vmim("Scheduling", uid="uid-2"))
    await scene.clock.advance(1)
    await settled()
    watch = (await scene.record())["aftershock"]
    assert (watch["state"], watch["why"]) == ("interrupted", "the VM was moved again")


async def test_an_agent_that_ends_in_the_watch_leaves_the_verdict(scene: Scene) -> None:
    await scene.go()
    scene.tracker = scene.new_tracker()  # its files are all that is left of the first one
    record = await scene.record()
    assert (record["verdict"], record["complete"]) == ("kept", True)
    assert record["aftershock"]["state"] == "interrupted"


async def test_the_agent_speaks_only_for_a_vm_that_was_not_heard(scene: Scene) -> None:
    scene.fabric.heard = False
    await scene.go()
    record = await scene.record()
    own = [a for a in record["announcements"] if a.get("by") == "agent"]
    assert own == [{"kind": "garp", "at": own[0]["at"], "node": "node2", "port": "trunk0", "by": "agent"}]
    assert 0 < own[0]["at"] - record["announcements"][0]["at"] <= 20 * MS
    assert scene.fabric.sent == 3, "said again while the VM is still not heard"


async def test_a_vm_that_was_heard_is_not_spoken_for(scene: Scene) -> None:
    await scene.go()
    assert scene.fabric.sent == 0
    assert all(a.get("by") != "agent" for a in (await scene.record())["announcements"])


@pytest.mark.parametrize(("asked", "icmp"), [("2", 2.0), ("0.1", 5.0), ("x", 5.0), ("5000", 5.0)])
async def test_the_interval_is_the_migrations_wish_within_bounds(scene: Scene, asked: str, icmp: float) -> None:
    await scene.go({"bascule.dev/probe-interval-ms": asked})
    assert (await scene.record())["probes"][0]["interval_ms"] == icmp


async def test_a_failed_move_is_not_watched(scene: Scene) -> None:
    scene.tracker.vmim_changed(vmim("Scheduling"))
    scene.tracker.nic_discovered(pod_nic())
    await scene.clock.advance(0.5)
    scene.tracker.vmim_changed(vmim("Failed"))
    await scene.clock.advance(2)
    await settled()
    assert (await scene.record())["aftershock"] is None
