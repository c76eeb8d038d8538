"""The minute after, the watchers' findings, the timeline's clocks: pure, on records made by hand."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.continuity import (
    Change,
    Moment,
    Nic,
    Probe,
    Record,
    aftershock,
    findings,
    folded,
    judge,
    judged,
    load_schema,
    record_lines,
    timeline,
)
from bascule.continuity.timeline import clocks, grouped

MS, S = 1_000_000, 1_000_000_000
T0 = 1_790_000_000 * S
CUT = T0 + S
MAC, IP = "52:54:00:00:6e:01", "10.110.0.11"
CLOCK = {"offset_ns": 0, "error_ns": 0, "source": "kernel:x"}


def series(count: int, step_ms: float, start: int = T0, lost: range = range(0)) -> list[list[int | None]]:
    step = round(step_ms * MS)
    return [[k, start + k * step, None if k in lost else start + k * step + MS // 5] for k in range(count)]


def record(**more: Any) -> dict[str, Any]:
    """A move that went well, complete, with its after-shock watch done."""
    made = Record("uid", "web-1", "vms", "node2", source="node1", complete=True)
    made.nics = [Nic("net-0", "dc1", "pod1", Change(IP, IP), Change(MAC, MAC), Change(110, 110))]
    made.phases = [{"phase": "Running", "at": None}, {"phase": "Succeeded", "at": None}]
    made.qemu = {
        "downtime_ms": 2,
        "total_ms": 100,
        "stop_ns": CUT - 20 * MS,
        "resume_ns": CUT,
        "stop_to_resume_ms": 20.0,
    }
    made.announcements = [{"kind": "rarp", "at": CUT + MS // 10, "node": "node2", "port": "veth2"}]
    made.probes = [Probe("icmp", "gateway", IP, 5, series(500, 5), clock=CLOCK)]
    made.source_half = {"node": "node1", "nics": [half_nic()], "dropped_after": {}}
    watched = folded("icmp", "gateway", IP, 50, series(1180, 50, CUT + S), CUT)
    session = folded("tcp-echo", "gateway", IP, 20, series(2950, 20, CUT + S), CUT)
    made.aftershock = aftershock("done", CUT, CUT + 60 * S, [session, watched])
    document = made.to_json()
    for key, value in more.items():
        document[key] = value
    return judged(document)


def half_nic(**more: Any) -> dict[str, Any]:
    base = {"nic": "net-0", "port": "veth1", "vlan": 110, "mac": MAC, "ip": IP, "moved_ns": CUT, "closed_ns": None}
    return {**base, "entries_removed": [], **more}


def test_a_good_move_has_no_finding_and_fits_the_schema() -> None:
    document = record()
    jsonschema.Draft202012Validator(load_schema()).validate(document)
    assert (document["verdict"], document["findings"]) == ("kept", [])
    assert document["aftershock"]["window_ns"] == [CUT + 12 * S, CUT + 20 * S]


def test_a_session_that_dies_when_the_source_endpoint_goes_is_named() -> None:
    closed, died = CUT + 15 * S, CUT + 15 * S + 40 * MS
    session = folded("tcp-echo", "gateway", IP, 20, series(700, 20, CUT + S), CUT, "reset by the peer", died)
    document = record(
        aftershock=aftershock("done", CUT, CUT + 60 * S, [session]),
        source_half={"node": "node1", "nics": [half_nic(closed_ns=closed)], "dropped_after": {}},
    )
    assert document["verdict"] == "broken"
    reason = document["reasons"][0]
    assert reason["code"] == "aftershock-tcp-died"
    assert "15.0 s after the cut-over" in reason["message"] and "12 to 20 s" in reason["message"]
    assert "node1 removed the source endpoint veth1 40 ms before that" in reason["message"]
    assert [f["id"] for f in document["findings"]] == ["late-source-removal", "aftershock-tcp"]
    assert document["findings"][0]["port"] == "veth1" and document["findings"][0]["severity"] == "warning"


def test_an_early_removal_is_no_finding() -> None:
    half = {"node": "node1", "nics": [half_nic(closed_ns=CUT + 2 * S)], "dropped_after": {}}
    assert record(source_half=half)["findings"] == []


def test_a_session_that_the_move_itself_broke_is_told_once() -> None:
    session = folded("tcp-echo", "gateway", IP, 20, series(10, 20, CUT + S), CUT, "timed out", CUT + 2 * S)
    broken = {**record()["probes"][0], "kind": "tcp-echo", "error": "timed out"}
    document = record(aftershock=aftershock("done", CUT, CUT + 60 * S, [session]), probes=[broken])
    assert [reason["code"] for reason in document["reasons"]] == ["tcp-died"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"announcements": [{"kind": "rarp", "at": CUT - 30 * MS, "node": "node2", "port": "veth2"}]},
            "early-mac-leak",
        ),
        (
            {
                "fabric": {
                    "link": "trunk0",
                    "first_out_ns": CUT,
                    "foreign": [{"at_ns": CUT + 90 * MS, "kind": "ip", "dst": "ff:ff:ff:ff:ff:ff"}],
                }
            },
            "mac-flap",
        ),
        (
            {
                "fdb": {
                    "node3": {
                        "bridge": "b",
                        "port": "s",
                        "moved": True,
                        "changes": [
                            {"at_ns": CUT + k, "port": port, "gone": False} for k, port in enumerate(["a", "b", "a"])
                        ],
                    }
                }
            },
            "mac-flap",
        ),
        ({"fdb": {"node3": {"bridge": "b", "port": "veth9", "moved": False, "changes": []}}}, "fdb-not-moved"),
        (
            {
                "source_half": {
                    "node": "node1",
                    "nics": [half_nic()],
                    "dropped_after": {"moved": 7},
                    "to_vm": 7,
                    "last_late": {"at_ns": CUT + 800 * MS, "frame": "IP protocol 6 a > b"},
                }
            },
            "blackhole",
        ),
        ({"nics": [{"name": "net-0", "port": "pod1", "ip": {"before": IP, "after": "10.110.0.99"}}]}, "ip-changed"),
    ],
)
def test_every_watcher_names_node_port_and_frame(changes: dict[str, Any], expected: str) -> None:
    if "nics" in changes:
        same = {"mac": {"before": MAC, "after": MAC}, "vlan": {"before": 110, "after": 110}}
        changes = {"nics": [{**changes["nics"][0], **same}]}
    found = record(**changes)["findings"]
    assert [finding["id"] for finding in found] == [expected]
    assert found[0]["node"] and found[0]["message"] and found[0]["fix"]


def test_frames_of_the_cut_over_itself_are_no_blackhole() -> None:
    half = {
        "node": "node1",
        "nics": [half_nic()],
        "dropped_after": {"moved": 3},
        "to_vm": 3,
        "last_late": {"at_ns": CUT + 20 * MS, "frame": "x"},
    }
    assert record(source_half=half)["findings"] == []


def test_a_stale_neighbour_and_a_double_answer_are_found() -> None:
    probe = {**record()["probes"][0], "neighbour": "02:00:00:00:00:01", "duplicates": 2}
    assert {f["id"] for f in record(probes=[probe])["findings"]} == {"stale-neighbour", "duplicate-forwarding"}


def test_the_agents_own_announcement_is_not_the_guests_word() -> None:
    document = record(
        announcements=[{"kind": "garp", "at": CUT, "node": "node2", "port": "trunk0", "by": "agent"}],
        probes=[{**record()["probes"][0], "series": series(500, 5, lost=range(200, 500))}],
        guest_frames=0,
    )
    assert judge(document).reasons[0].code == "not-seen"


def test_a_failure_after_the_switch_says_that_the_guest_is_lost() -> None:
    document = record(
        phases=[{"phase": "Failed", "at": None}],
        failure="the target QEMU died",
        hypervisor_events=[{"side": "source", "event": "MIGRATION", "status": "postcopy-active", "at_ns": CUT}],
    )
    assert document["reasons"][0]["code"] == "guest-lost"
    assert "the guest is lost" in document["reasons"][0]["message"]


@given(st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(["a", "b", "c"]), st.integers(0, 500)), max_size=30))
def test_moments_of_one_clock_are_always_ordered_and_near_ones_of_two_never(
    drawn: list[tuple[int, str, int]],
) -> None:
    moments = grouped([Moment(at, "x", "t", clock, error) for at, clock, error in sorted(drawn)])
    for a, b in zip(moments, moments[1:], strict=False):
        near = b.at_ns - a.at_ns < a.error_ns + b.error_ns
        assert (a.group == b.group) == (a.clock != b.clock and near)
        assert b.group - a.group in (0, 1)


def test_a_clock_that_nobody_told_is_shown_as_that() -> None:
    assert clocks(record())["node1"] == {"offset_ns": None, "error_ns": None, "source": "not told"}
    assert "node1: not told" in "\n".join(record_lines(record()))


@given(st.integers(0, 3000), st.integers(0, 60), st.integers(1, 1000))
def test_seconds_add_up_to_what_was_sent(count: int, first_lost: int, lost: int) -> None:
    probe = folded("icmp", "gateway", IP, 50, series(count, 50, CUT, range(first_lost, first_lost + lost)), CUT)
    assert sum(sent for _, sent, _ in probe["seconds"]) == probe["sent"] == count
    assert sum(gone for _, _, gone in probe["seconds"]) == probe["lost"] == len(range(count)[first_lost:][:lost])


def test_every_line_is_there_in_ascii_too() -> None:
    document = record()
    for plain in (False, True):
        lines = record_lines(document, 76, plain)
        for heading in ("PATH", "PROBES", "CUT-OVER", "TIMELINE", "THE MINUTE AFTER", "CLOCKS"):
            assert heading in lines
        assert not plain or all(line.isascii() for line in lines)
    assert [moment.source for moment in timeline(document)].count("watch") == 2


def test_findings_do_not_depend_on_what_older_records_lack() -> None:
    bare = copy.deepcopy(record())
    for key in ("fabric", "fdb", "aftershock", "control", "clocks", "findings"):
        bare.pop(key)
    assert findings(bare) == []
    assert judge(bare).word == "kept"
