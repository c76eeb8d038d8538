"""The viewer's store against a plain dictionary that adds up the same records."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.flows.filter import read_filter
from bascule.flows.ledger import STORE_FULL, Ledger
from bascule.flows.names import PortId
from bascule.flows.record import RECORD
from bascule.flows.store import RATE_TAU_S, Batch, FlowStore

S = 1_000_000_000


def record(ifindex=7, port=1, packets=1, size=60, first=1, last=2):
    one = np.zeros(1, RECORD)
    one["ifindex"], one["src_port"], one["packets"], one["bytes"] = ifindex, port, packets, size
    one["ethertype"], one["proto"], one["first"], one["last"] = 0x0800, 17, first, last
    return one


def batch(node, time_s, *records, ledger=None):
    joined = np.concatenate(records) if records else np.zeros(0, RECORD)
    return Batch(node, int(time_s * S), joined, (PortId(node, 7, vm=f"vm-on-{node}"),), ledger or Ledger())


flows = st.tuples(st.sampled_from(["a", "b"]), st.integers(1, 6), st.integers(1, 9), st.integers(0, 99))


@given(st.lists(st.lists(flows, max_size=12), max_size=8))
def test_sums_per_flow_are_those_of_the_records(batches):
    store, expected = FlowStore(), Counter()
    for at, entries in enumerate(batches):
        for node in ("a", "b"):
            mine = [record(port=p, packets=n, last=last) for who, p, n, last in entries if who == node]
            store.add(batch(node, at, *mine))
        expected.update({(who, p): 0 for who, p, _, _ in entries})
        for who, p, n, _ in entries:
            expected[who, p] += n
    found = {(r["node"], r["src"]["port"]): r["packets"] for r in store.recent(100)}
    assert found == dict(expected)
    assert len(store) == len(expected)


@settings(max_examples=50)
@given(st.integers(1, 20), st.lists(st.lists(st.integers(1, 60), max_size=30), max_size=10))
def test_a_full_store_forgets_but_counts_what_it_forgot(capacity, batches):
    store, total = FlowStore(capacity), 0
    for at, ports in enumerate(batches):
        total += len(ports)
        store.add(batch("a", at, *[record(port=p) for p in ports], ledger=Ledger(total, total)))
        assert len(store) <= capacity
    kept = sum(r["packets"] for r in store.recent(1000))
    assert kept + store.evicted == total
    assert store.ledger.balanced and store.ledger.lost.get(STORE_FULL, 0) == store.evicted


def test_eviction_takes_the_longest_silent():
    store = FlowStore(3)
    for at in range(4):
        store.add(batch("a", at, record(port=at + 1)))
    assert {r["src"]["port"] for r in store.recent(9)} == {2, 3, 4}


def test_changed_gives_what_moved_since_a_version():
    store = FlowStore()
    store.add(batch("a", 1, record(port=1), record(port=2)))
    version = store.version
    assert store.changed(version) == []
    store.add(batch("a", 2, record(port=2), record(port=3)))
    assert {r["src"]["port"] for r in store.rows(store.changed(version))} == {2, 3}


def test_first_and_last_span_all_batches():
    store = FlowStore()
    store.add(batch("a", 1, record(first=50, last=60), record(first=40, last=45)))
    store.add(batch("a", 2, record(first=70, last=3 * S)))
    (row,) = store.recent(1)
    assert row["time"] == "1970-01-01T00:00:03.000Z" and row["packets"] == 3


@pytest.mark.parametrize("step", [0.25, 0.5, 1.0])
def test_rate_of_steady_traffic_is_its_rate_and_decays_in_silence(step):
    store = FlowStore()
    for at in range(1, int(30 / step)):
        last = int(at * step * S)
        store.add(batch("a", at * step, record(packets=int(100 * step), size=int(6000 * step), last=last)))
    now = int((int(30 / step) - 1) * step * S)
    ((packets, size),) = store.rates(store.changed(0), now)
    assert packets == pytest.approx(100, rel=0.2) and size == pytest.approx(6000, rel=0.2)
    ((later, _),) = store.rates(store.changed(0), now + int(RATE_TAU_S * 10 * S))
    assert later < 0.01


def test_names_follow_the_ports_and_a_node_can_be_forgotten():
    store = FlowStore()
    store.add(batch("a", 1, record(), ledger=Ledger(5, 5)))
    store.add(batch("b", 1, record(), ledger=Ledger(2, 1, {"map-full": 1})))
    assert store.ledger == Ledger(7, 6, {"map-full": 1})
    assert {r["vm"] for r in store.recent(9)} == {"vm-on-a", "vm-on-b"}
    store.forget_node("a")
    assert [r["vm"] for r in store.recent(9)] == ["vm-on-b"] and store.ledger.seen == 2


def test_recent_filters_before_it_counts():
    store = FlowStore()
    store.add(batch("a", 1, *[record(port=p, last=p) for p in range(1, 600)]))
    odd = store.recent(5, read_filter("port:1-400 !port:400"))
    assert [r["src"]["port"] for r in odd] == [399, 398, 397, 396, 395]


def test_a_store_without_room_is_refused():
    with pytest.raises(ValueError, match="room"):
        FlowStore(0)


def test_a_minutes_history_in_one_batch_is_no_burst():
    store = FlowStore()
    every = [record(packets=50, size=3000, last=at * S // 2) for at in range(2, 121)]
    store.add(batch("a", 60, *every))
    ((packets, size),) = store.rates(store.changed(0), 60 * S)
    assert packets == pytest.approx(100, rel=0.1) and size == pytest.approx(6000, rel=0.1)
    series = store.series(store.changed(0)[0], 60 * S)
    assert len(series) == 30 and series[1:29].tolist() == [6000.0] * 28


@pytest.mark.parametrize("steps", [(10, -5, 1), (10, -3600, 1, 1), (10, 3600, -3600, 1)])
def test_clock_steps_give_no_negative_rate_and_no_negative_count(steps):
    store, now = FlowStore(), 10_000
    for step in steps:
        now += step
        store.add(batch("a", now, record(packets=10, size=600, first=now * S, last=now * S)))
        ids = store.changed(0)
        assert (store.rates(ids, (now - 2) * S) >= 0).all() and (store.rates(ids, now * S) >= 0).all()
        assert (store.series(ids[0], (now - 2) * S) >= 0).all()
    (row,) = store.recent(1)
    assert row["packets"] == 10 * len(steps)


def test_a_conversation_is_both_directions_at_every_port():
    store = FlowStore()
    there, back, other = record(port=1), record(port=0), record(port=5)
    there["src_ip"], there["dst_ip"] = (10, 0, 0, 1), (10, 0, 0, 2)
    back["src_ip"], back["dst_ip"], back["dst_port"] = (10, 0, 0, 2), (10, 0, 0, 1), 1
    other["src_ip"], other["dst_ip"] = (10, 0, 0, 1), (10, 0, 0, 2)
    for node in ("a", "b"):
        store.add(batch(node, 1, there, back, other))
    found = store.conversation(store.changed(0)[0])
    assert {store.rows([i])[0]["node"] for i in found} == {"a", "b"} and len(found) == 4
