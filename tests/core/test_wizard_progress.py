"""Estimates of a run come from what was measured, and say so; where nothing was measured there is none."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bascule.migration.run import MOVED, MOVING, STEPS, Deed, RunRow
from bascule.migration.wizard_progress import Measured, progress


def row(state: str = MOVING, step: str = "network") -> RunRow:
    return RunRow("web-1", "web-1", "vms", 1, state, step, "apply")


def measured(seconds: float, vms: int) -> Measured:
    found = Measured()
    for number in range(vms):
        for step in STEPS:
            found.took(step, f"vm-{number}", seconds / 2)
            found.took(step, f"vm-{number}", seconds / 2)
    return found


def test_without_a_measurement_there_is_no_estimate_and_the_reason_is_told() -> None:
    line = progress(row(), Measured(), None, True)
    assert line.left_s is None and line.how == "no estimate: no VM was measured at network yet"
    own = Measured()
    own.took("network", "web-1", 3.0)
    assert progress(row(), own, None, True).left_s is None


def test_the_median_of_other_vms_and_the_rate_of_now() -> None:
    line = progress(row(), measured(2.0, 3), None, True)
    assert line.left_s == 2.0 * len(STEPS) and line.how == "median of 3 VMs moved before"
    line = progress(row(step="disks"), measured(2.0, 1), (100, 300, 20.0), True)
    assert (line.unit, line.done, line.total) == ("bytes", 100, 300)
    assert line.left_s == 10.0 + 2.0 and line.how == "bytes left at the rate of now and median of 1 VM moved before"


def test_who_stands_has_no_estimate() -> None:
    assert progress(row(), measured(1.0, 1), None, False).state == "paused"
    assert progress(row("blocked"), measured(1.0, 1), None, True).left_s is None
    over = progress(row(MOVED, ""), Measured(), None, True)
    assert (over.done, over.total, over.left_s) == (len(STEPS), len(STEPS), 0.0)


@given(st.sampled_from(STEPS), st.floats(0, 1e6), st.integers(0, 1 << 40), st.integers(0, 1 << 40), st.floats(0, 1e9))
def test_no_estimate_is_negative(step: str, seconds: float, done: int, more: int, rate: float) -> None:
    line = progress(row(step=step), measured(seconds, 2), (done, done + more, rate), True)
    assert line.left_s is None or line.left_s >= 0
    assert line.how


def test_what_the_journal_tells_is_what_was_measured() -> None:
    def deed(target: str, action: str, seconds: int, ok: bool = True) -> Deed:
        evidence = {"began_ns": 10**18, "ended_ns": 10**18 + seconds * 10**9}
        return Deed("p", "k", "vms", target, 1, "stop", action, ok, evidence)

    deeds = [deed("a", "check", 1), deed("a", "apply", 2), deed("a", "verify", 3), deed("a", "apply", 50, False)]
    untimed = Deed("p", "k", "vms", "c", 1, "stop", "apply", True)
    found = Measured.of_deeds([*deeds, deed("b", "apply", 8), deed("b", "revert", 90), untimed])
    assert found.of("stop") == (7.0, 2)
    assert found.of("stop", "b") == (6.0, 1)
    assert found.of("start") == (0.0, 0)
