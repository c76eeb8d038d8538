"""The record: its keys, its schema, its verdicts, its timeline and its lines of text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.continuity import Change, Nic, Probe, Record, judge, load_schema, loss_strip, summary_lines, timeline

MS = 1_000_000
T0 = 1_790_000_000_000 * MS
RESUME = T0 + 1000 * MS
DESIGN_KEYS = {"vm", "namespace", "source", "target", "started", "ended", "phases", "ip", "mac", "vlan"}
DESIGN_KEYS |= {"qemu", "probes", "announcements", "tcp", "missing", "verdict"}


def validate(document: dict[str, Any]) -> dict[str, Any]:
    jsonschema.Draft202012Validator(load_schema()).validate(document)
    return document


def series(lost: Callable[[int], bool] = lambda ms: False, interval_ms: int = 5, length_ms: int = 2500) -> list[Any]:
    """Probes over 2.5 s; `lost(ms)` says which, by the ms since T0."""
    return [
        [k, T0 + k * interval_ms * MS, None if lost(k * interval_ms) else T0 + k * interval_ms * MS + MS // 5]
        for k in range(length_ms // interval_ms)
    ]


def icmp(lost: Callable[[int], bool] = lambda ms: False, source: str = "gateway") -> Probe:
    return Probe("icmp", source, "10.110.0.11", 5, series(lost))


def tcp(error: str = "", lost: Callable[[int], bool] = lambda ms: False) -> Probe:
    return Probe("tcp-echo", "gateway", "10.110.0.11", 20, series(lost, 20), error=error)


def record(**changes: Any) -> Record:
    """A move in which nothing went wrong: 20 ms between STOP and RESUME, RARP 0.1 ms after it."""
    blackout = lambda ms: 980 <= ms < 1000  # noqa: E731
    values: dict[str, Any] = {
        "migration_uid": "b0f5c6de-0000-4000-8000-000000000001",
        "vm": "web-1",
        "namespace": "vms",
        "source": "node1",
        "target": "node2",
        "started": "2026-11-23T10:00:00Z",
        "ended": "2026-11-23T10:00:02Z",
        "phases": [{"phase": "Running", "at": "2026-11-23T10:00:01Z"}, {"phase": "Succeeded", "at": None}],
        "nics": [nic()],
        "qemu": {
            "downtime_ms": 12,
            "total_ms": 109,
            "stop_ns": RESUME - 20 * MS,
            "resume_ns": RESUME,
            "stop_to_resume_ms": 20.0,
            "mode": "PostCopy",
        },
        "hypervisor_events": [{"side": "source", "event": "STOP", "status": "", "at_ns": RESUME - 20 * MS}],
        "probes": [icmp(blackout), tcp()],
        "announcements": [{"kind": "rarp", "at": RESUME + MS // 10, "node": "node2", "port": "pod1"}],
        "source_half": half(),
        "held_frames": 3,
        "guest_frames": 40,
        "complete": True,
    }
    return Record(**{**values, **changes})


def nic(**changes: Change) -> Nic:
    same = {
        "ip": Change("10.110.0.11", "10.110.0.11"),
        "mac": Change("52:54:00:00:6e:01", "52:54:00:00:6e:01"),
        "vlan": Change(110, 110),
    }
    return Nic("net-0", "dc1", "pod900d2c01c91", **{**same, **changes})


def half() -> dict[str, Any]:
    entry = {"nic": "net-0", "port": "pod1", "vlan": 110, "mac": "52:54:00:00:6e:01", "ip": "10.110.0.11"}
    moved = {**entry, "moved_ns": RESUME + MS, "entries_removed": ["fdb 52:54:00:00:6e:01 bsb-abc"]}
    return {"node": "node1", "nics": [moved], "dropped_after": {"moved": 2}}


def verdict(**changes: Any) -> tuple[str, list[str]]:
    document = validate(record(**changes).to_json())
    return document["verdict"], [reason["code"] for reason in document["reasons"]]


def test_a_good_move_is_kept_and_has_every_key_of_the_design() -> None:
    document = validate(record().to_json())
    assert document["verdict"] == "kept"
    assert document.keys() >= DESIGN_KEYS
    assert document["missing"] == []
    probe = document["probes"][0]
    assert probe.keys() >= {"kind", "from", "interval_ms", "sent", "lost", "longest_gap_ms", "series"}
    assert (probe["sent"], probe["lost"], probe["lost_window_ms"], probe["longest_gap_ms"]) == (500, 4, 20.0, 25.0)
    assert document["tcp"] == {"alive": True, "resets": 0, "sessions": 1}
    assert document["ip"] == {"before": "10.110.0.11", "after": "10.110.0.11"}


@pytest.mark.parametrize("key", sorted(DESIGN_KEYS | {"nics", "reasons", "complete", "source_half"}))
def test_the_schema_wants_every_key(key: str) -> None:
    document = record().to_json()
    del document[key]
    with pytest.raises(jsonschema.ValidationError):
        validate(document)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d["probes"][0]["series"].append([1, 2]),
        lambda d: d["probes"][0]["series"].append([1, 2, "x"]),
        lambda d: d["probes"][0].pop("lost"),
        lambda d: d["vlan"].update(before=4095),
        lambda d: d["announcements"][0].update(kind="hello"),
        lambda d: d.update(verdict="fine"),
        lambda d: d.update(reasons=[{"code": "gap", "message": "m", "fix": ""}]),
        lambda d: d.update(complete=False),
        lambda d: d.update(started="yesterday"),
        lambda d: d["qemu"].pop("stop_to_resume_ms"),
    ],
)
def test_the_schema_refuses(spoil: Callable[[dict[str, Any]], Any]) -> None:
    document = record().to_json()
    spoil(document)
    with pytest.raises(jsonschema.ValidationError):
        validate(document)


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"nics": [nic(ip=Change("10.110.0.11", "10.110.0.99"))]}, ["ip-changed"]),
        ({"nics": [nic(mac=Change("52:54:00:00:6e:01", "52:54:00:00:6e:02"))]}, ["mac-changed"]),
        ({"nics": [nic(vlan=Change(110, 120))]}, ["vlan-changed"]),
        ({"nics": [nic(), Nic("net-1", "dc1", "pod2", vlan=Change(110, 120))]}, ["vlan-changed"]),
        ({"probes": [icmp(), tcp("reset by the peer")]}, ["tcp-died"]),
        ({"probes": [icmp(), tcp("closed by the peer")]}, ["tcp-died"]),
        ({"probes": [icmp(lambda ms: 900 <= ms < 1905), tcp()]}, ["gap"]),
        ({"probes": [icmp(), tcp(lost=lambda ms: 900 <= ms < 1920)]}, ["gap"]),
        ({"phases": [{"phase": "Failed", "at": None}], "failure": "no room"}, ["migration-failed"]),
    ],
)
def test_what_breaks_continuity(changes: dict[str, Any], codes: list[str]) -> None:
    assert verdict(**changes) == ("broken", codes)


def silent(**changes: Any) -> tuple[str, list[str]]:
    gone = lambda ms: ms >= 980  # noqa: E731
    return verdict(**{"probes": [icmp(gone), tcp(lost=gone)], **changes})


def test_a_silent_guest_is_named_and_the_network_is_not_blamed() -> None:
    assert silent(guest_frames=0) == ("broken", ["guest-silent"])
    document = record(probes=[icmp(lambda ms: ms >= 980)], guest_frames=0).to_json()
    assert "points to the guest, not to the network (PostCopy)" in document["reasons"][0]["message"]


def test_a_session_that_only_stalls_is_neither_alive_nor_dead() -> None:
    document = record(probes=[tcp(lost=lambda ms: ms >= 980)], guest_frames=0).to_json()
    assert document["tcp"] == {"alive": None, "resets": 0, "sessions": 1}
    assert "TCP stalled: no line came back after the cut-over" in summary_lines(document)
    assert record(probes=[icmp(), tcp("reset by the peer")]).to_json()["tcp"]["alive"] is False


def test_silence_with_other_evidence_is_not_the_guests_fault() -> None:
    assert silent(guest_frames=7) == ("broken", ["unreachable"])
    spoken = [{"kind": "ip", "at": RESUME + MS, "node": "node2", "port": "pod1"}]
    assert silent(guest_frames=None, announcements=spoken) == ("broken", ["unreachable"])
    assert silent(guest_frames=None) == ("broken", ["silent"])
    assert silent(guest_frames=0, announcements=[]) == ("broken", ["not-seen"])


def test_silence_from_one_side_only_is_named_by_side() -> None:
    probes = [icmp(lambda ms: ms >= 980, "outside"), icmp(), tcp()]
    assert verdict(probes=probes) == ("broken", ["unreachable-from"])


def test_what_is_missing_is_listed_and_never_held_against_the_move() -> None:
    document = validate(
        record(qemu=None, source_half=None, announcements=[], nics=[nic(ip=Change(None, "x"))]).to_json()
    )
    assert document["verdict"] == "kept"
    assert document["missing"] == ["announcements", "hypervisor-events", "source-half"]
    assert document["missing_why"].keys() == set(document["missing"])


def test_a_vantage_point_that_never_reached_the_guest_is_missing_not_broken() -> None:
    document = validate(record(probes=[icmp(), icmp(lambda ms: True, "outside")]).to_json())
    assert (document["verdict"], document["missing"]) == ("kept", ["probe icmp from outside to 10.110.0.11"])


def test_nothing_measured_is_unknown() -> None:
    assert verdict(probes=[icmp(lambda ms: True)]) == ("unknown", ["not-measured"])
    assert verdict(probes=[]) == ("unknown", ["not-measured"])


def test_an_unfinished_record_is_pending() -> None:
    assert verdict(complete=False, ended=None) == ("pending", ["pending"])


def test_a_session_begun_after_the_cut_over_proves_nothing() -> None:
    late = Probe("tcp-echo", "gateway", "10.110.0.11", 20, [[1, RESUME + 50 * MS, RESUME + 51 * MS]])
    assert record(probes=[icmp(), late]).to_json()["tcp"]["alive"] is None


def test_the_accepted_gap_is_the_operators() -> None:
    document = record(probes=[icmp(lambda ms: 900 <= ms < 1050)]).to_json()
    assert judge(document).word == "kept"
    assert [reason.code for reason in judge(document, max_gap_ms=100).reasons] == ["gap"]


def test_another_clock_shifts_the_cut_and_nothing_else() -> None:
    offset = 3_600_000 * MS
    shifted = [[s, tx + offset, rx and rx + offset] for s, tx, rx in icmp().series]
    clock = {"offset_ns": offset, "error_ns": 1000, "source": "ntp"}
    probe = Probe("icmp", "gateway", "10.110.0.11", 5, shifted, clock=clock)
    document = validate(record(probes=[probe, tcp()]).to_json())
    assert document["probes"][0]["rtt_before_ms"] == document["probes"][0]["rtt_after_ms"] == 0.2


def test_folded_probes_are_counted() -> None:
    probe = Probe("icmp", "gateway", "10.110.0.11", 5, series(), folded_sent=1000, folded_lost=7)
    document = validate(record(probes=[probe]).to_json())
    assert (document["probes"][0]["sent"], document["probes"][0]["lost"]) == (1500, 7)


def test_the_timeline_is_in_order_and_names_every_source() -> None:
    moments = timeline(record().to_json())
    assert [m.at_ns for m in moments] == sorted(m.at_ns for m in moments)
    assert {m.source for m in moments} == {"api", "hypervisor", "port", "source", "probe"}
    texts = [m.text for m in moments if m.source in ("hypervisor", "port", "source")]
    assert texts == [
        "STOP on the source",
        "first RARP of the VM's MAC at pod1 on node2",
        "node1 let go of pod1, 1 entries removed",
    ]


def test_the_summary_says_it_all_in_both_character_sets() -> None:
    document = record().to_json()
    lines = summary_lines(document)
    assert lines[0] == "vms/web-1  node1 → node2  KEPT"
    text = "\n".join(lines)
    for part in ("IP 10.110.0.11 unchanged", "VLAN 110 unchanged", "STOP to RESUME 20.0 ms", "4 lost", "TCP alive"):
        assert part in text
    assert "first RARP at pod1 on node2, +0.1 ms from RESUME" in text
    strips = [line for line in lines if line.startswith(" " * 18) and "▲" not in line]
    assert {len(line) for line in strips} == {80}
    plain = summary_lines(document, ascii_only=True)
    assert all(line.isascii() for line in plain)


def test_the_loss_strip_shows_where_and_how_much() -> None:
    points = series(lambda ms: 1000 <= ms < 1500 or (ms >= 2000 and ms % 25 == 0))
    strip = loss_strip(points, T0, T0 + 2500 * MS, 10)
    assert strip == "····██··▂▂"
    assert loss_strip(points, T0 - 2500 * MS, T0 + 2500 * MS, 10, ascii_only=True) == "     ..8.2"


@given(st.lists(st.tuples(st.integers(0, 10**10), st.booleans()), min_size=1, max_size=50), st.integers(1, 200))
def test_a_strip_has_its_width_and_shows_every_loss(probes: list[tuple[int, bool]], width: int) -> None:
    points = [[k, tx, None if gone else tx + 1] for k, (tx, gone) in enumerate(probes)]
    strip = loss_strip(points, min(tx for tx, _ in probes), max(tx for tx, _ in probes), width, ascii_only=True)
    assert len(strip) == width
    assert any(c in "12345678" for c in strip) == any(gone for _, gone in probes)


def test_untrusted_text_cannot_reach_the_terminal() -> None:
    document = record(failure="x\x1b[31m\nfake", phases=[{"phase": "Failed", "at": None}]).to_json()
    assert all(line.isprintable() for line in summary_lines(document))
