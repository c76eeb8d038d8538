"""The account: sums of swaps that add up, add up; a swap that does not shows."""

import errno

from hypothesis import given
from hypothesis import strategies as st

from bascule_agent.flows.account import Account, cause_of

codes = st.sampled_from([errno.E2BIG, errno.ENOMEM, 9999])


@given(st.lists(st.tuples(st.integers(0, 1 << 30), st.dictionaries(codes, st.integers(0, 1 << 20)))))
def test_swaps_that_add_up_keep_the_ledger_balanced(swaps):
    account = Account()
    for recorded, failed in swaps:
        ledger = account.add(recorded + sum(failed.values()), recorded, failed)
        assert ledger.balanced
    assert account.ledger.sent == sum(recorded for recorded, _ in swaps)


def test_a_frame_that_is_in_no_record_and_no_cause_shows_as_missing():
    assert Account().add(10, 9, {}).missing == 1


def test_causes_have_names():
    assert cause_of(errno.E2BIG) == "map-full"
    assert cause_of(errno.ENOMEM) == "map-enomem"
    assert cause_of(9999) == "map-9999"
