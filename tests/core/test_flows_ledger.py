"""The ledger: what goes in comes out, under every sum and difference."""

from hypothesis import given
from hypothesis import strategies as st

from bascule.flows.ledger import AGENT_QUEUE, Ledger, merge

causes = st.sampled_from(["map-full", "agent-queue", "store-full"])
lost = st.dictionaries(causes, st.integers(0, 1 << 40))
ledgers = st.builds(lambda sent, gone: Ledger(sent + sum(gone.values()), sent, gone), st.integers(0, 1 << 40), lost)


@given(st.lists(ledgers))
def test_balanced_ledgers_merge_to_a_balanced_one(many):
    total = merge(many)
    assert total.balanced
    assert total.seen == sum(one.seen for one in many)
    assert total.lost_total == sum(one.lost_total for one in many)


@given(ledgers, ledgers)
def test_since_undoes_addition(before, more):
    after = before + more
    assert after.since(before) == Ledger(more.seen, more.sent, {c: n for c, n in sorted(more.lost.items()) if n})


@given(ledgers, st.integers(0, 1000))
def test_moving_frames_to_a_cause_keeps_the_sum(ledger, frames):
    moved = ledger.moved(AGENT_QUEUE, frames)
    assert moved.balanced and moved.seen == ledger.seen
    assert moved.lost.get(AGENT_QUEUE, 0) - ledger.lost.get(AGENT_QUEUE, 0) == frames


def test_a_frame_nobody_accounts_for_shows():
    assert Ledger(10, 8, {"map-full": 1}).missing == 1
    assert not Ledger(10, 8, {"map-full": 1}).balanced


def test_json_keys_are_the_contract():
    made = Ledger(3, 1, {"map-full": 2}).to_dict()
    assert made == {"seen": 3, "sent": 1, "lost": {"map-full": 2}, "filtered": 0}


@given(ledgers, st.integers(0, 1000))
def test_frames_that_a_filter_left_out_are_neither_sent_nor_lost(ledger, frames):
    kept = ledger.without(frames)
    assert kept.balanced and kept.lost == ledger.lost and kept.filtered == frames
    assert (kept + ledger).filtered == kept.since(ledger).filtered == frames
