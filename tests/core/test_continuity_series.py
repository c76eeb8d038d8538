"""Series figures against a generator that knows the truth: a block of known length on a known schedule."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.continuity import SeriesLog, measure

MS = 1_000_000
EPOCH = 1_700_000_000 * 1000 * MS


@dataclass(frozen=True)
class Truth:
    """A series and what was planted in it."""

    series: list[list[int | None]]
    blocked: int
    interval_ns: int
    block_ns: int
    rtt_ns: int


@st.composite
def truths(draw: st.DrawFn) -> Truth:
    """Probes on an exact schedule; those sent inside one block are lost; round trips below half an interval."""
    interval = draw(st.integers(1, 20)) * MS
    count = draw(st.integers(20, 400))
    lead = draw(st.integers(2 * interval, count * interval // 2))
    block = draw(st.integers(0, count * interval // 2 - 3 * interval)) if count > 6 else 0
    rtts = draw(st.lists(st.integers(1, interval // 2), min_size=count, max_size=count))
    series: list[list[int | None]] = []
    blocked = 0
    for k in range(count):
        tx = k * interval
        inside = lead <= tx < lead + block
        blocked += inside
        series.append([k + 1, EPOCH + tx, None if inside else EPOCH + tx + rtts[k]])
    return Truth(series, blocked, interval, block, interval // 2)


@given(truths())
def test_seen_plus_lost_is_sent_and_the_block_is_found(truth: Truth) -> None:
    stats = measure(truth.series, truth.interval_ns / MS)
    seen = sum(rx is not None for _, _, rx in truth.series)
    assert stats.sent == seen + stats.lost == len(truth.series)
    assert stats.lost == truth.blocked
    assert stats.longest_gap_ms is not None
    if truth.blocked:
        assert abs(stats.lost_window_ms * MS - truth.block_ns) < truth.interval_ns
        assert truth.block_ns - truth.rtt_ns <= stats.longest_gap_ms * MS
        assert stats.longest_gap_ms * MS <= truth.block_ns + 2 * truth.interval_ns + truth.rtt_ns
    else:
        assert stats.lost_window_ms == 0
        assert stats.longest_gap_ms * MS <= truth.interval_ns + truth.rtt_ns


@given(st.lists(st.booleans(), min_size=1, max_size=200), st.integers(1, 50))
def test_lost_window_equals_the_longest_run(answered: list[bool], interval_ms: int) -> None:
    step = interval_ms * MS
    series = [[k, EPOCH + k * step, EPOCH + k * step + 1000 if ok else None] for k, ok in enumerate(answered)]
    longest = max(len(run) for run in "".join("." if ok else "x" for ok in answered).split("."))
    stats = measure(series, interval_ms)
    assert stats.lost == answered.count(False)
    assert stats.lost_window_ms == pytest.approx(longest * interval_ms)


def test_planted_150_ms_at_5_ms_is_150_ms_within_one_probe() -> None:
    for phase in range(0, 5 * MS, MS // 4):
        begin = 400 * MS + phase
        series = []
        for k in range(200):
            tx = k * 5 * MS
            series.append([k, tx, None if begin <= tx < begin + 150 * MS else tx + MS // 5])
        stats = measure(series, 5)
        assert 29 <= stats.lost <= 31
        assert abs(stats.lost_window_ms - 150) <= 5


def test_silence_that_never_ends_counts_to_the_last_probe() -> None:
    series = [[k, k * 5 * MS, k * 5 * MS + MS if k < 10 else None] for k in range(100)]
    stats = measure(series, 5)
    assert stats.longest_gap_ms == 99 * 5 - (9 * 5 + 1)
    assert stats.lost_window_ms == 90 * 5
    assert stats.lost_window_at_ns == 50 * MS


def test_a_late_answer_is_a_gap_and_no_loss() -> None:
    series = [[1, 0, MS], [2, 5 * MS, 80 * MS], [3, 10 * MS, 81 * MS], [4, 85 * MS, 86 * MS]]
    stats = measure(series, 5)
    assert (stats.lost, stats.lost_window_ms, stats.longest_gap_ms, stats.longest_gap_at_ns) == (0, 0.0, 79.0, MS)


def test_time_in_which_nobody_asked_is_no_silence() -> None:
    asked = [0, 5, 10, 900, 905]
    stats = measure([[k, ms * MS, ms * MS + MS] for k, ms in enumerate(asked)], 5)
    assert (stats.lost, stats.longest_gap_ms) == (0, 5.0)
    stats = measure([[k, ms * MS, None if ms == 10 else ms * MS + MS] for k, ms in enumerate(asked)], 5)
    assert (stats.lost, stats.longest_gap_ms) == (1, 895.0)  # the last one before the pause had no answer: it counts


def test_answers_without_numbers_are_nobodys_silence() -> None:
    """ARP: after a stall of 100 ms the queued answers go to the newest probes; the prober itself was late by 20 ms."""
    ms = 10**6
    sent = [seq * 5 * ms for seq in range(20)] + [(100 + 15 + seq * 5) * ms for seq in range(40)]
    replies = [None if 2 <= seq < 10 else tx + ms for seq, tx in enumerate(sent)]
    # what is still out after the stall is answered last, long after: other probes were answered all the while
    for seq in range(10, 20):
        replies[seq] = sent[-1] + (seq - 9) * ms
    series = [[seq, tx, rx] for seq, (tx, rx) in enumerate(zip(sent, replies, strict=True))]
    assert 100 <= measure(series, 5.0).longest_gap_ms < 125  # type: ignore[operator]


def test_round_trips_before_and_after_the_cut() -> None:
    series = [[k, k * MS, k * MS + (100_000 if k < 10 else 300_000)] for k in range(20)]
    stats = measure(series, 1, cut_ns=10 * MS)
    assert (stats.rtt_before_ms, stats.rtt_after_ms) == (0.1, 0.3)


def test_nothing_sent_and_nothing_answered() -> None:
    assert measure([], 5).longest_gap_ms is None
    stats = measure([[1, 0, None], [2, 5 * MS, None]], 5)
    assert (stats.sent, stats.lost, stats.longest_gap_ms, stats.rtt_before_ms) == (2, 2, 5.0, None)


@given(st.data())
def test_a_log_fed_in_any_batches_holds_what_was_sent(data: st.DataObject) -> None:
    """Answers arrive with their probe, later, or never; the log ends with exactly those that came."""
    count = data.draw(st.integers(1, 120))
    fate = data.draw(st.lists(st.sampled_from(["now", "late", "never"]), min_size=count, max_size=count))
    log = SeriesLog()
    for start in range(0, count, 7):
        seqs = list(range(start, min(start + 7, count)))
        log.add(seqs, [s * 10 for s in seqs], [s * 10 + 1 if fate[s] == "now" else 0 for s in seqs])
    late = [s for s in range(count) if fate[s] == "late"]
    log.close()
    log.add(late, [s * 10 for s in late], [s * 10 + 5 for s in late], duplicates=2)
    log.add([count + 5], [9], [9])
    points = log.points()
    assert [p[0] for p in points] == list(range(count))
    assert [p[0] for p in points if p[2] is None] == [s for s in range(count) if fate[s] == "never"]
    assert log.duplicates == 2


def test_a_full_log_folds_the_oldest_and_keeps_the_counts() -> None:
    log = SeriesLog(limit=100)
    for seq in range(1, 1001):
        log.add([seq], [seq], [0 if seq % 10 == 0 else seq + 1])
    log.add([10], [10], [999])  # folded as lost; its late answer must not come back as a new probe
    stats = measure(log.points(), 1)
    assert (len(log), log.folded_sent, log.folded_lost) == (100, 900, 90)
    assert (stats.sent + log.folded_sent, stats.lost + log.folded_lost) == (1000, 100)
