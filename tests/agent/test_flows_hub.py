"""History and viewers: whatever is dropped on the way, each delivered ledger adds up with what was delivered."""

import asyncio

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bascule.flows.ledger import AGENT_QUEUE, Ledger
from bascule.flows.record import RECORD
from bascule_agent.flows.hub import Drain, Hub, Viewer, split

S = 1_000_000_000


def drains(sizes):
    """One drain per size, that many records of 1, 2, 3 … frames, with the ledger a collector would give."""
    seen, made = 0, []
    for at, size in enumerate(sizes):
        records = np.zeros(size, RECORD)
        records["packets"] = np.arange(1, size + 1)
        seen += int(records["packets"].sum()) + 1  # one frame of each drain found the map full
        made.append(Drain(at * S // 2, records, (), Ledger(seen, seen - at - 1, {"map-full": at + 1})))
    return made


def account(delivered, before=None):
    """Assert that each ledger moved by exactly what was delivered with it."""
    previous = before or Ledger()
    for drain in delivered:
        assert drain.ledger.balanced
        assert drain.ledger.sent - previous.sent == drain.frames
        previous = drain.ledger


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20), st.integers(1, 30), st.integers(1, 5))
def test_a_slow_viewer_loses_the_oldest_and_is_told_how_many(sizes, limit, pace):
    async def run():
        viewer, got = Viewer(limit), []
        for n, drain in enumerate(drains(sizes), 1):
            viewer.put(drain)
            if n % pace == 0:
                got.append(await viewer.get())
        while viewer._queue:
            got.append(await viewer.get())
        return viewer, got

    viewer, got = asyncio.run(run())
    account(got)
    total = sum(d.frames for d in drains(sizes))
    assert sum(d.frames for d in got) + viewer.lost == total
    assert got[-1].ledger.lost.get(AGENT_QUEUE, 0) == viewer.lost


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20), st.integers(1, 4))
def test_split_pieces_add_up_one_by_one(sizes, limit):
    made = drains(sizes)
    pieces = [piece for drain in made for piece in split(drain, limit)]
    account(pieces)
    assert all(len(p.records) <= limit for p in pieces)
    assert pieces[-1].ledger == made[-1].ledger
    assert sum(p.frames for p in pieces) == sum(d.frames for d in made)


async def test_history_then_every_new_drain_without_a_gap():
    hub, made = Hub(), drains([3, 4, 5, 6])
    for drain in made[:3]:
        hub.publish(drain)
    stream = hub.stream(60, follow=True)
    first = await anext(stream)
    hub.publish(made[3])
    second = await asyncio.wait_for(anext(stream), 1)
    assert first.frames == sum(d.frames for d in made[:3])
    account([second], before=first.ledger)
    await stream.aclose()
    assert not hub._viewers


async def test_history_counts_what_its_bound_made_it_forget():
    hub, made = Hub(seconds=60, records=10), drains([6, 6, 6])
    for drain in made:
        hub.publish(drain)
    (only,) = [d async for d in hub.stream(60, follow=False)]
    assert only.frames == made[2].frames
    assert only.ledger.lost[AGENT_QUEUE] == made[0].frames + made[1].frames
    assert only.ledger.balanced


async def test_a_short_history_holds_only_its_seconds():
    hub, made = Hub(), drains([1] * 10)
    for drain in made:
        hub.publish(drain)
    (only,) = [d async for d in hub.stream(1.0, follow=False)]
    assert len(only.records) == 2
    (none,) = [d async for d in hub.stream(0, follow=False)]
    assert len(none.records) == 0 and none.ledger == made[-1].ledger


async def test_before_the_first_drain_a_viewer_gets_an_empty_one_at_once():
    (empty,) = [d async for d in Hub().stream(60, follow=False)]
    assert len(empty.records) == 0 and empty.ledger == Ledger()
