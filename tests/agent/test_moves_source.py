"""The source's half of moves, and the facts read from VMIM documents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bascule.continuity import Record
from bascule.errors import UnreachableError, UsageError
from bascule.resources.kubevirt import Migration
from bascule.resources.pod import PodNic
from bascule_agent.moves import DroppedAfter, PortMoved, SourceTracker
from bascule_agent.moves.dial import agent_target
from bascule_agent.moves.facts import EVENTS_ANNOTATION, apply_migration

NIC = PodNic(
    "virt-launcher-web-1-a", "vms", "web-1", "net-0", "pod900d2c01c91", "dc1", 110, "52:54:00:00:6e:01", "10.110.0.11",
    "/run/netns/x", "", "vms/vlan-110",
)  # fmt: skip


def test_the_half_names_what_went_and_what_still_came() -> None:
    source = SourceTracker("node1")
    source.dropped(DroppedAfter("u1", {"moved": 9}))  # before the port was closed: not after it
    source.port_moved(PortMoved("u1", NIC, "vethx", 1000, ("fdb a", "neigh b")))
    source.dropped(DroppedAfter("u1", {"moved": 2}))
    source.dropped(DroppedAfter("u1", {"moved": 3, "spoofed-mac": 1}))
    half = json.loads(source.half("u1"))
    assert half["node"] == "node1"
    assert half["dropped_after"] == {"moved": 3, "spoofed-mac": 1}
    (nic,) = half["nics"]
    assert (nic["vlan"], nic["mac"], nic["ip"], nic["moved_ns"]) == (110, NIC.mac, NIC.ip, 1000)
    assert nic["entries_removed"] == ["fdb a", "neigh b"]


def test_an_unknown_move_is_a_clear_error() -> None:
    with pytest.raises(UsageError, match="node1 let go of no port for migration 'nope'"):
        SourceTracker("node1").half("nope")


def test_only_the_newest_halves_are_kept() -> None:
    source = SourceTracker("node1")
    for number in range(300):
        source.port_moved(PortMoved(f"u{number}", NIC, "vethx", number))
    assert json.loads(source.half("u299"))["nics"]
    with pytest.raises(UsageError):
        source.half("u0")


def facts(annotation: str | None = None, status: dict[str, Any] | None = None) -> Record:
    record = Record("u1", "web-1", "vms", "node2")
    document = {"metadata": {"name": "m", "uid": "u1"}, "spec": {"vmiName": "web-1"}, "status": status or {}}
    apply_migration(record, Migration.of(document), {EVENTS_ANNOTATION: annotation} if annotation else {})
    return record


def events(*rows: tuple[str, str, int], **more: Any) -> str:
    return json.dumps({"events": [{"side": s, "event": e, "at_ns": t} for s, e, t in rows], **more})


def test_stop_to_resume_is_the_last_stop_to_the_first_resume() -> None:
    text = events(
        ("source", "STOP", 10_000_000),
        ("source", "STOP", 20_000_000),
        ("target", "RESUME", 41_500_000),
        ("source", "RESUME", 1),
        downtime_ms=12,
        total_ms=109.5,
        mode="PostCopy",
    )
    qemu = facts(text).qemu
    assert qemu == {
        "downtime_ms": 12,
        "total_ms": 109.5,
        "stop_ns": 20_000_000,
        "resume_ns": 41_500_000,
        "stop_to_resume_ms": 21.5,
        "mode": "PostCopy",
    }


def test_clocks_that_disagree_give_no_time() -> None:
    record = facts(events(("source", "STOP", 50), ("target", "RESUME", 40)))
    assert record.qemu is not None and record.qemu["stop_to_resume_ms"] is None
    assert "stop-to-resume" in record.missing


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "null", '{"events": 3}', '{"events":[{"side":"up","event":"STOP","at_ns":1}]}', '{"events":[{}]}',
     '{"events":[],"downtime_ms":-1}', '{"events":[],"downtime_ms":"x"}', "[" * 100_000],
)  # fmt: skip
def test_a_bad_annotation_is_a_missing_source_with_its_reason(text: str) -> None:
    record = facts(text)
    assert record.qemu is None
    assert record.missing["hypervisor-events"].startswith(f"annotation {EVENTS_ANNOTATION}: ")


def test_times_come_from_the_state_else_from_the_phases() -> None:
    phases = [
        {"phase": "Pending", "phaseTransitionTimestamp": "2026-11-23T10:00:00Z"},
        {"phase": "Succeeded", "phaseTransitionTimestamp": "2026-11-23T10:00:03Z"},
    ]
    record = facts(status={"phase": "Succeeded", "phaseTransitionTimestamps": phases})
    assert (record.started, record.ended) == ("2026-11-23T10:00:00Z", "2026-11-23T10:00:03Z")
    state = {"startTimestamp": "2026-11-23T10:00:01Z", "endTimestamp": "2026-11-23T10:00:02Z", "sourceNode": "node1"}
    record = facts(status={"phase": "Succeeded", "phaseTransitionTimestamps": phases, "migrationState": state})
    assert (record.started, record.ended, record.source) == (
        "2026-11-23T10:00:01Z",
        "2026-11-23T10:00:02Z",
        "node1",
    )


@pytest.mark.parametrize("annotation", [None, "", "{", "[]", "{}", '{"target": 5}', '{"target": ""}'])
def test_a_node_without_a_target_is_named(annotation: str | None) -> None:
    node = {"metadata": {"name": "node1", "annotations": {"bascule.dev/agent": annotation} if annotation else {}}}
    with pytest.raises(UnreachableError, match="node1"):
        agent_target(node)


def test_the_target_of_a_node() -> None:
    annotations = {"bascule.dev/agent": '{"target":"unix:/run/a.sock","caHash":"","mode":"manage","version":"0.1.0"}'}
    assert agent_target({"metadata": {"name": "node1", "annotations": annotations}}) == "unix:/run/a.sock"
