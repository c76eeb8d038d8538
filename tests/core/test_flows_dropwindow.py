"""What a viewer makes of nodes' drops: differences over the last minute, whatever batch is lost, whoever restarts."""

from __future__ import annotations

import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bascule.flows import recording
from bascule.flows.drops import KERNEL, TRUNK, LinkDrop, LinkDrops
from bascule.flows.dropwindow import DropWindow, drop_rows, kept
from bascule.flows.filter import read_filter
from bascule.flows.ledger import Ledger
from bascule.flows.names import Names, PortId
from bascule.flows.record import RECORD
from bascule.flows.store import Batch, FlowStore
from bascule.flows.surroundings import Surroundings

S = 10**9
NAMES = Names([PortId("n1", 7, "web-1", "prod", "net-0", "dc1", 110)])


def drops(packets, reason="SOCKET_RCVBUFF", since=1, by=KERNEL, ifindex=7):
    return LinkDrops(since, "", (LinkDrop("hv1", ifindex, by, reason, packets, packets * 100, 5 * S),))


def recent(window, now_s):
    return [(each.node, each.packets, each.bytes, sum(each.series)) for each in window.recent(now_s * S)]


def test_the_first_batch_is_where_counting_starts():
    window = DropWindow()
    window.add("n1", 100 * S, drops(900))
    assert recent(window, 100) == []
    window.add("n1", 101 * S, drops(903))
    assert recent(window, 101) == [("n1", 3, 300, 3)]
    assert recent(window, 170) == []


def test_what_comes_later_is_new_and_a_restarted_agent_counts_from_0():
    window = DropWindow()
    window.add("n1", 100 * S, LinkDrops(1))
    window.add("n1", 101 * S, drops(4))
    assert recent(window, 101) == [("n1", 4, 400, 4)]
    window.add("n1", 102 * S, drops(3, since=2))
    assert recent(window, 102) == [("n1", 3, 300, 3)]
    window.forget("n1")
    assert recent(window, 102) == []


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 8 * S)), max_size=40), st.integers(0, 3))
def test_the_last_minute_is_the_sum_of_its_differences(steps, skipped):
    window, at, total, exact = DropWindow(), 1000 * S, 0, []
    window.add("n1", at, drops(0))
    told, told_at = 0, at
    for number, (more, later) in enumerate(steps):
        at, total = at + later, total + more
        if number % 4 != skipped:  # a batch that is lost loses nothing
            window.add("n1", at, drops(total))
            exact.append((at, total - told))
            told, told_at = total, at
    wanted = sum(count for when, count in exact if told_at - when < 60 * S)
    assert sum(each.packets for each in window.recent(told_at)) == wanted
    assert sum(sum(each.series) for each in window.recent(told_at)) == wanted


def test_a_filter_asks_for_place_and_verdict():
    every = [("n1", drops(1).found[0]), ("n2", drops(1, ifindex=9).found[0])]
    for text, nodes in (
        ("", ["n1", "n2"]),
        ("verdict:drop", ["n1", "n2"]),
        ("verdict:allow", []),
        ("vm:web-1", ["n1"]),
        ("vlan:110", ["n1"]),
        ("node:n2", ["n2"]),
        ("port:443", []),
    ):
        assert [node for node, _ in kept(every, read_filter(text), NAMES)] == nodes, text


def test_rows_say_where_why_and_since_when():
    told = {"n1": drops(5, since=2 * S), "n2": drops(9, "trunk-not-carried", by=TRUNK)}
    trunk, kernel = drop_rows(told, read_filter(""), NAMES)
    assert (trunk["node"], trunk["by"], trunk["packets"]) == ("n2", "trunk", 9)
    assert trunk["why"] == "a VLAN that no port needs on this node"
    assert (kernel["vm"], kernel["vlan"], kernel["link"], kernel["reason"]) == ("web-1", 110, "hv1", "SOCKET_RCVBUFF")
    assert kernel["why"] == "the receiving socket's buffer is full" and kernel["since"] == "1970-01-01T00:00:02.000Z"


def test_drops_are_kept_in_a_recording_and_come_to_the_store():
    batch = Batch("n1", 50 * S, np.zeros(0, RECORD), (), Ledger(), drops=drops(5))
    stream = io.BytesIO(recording.header(Surroundings()) + recording.entry(batch))
    recording.read_header(stream, "f")
    (read,) = recording.read_entries(stream, "f")
    assert read.drops == batch.drops
    store = FlowStore()
    store.add(read)
    assert store.drops.told["n1"] == drops(5)
    store.forget_node("n1")
    assert store.drops.told == {}
