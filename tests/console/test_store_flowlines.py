"""Lines that are made when somebody looks against rows made of everything, while flows come, fall silent and leave."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.flows.ledger import Ledger
from bascule.flows.names import PortId
from bascule.flows.record import RECORD
from bascule.flows.store import Batch
from bascule_console.screens.live.columns import flow_columns
from bascule_console.store.flows import Flows
from bascule_console.store.lazyrows import held, some_of, stamps_of
from bascule_console.store.topics import Topics
from bascule_console.widgets.filtering import parse_filter
from bascule_console.widgets.glyphs import UNICODE
from bascule_console.widgets.rowview import RowView, Sort

S = 10**9
steps = st.lists(
    st.tuples(
        st.sampled_from(["batch", "batch", "batch", "named", "decay", "forget"]),
        st.sampled_from(["a", "b"]),
        st.lists(st.integers(1, 12), max_size=6, unique=True),
    ),
    max_size=10,
)


def batch(node: str, time_s: int, ports: list[int], vm: str) -> Batch:
    records = np.zeros(len(ports), RECORD)
    records["ifindex"], records["proto"], records["ethertype"], records["verdict"] = 7, 6, 0x0800, 1
    records["src_port"], records["packets"], records["bytes"] = ports, 2, 98
    records["first"] = records["last"] = time_s * S
    return Batch(node, time_s * S, records, (PortId(node, 7, vm=vm),), Ledger(1, 1, {}))


def shown(rows: Any) -> list[tuple[Any, ...]]:
    return [(key, line.row, line.packet_rate, line.byte_rate) for key, line in rows.items()]


@settings(max_examples=25, deadline=None)
@given(steps)
def test_lines_are_the_stores_rows_and_stamps_tell_what_changed(given_steps: list[tuple[str, str, list[int]]]) -> None:
    flows, now, before, kept = Flows(Topics(), capacity=15), 100, dict[Any, tuple[Any, Any]](), dict[Any, Any]()
    for what, node, ports in given_steps:
        now += 1
        frozen = held(flows.rows())
        then = shown(frozen)
        if what == "decay":
            flows.decay((now + 5) * S)
        elif what == "forget":
            flows.forget_node(node)
        else:
            flows.add(batch(node, now, ports, "web" if what == "named" else node))
        rows, store = flows.rows(), flows._store
        assert [line.row for line in rows.values()] == store.rows([line.slot for line in rows.values()])
        assert len(rows) == len(store) and all(key in rows for key in rows)
        assert [line.row for line in some_of(rows, [*rows])] == [line.row for line in rows.values()]
        stamps = dict(stamps_of(rows))
        for key, line in rows.items():
            facts = (line.row, line.packet_rate, line.byte_rate)
            if key in before and before[key][0] is stamps[key]:
                assert before[key][1] == facts and kept[key] is line
        before = {key: (stamps[key], (each.row, each.packet_rate, each.byte_rate)) for key, each in rows.items()}
        kept = dict(rows.items())
        assert shown(frozen) == then, "what is held does not change"


def test_a_rate_stays_as_its_batch_left_it_until_it_decays() -> None:
    flows = Flows(Topics())
    flows.add(batch("a", 100, [1, 2], "web"))
    first = [line.byte_rate for line in flows.rows().values()]
    flows.decay(103 * S)
    second = [line.byte_rate for line in flows.rows().values()]
    flows.add(batch("a", 104, [2], "web"))
    one, two = (line.byte_rate for line in flows.rows().values())
    assert first[0] > second[0] == one > 0 and two > second[1]
    flows.decay(200 * S)
    assert [line.byte_rate for line in flows.rows().values()] == [0.0, 0.0]


def test_a_frozen_view_keeps_its_rows_its_order_and_its_filter() -> None:
    flows, now = Flows(Topics()), [0.0]
    flows.add(batch("a", 100, [1, 2, 3], "web"))
    view = RowView(flows, flow_columns(UNICODE), lambda: now[0])
    view.update()
    view.set_sort(Sort("bytes", reverse=True))
    view.freeze(True)
    view.update()
    flows.add(batch("a", 101, [3, 4], "web"))
    view.set_filter(parse_filter(":3|:2"))
    lines = [view.row(at) for at in range(len(view))]
    assert {line.row["src"]["port"]: line.packets for line in lines if line} == {2: 2, 3: 2} and view.newer() == 2
    view.freeze(False)
    view.update()
    assert {line.row["src"]["port"]: line.packets for at in range(len(view)) if (line := view.row(at))} == {2: 2, 3: 4}
