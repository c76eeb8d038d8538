"""Conditions on the Node: ours come and go, others' stay untouched, nothing is written twice."""

from hypothesis import given
from hypothesis import strategies as st

from bascule.hostplan.outcome import NetworkOutcome
from bascule.resources.node import network_condition_type
from bascule_agent.status import merge_conditions, rfc3339

READY = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": "t0"}
NOW, LATER = "2026-11-23T10:00:00Z", "2026-11-23T10:05:00Z"


def outcome(network="dc1", ok=True, reason="Ready", why="trunk trunk0"):
    return NetworkOutcome(network, ok, reason, f"{network}: {why}")


outcomes = st.lists(
    st.builds(outcome, st.sampled_from(["dc1", "dc2", "a" * 300]), st.booleans(), st.sampled_from(["Ready", "Other"])),
    unique_by=lambda s: s.network,
)


@given(outcomes)
def test_written_once_then_nothing_to_write(wanted):
    written = merge_conditions([READY], wanted, NOW)
    assert (written is None) == (not wanted)
    after = written or [READY]
    assert READY in after and len(after) == 1 + len(wanted)
    assert merge_conditions(after, wanted, LATER) is None


@given(outcomes, outcomes)
def test_time_turns_only_with_the_status(before, after):
    first = merge_conditions([READY], before, NOW) or [READY]
    second = merge_conditions(first, after, LATER) or first
    was = {s.network: s.ok for s in before}
    for outcome_ in after:
        (found,) = [c for c in second if c["type"] == network_condition_type(outcome_.network)]
        turned = was.get(outcome_.network) is not outcome_.ok
        assert found["lastTransitionTime"] == (LATER if turned else NOW)
        assert found["message"].startswith(outcome_.network + ":")
    assert len(second) == 1 + len(after)


def test_condition_of_a_network_that_went_is_removed_and_others_stay():
    written = merge_conditions([READY], [outcome()], NOW)
    assert merge_conditions(written, [], LATER) == [READY]


def test_message_names_network_cause():
    (condition,) = merge_conditions([], [outcome(ok=False, reason="TrunkMissing", why="no link ens9; fix: …")], NOW)
    assert condition["status"] == "False" and condition["reason"] == "TrunkMissing"
    assert condition["message"] == "dc1: no link ens9; fix: …"


def test_times_as_kubernetes_writes_them():
    assert rfc3339(0) == "1970-01-01T00:00:00Z"
    assert rfc3339(1.5, micro=True) == "1970-01-01T00:00:01.500000Z"
