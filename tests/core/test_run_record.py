"""The fence's silence and the record's figures, from series of probes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bascule.migration.machine import APPLY, VERIFY
from bascule.migration.run import Deed
from bascule.migration.run_fence import GRACE_S, PLACES, PROBES, SILENCE_S, Quiet, foreign, quiet, unproven
from bascule.migration.run_record import FORMAT, Stream, outage, record

MS = 1_000_000
NOW = 1_795_435_200_000_000_000


def series(count: int, every_ms: int, answered: range, rtt_ns: int = 300_000) -> list[list[int | None]]:
    """Probes until NOW; those in `answered` were answered."""
    begin = NOW - count * every_ms * MS
    return [
        [n, begin + n * every_ms * MS, begin + n * every_ms * MS + rtt_ns if n in answered else None]
        for n in range(count)
    ]


def test_silence_counts_from_the_last_answer_and_leaves_out_the_youngest_questions() -> None:
    found = quiet("gw", series(100, 50, range(20)), NOW)
    assert found.last_ns == NOW - 81 * 50 * MS + 300_000
    assert abs(found.seconds - (80 * 0.05 - GRACE_S)) < 0.06
    assert found.unanswered == 80 - round(GRACE_S / 0.05) + 1
    assert quiet("gw", series(100, 50, range(100)), NOW).unanswered == 0


def test_a_place_that_asks_no_more_proves_nothing() -> None:
    assert quiet("gw", series(100, 50, range(20)), NOW + 1500 * MS).seconds == 0.0
    assert quiet("gw", [], NOW) == Quiet("gw", 0.0, 0)


@given(st.integers(0, 99), st.integers(0, 99))
def test_no_answer_within_the_silence_is_overlooked(last: int, extra: int) -> None:
    points = series(100, 50, range(last, last + 1))
    found = quiet("gw", points, NOW)
    answered_ago = (NOW - (NOW - (100 - last) * 50 * MS)) / 1e9
    assert found.seconds <= answered_ago
    if not unproven([found, Quiet("node1", 9.0, 99)]):
        assert answered_ago > SILENCE_S
    assert extra >= 0


def test_proof_needs_two_places_time_and_questions() -> None:
    good = Quiet("gw", SILENCE_S, PROBES)
    assert "two places" in unproven([good]) and "two places" in unproven([good, good]) and PLACES == 2
    assert unproven([good, Quiet("node1", SILENCE_S, PROBES)]) == ""
    assert "node1" in unproven([good, Quiet("node1", SILENCE_S / 2, PROBES)])
    assert "node1" in unproven([good, Quiet("node1", SILENCE_S, PROBES - 1)])


def test_only_the_planned_mac_may_answer() -> None:
    assert foreign("52:54:00:00:6e:01", {"52:54:00:00:6E:01"}) == []
    assert foreign("52:54:00:00:6e:01", {"52:54:00:00:6e:01", "02:00:00:00:00:09"}) == ["02:00:00:00:00:09"]
    assert foreign("", {"02:00:00:00:00:09"}) == []
    assert foreign("", {"02:00:00:00:00:09", "02:00:00:00:00:08"}) != []


def test_the_outage_is_from_the_last_answer_of_the_source_to_the_first_of_the_target() -> None:
    points = series(100, 10, range(30)) + [[200 + n, NOW + n * 10 * MS, NOW + n * 10 * MS + MS] for n in range(5)]
    found = outage(points, NOW - 690 * MS, NOW)
    assert found.ms == (71 * 10 * MS - 300_000 + MS) / MS
    assert outage(points[:100], NOW - 690 * MS, NOW).ms is None
    assert outage(points, 0, NOW).last_ns is None


def test_a_record_adds_up_and_is_whole_without_probes() -> None:
    vm = {"key": "/k", "name": "Web 1", "target": "web-1", "wave": 1, "nics": [
        {"name": "net-0", "vlan": 110, "ip": "10.110.0.11", "mac": "52:54:00:00:6e:01"}]}  # fmt: skip
    at = {"began_ns": NOW, "ended_ns": NOW + 1500 * MS}

    def deed(step: str, action: str, **evidence: object) -> Deed:
        return Deed("p", "/k", "vms", "web-1", 1, step, action, True, {**at, **evidence}, "t")

    deeds = [
        deed("stop", APPLY),
        deed("stop", VERIFY),
        deed("disks", APPLY, disks=[{"name": "vda", "bytes": 9}]),
        deed("start", APPLY),
        deed("start", VERIFY, outage_ms=1500.0, node="node1", nics=[{"nic": "net-0"}]),
    ]
    streams = [Stream("moving", "Web 1", "icmp", "gateway", "10.110.0.11", 10.0, series(100, 10, range(60)))]
    found = record(vm, deeds, streams, {"old side neighbour": "none"})
    assert found["format"] == FORMAT and found["node"] == "node1" and found["outage"]["ms"] == 1500.0
    assert [phase["ms"] for phase in found["phases"]] == [1500.0] * 5
    (probe,) = found["probes"]
    assert (probe["sent"], probe["seen"], probe["lost"]) == (100, 60, 40)
    empty = record(vm, [], [], {})
    assert empty["outage"]["ms"] is None and empty["nics"][0]["vlan"] == 110
