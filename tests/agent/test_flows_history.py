"""The node's history: what comes out is what went in, across restarts, packing, rolling up and running out of room."""

import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.flows.filter import Filter, read_filter
from bascule.flows.ledger import HISTORY_FULL, Ledger
from bascule.flows.names import PortId
from bascule.flows.record import RECORD
from bascule_agent.flows.history import MINUTE_NS, History
from bascule_agent.flows.hub import Drain

S = 10**9
START = 1_700_000_000 * S // MINUTE_NS * MINUTE_NS
PORT = PortId("node1", 7, "web-1", "vms", "net-0", "dc1", 110, "52:54:00:00:6e:01", "10.110.0.11", (("app", "web"),))
ALL = Filter()


def drain(at_s, packets, before=None, port=1, verdict=1, lost=0):
    records = np.zeros(len(packets), RECORD)
    records["ifindex"], records["src_port"], records["verdict"], records["packets"] = 7, port, verdict, packets
    records["src_ip"], records["ethertype"], records["proto"] = (10, 110, 0, 11), 0x0800, 17
    records["first"] = records["last"] = START + int(at_s * S)
    before = before.ledger if before else Ledger()
    total = int(records["packets"].sum())
    gone = before.lost.get("map-full", 0) + lost
    ledger = Ledger(before.seen + total + lost, before.sent + total, {"map-full": gone} if gone else {})
    return Drain(START + int(at_s * S), records, (PORT,), ledger)


def everything(history, since_s=0.0, wanted=ALL):
    pieces = [*history.read(START + int(since_s * S), wanted)]
    ledger = pieces[-1][0].ledger
    assert ledger.balanced
    assert ledger.sent == sum(piece.frames for piece, _ in pieces)
    return pieces, ledger


@pytest.fixture
def history(tmp_path):
    made = History(tmp_path / "h" / "flows.sqlite", "node1")
    yield made
    made.close()


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 200), st.lists(st.integers(1, 9), max_size=4)), max_size=12), st.integers(0, 200)
)
def test_a_window_has_every_frame_of_its_time_packed_or_not(tmp_path_factory, drains, since):
    history = History(tmp_path_factory.mktemp("h6") / "flows.sqlite", "node1")
    last, inside = None, 0
    for at, packets in sorted(drains):
        last = drain(at, packets, last)
        history.add(last)
        inside += sum(packets) if at >= since else 0
    for now in (0, 130, 400):
        history.tidy(START + now * S)
        _, ledger = everything(history, since)
        assert (ledger.seen, ledger.sent, ledger.lost_total) == (inside, inside, 0)
    history.close()


def test_a_restart_keeps_it_and_the_names_of_that_time(history, tmp_path):
    first = drain(1, [3, 4], verdict=3)
    history.add(first)
    history.close()
    again = History(history.path, "node1")
    again.add(drain(2, [5], verdict=1))
    pieces, ledger = everything(again, wanted=read_filter("vm:web-1 label:app=web verdict:drop"))
    (made, _extent), *more = pieces
    assert not more and made.records["packets"].tolist() == [7]  # one flow, folded
    assert made.ports == (PORT,)
    assert (ledger.seen, ledger.sent, ledger.filtered) == (12, 7, 5)
    again.close()


def test_what_the_kernel_lost_stays_lost_in_the_history(history):
    first = drain(1, [3], lost=2)
    history.add(first)
    history.add(drain(2, [1], first, lost=4))
    history.tidy(START + 300 * S)
    _, ledger = everything(history)
    assert (ledger.seen, ledger.sent, ledger.lost) == (10, 4, {"map-full": 6})


def test_after_a_day_a_minute_has_one_record_per_flow(tmp_path):
    history = History(tmp_path / "flows.sqlite", "node1", exact_ns=600 * S)
    last = None
    for at in range(0, 120, 5):
        last = drain(at, [1, 1], last)
        history.add(last)
    history.tidy(START + 200 * S)
    assert history.extent().rolled_until_ns == 0
    history.tidy(START + 1000 * S)
    extent = history.extent()
    assert START < extent.rolled_until_ns < START + 120 * S
    kinds = sqlite3.connect(history.path).execute("SELECT kind, count(*) FROM blocks GROUP BY kind").fetchall()
    assert kinds == [(2, 2)]
    (made, _), ledger = everything(history)[0][0], everything(history)[1]
    assert ledger.sent == 48 and made.records["packets"].tolist() == [48]
    history.close()


def test_without_room_the_oldest_go_and_are_counted(tmp_path):
    history = History(tmp_path / "flows.sqlite", "node1", room=150_000)
    last = None
    for at in range(600):
        last = drain(at, range(1, 21), last, port=at)
        history.add(last)
        if at % 60 == 59:
            history.tidy(START + at * S)
    extent = history.extent()
    assert extent.bytes <= 250_000 and extent.dropped_frames > 0 and extent.dropped_until_ns > START
    _, ledger = everything(history)
    assert ledger.seen == 600 * 210
    assert ledger.lost == {HISTORY_FULL: extent.dropped_frames}
    later = (extent.dropped_until_ns - START) / S + 1
    assert everything(history, later)[1].lost_total == 0
    history.close()


def test_records_of_another_version_are_told_as_dropped(history):
    history.add(drain(1, [3]))
    history.close()
    with sqlite3.connect(history.path) as db:
        db.execute("UPDATE about SET layout = 1")
    again = History(history.path, "node1")
    _, ledger = everything(again)
    assert (ledger.seen, ledger.sent, ledger.lost) == (3, 0, {HISTORY_FULL: 3})
    again.close()


def test_a_clock_that_steps_back_loses_nothing(history):
    last = drain(100, [1])
    history.add(last)
    last = drain(40, [2], last)
    history.add(last)
    history.add(drain(101, [4], last))
    history.tidy(START + 400 * S)
    assert everything(history)[1].sent == 7
