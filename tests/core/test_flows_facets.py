"""Facets that count each batch once against counting the whole window anew, while batches come and go."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bascule.flows.facets import Counts, Facets
from bascule.flows.filter import read_filter
from bascule.flows.names import Names, PortId
from bascule.flows.record import RECORD
from bascule.flows.scene import Scene
from bascule.flows.store import Batch, FlowStore
from bascule.flows.window import Window, kept_by, top

S = 10**9
FIELDS = ("vm", "dst.port", "verdict")
PORT = PortId("a", 7, "web-1", "vms", "net-0", "dc1", 110, "52:54:00:00:6e:01", "10.110.0.11", ())


def batch(ports, verdict):
    made = np.zeros(len(ports), RECORD)
    made["ifindex"], made["dst_port"], made["packets"], made["verdict"] = 7, ports, 3, verdict
    made["ethertype"], made["proto"] = 0x800, 6
    return made


def anew(window, names, wanted, now):
    scenes = kept_by(window.scenes(60, now, names), wanted)
    return Counter({(f, t.values[0]): t.packets for f in FIELDS for t in top(scenes, [f])})


steps = st.lists(
    st.tuples(
        st.lists(st.integers(1, 3), max_size=4),
        st.sampled_from([1, 2, 3]),
        st.sampled_from(["", "verdict:drop", "port:2"]),
        st.sampled_from([1, 1, 1, 30, 90]),
    ),
    max_size=12,
)


@given(steps)
def test_each_batch_once_is_as_good_as_all_anew(given_steps):
    window, facets, names, now = Window(records=20), Facets(FIELDS), Names([PORT]), 100 * S
    for ports, verdict, text, seconds in given_steps:
        now += seconds * S
        window.add("a", now, batch(ports, verdict))
        wanted = read_filter(text)
        facets.over(window.batches(60, now), names, wanted)
        assert facets.every() == anew(window, names, wanted, now)


def test_another_name_is_counted_anew():
    window, facets, now = Window(), Facets(("vm",)), S
    window.add("a", now, batch([80], 1))
    for names, name in ((Names([]), ""), (Names([PORT]), "web-1")):
        facets.over(window.batches(60, now), names, read_filter(""))
        assert facets.every() == {("vm", name): 3}


@given(st.lists(st.tuples(st.integers(0, 30).map(lambda n: str(n) if n else ""), st.integers(1, 3)), max_size=40))
def test_the_commonest_are_those_of_the_whole_list(seen):
    counts, plain = Counts(), Counter()
    for value, frames in seen:
        counts.add(counts.number([value]), np.array([frames]))
        plain[value] += frames
    ranked = sorted(((value, frames) for value, frames in plain.items() if value), key=lambda each: (-each[1], each[0]))
    assert counts.commonest(6) == ranked[:6] and counts.every() == plain


def test_a_batch_larger_than_what_is_looked_at_at_once_counts_whole():
    window, facets = Window(), Facets(("dst.port",))
    ports = [n % 5000 + 1 for n in range(10_000)]
    window.add("a", S, batch(ports, 1))
    facets.over(window.batches(60, S), Names([PORT]), read_filter(""))
    assert facets.every() == Counter({("dst.port", str(port)): 6 for port in set(ports)})
    facets.over([], Names([]), read_filter(""))
    assert facets.every() == {}


def test_rules_have_the_names_their_node_gave_them():
    store, made = FlowStore(), batch([80], 2)
    made["rule"] = 7
    store.add(Batch("a", S, made, (PORT,)))
    assert [row["rule"] for row in store.recent(5)] == ["7"]
    store.add(Batch("a", 2 * S, made, (PORT,), rules={7: "default/NetworkPolicy/vms/web ingress[0]"}))
    assert [row["rule"] for row in store.recent(5, read_filter("rule:*vms/web*"))] == [
        "default/NetworkPolicy/vms/web ingress[0]"
    ]
    node = Scene(made, "a", Names([PORT]), partial=True)
    assert read_filter("rule:*vms/web*").mask(node).all(), "a node, which knows numbers only, leaves nothing out"
    assert read_filter("!rule:*vms/web*").mask(node).all()
