"""Flow lines and VM rows made one by one are what making all of them gives; 100,000 flows do not stop the view."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bascule.flows.ledger import Ledger
from bascule.flows.names import Names, PortId
from bascule.flows.record import RECORD
from bascule.flows.rows import row, rows
from bascule.flows.store import Batch, FlowStore
from bascule_console.screens.live.columns import flow_columns
from bascule_console.store.flows import Flows
from bascule_console.store.store import Store
from bascule_console.store.topics import Topics
from bascule_console.store.vms import vm_rows
from bascule_console.widgets.filtering import parse_filter
from bascule_console.widgets.glyphs import UNICODE
from bascule_console.widgets.rowview import RowView, Sort

NAMES = Names([PortId("node1", 7, "web-1", "vms", "net-0", "dc1", 110, "52:54:00:00:6e:01", "10.110.0.11")], [])


@given(st.lists(st.binary(min_size=88, max_size=88), min_size=1, max_size=4))
def test_one_row_is_the_row_among_many(raws: list[bytes]) -> None:
    assert [row(raw, "node1", NAMES) for raw in raws] == rows(np.frombuffer(b"".join(raws), RECORD), "node1", NAMES)


def batch(numbers: Any, packets: int = 1) -> Batch:
    records = np.zeros(len(numbers), RECORD)
    records["ifindex"], records["proto"], records["ethertype"], records["verdict"] = 7, 6, 0x0800, 1
    records["src_port"], records["rule"] = np.asarray(numbers) % 60_000, numbers
    records["packets"], records["bytes"], records["first"], records["last"] = packets, packets * 98, 1, 2
    return Batch("node1", 10**18, records, (), Ledger(1, 1, {}))


def test_a_line_keeps_what_it_was_and_tells_the_same_as_its_row() -> None:
    flows = Flows(Topics())
    flows.add(batch([1, 2]))
    (key, before), *_ = flows.rows().items()
    flows.add(batch([1], packets=5))
    after = flows.rows()[key]
    assert (before.row["packets"], after.row["packets"]) == (1, 6)
    assert (after.packets, after.octets, after.last_ns) == (after.row["packets"], after.row["bytes"], 2)
    assert flows.rows()[key] is after


def rules(flows: Flows) -> set[str]:
    return {line.row["rule"] for line in flows.rows().values()}


def test_a_slot_that_is_used_again_is_another_flow() -> None:
    flows = Flows(Topics(), capacity=10)
    flows.add(batch(range(10)))
    first = set(flows.rows())
    flows.add(batch(range(100, 110)))
    second = flows.rows()
    assert second and not first & set(second)
    assert rules(flows) <= {str(n) for n in range(100, 110)}
    flows.add(batch(range(10)))  # back again, and without a look in between
    flows.add(batch(range(200, 210)))
    assert rules(flows) == {row["rule"] for row in flows._store.recent(100)} <= {str(n) for n in range(200, 210)}


def test_raw_is_what_rows_are_made_of() -> None:
    store = FlowStore()
    store.add(batch(range(5)))
    ids = store.changed(-1)
    assert [row(raw, node, store.names) for node, raw in store.raw(ids)] == store.rows(ids)


def test_a_large_view_judges_in_slices_and_ends_with_everything() -> None:
    flows = Flows(Topics())
    flows.add(batch(range(60_000)))
    now = [0.0]
    view = RowView(flows, flow_columns(UNICODE), lambda: now[0])
    view.update()
    view.set_filter(parse_filter(":7$|tcp"))
    view.set_sort(Sort("bytes", reverse=True))
    rounds = 0
    while view.owes:
        now[0] += 1.0
        view.update()
        rounds += 1
        assert rounds < 1000
    assert len(view) == 60_000
    flows.add(batch([5], packets=9))
    now[0] += 1.0
    view.update()
    first = view.row(0)
    assert first is not None and first.packets == 10 and rounds > 0


@given(st.lists(st.tuples(st.integers(0, 11), st.sampled_from(["run", "stop", "drop", "move", "end"])), max_size=20))
def test_vm_rows_made_one_by_one_are_those_made_at_once(steps: list[tuple[int, str]]) -> None:
    from bascule_console.store.vms import MIGRATIONS, VMIS, VMS

    store = Store()
    for number, what in steps:
        meta = {"name": f"vm-{number}", "namespace": "vms"}
        key = f"vms/vm-{number}"
        if what == "run":
            store.inventory.put(VMS, {"metadata": meta, "spec": {}})
            store.inventory.put(VMIS, {"metadata": meta, "status": {"phase": "Running", "nodeName": f"n{number}"}})
        elif what == "stop":
            store.inventory.remove(VMIS, key)
        elif what == "drop":
            store.inventory.remove(VMS, key)
        else:
            phase = "Running" if what == "move" else "Succeeded"
            spec = {"vmiName": f"vm-{number}", "addedNodeSelector": {"kubernetes.io/hostname": "n9"}}
            store.inventory.put(MIGRATIONS, {"metadata": meta, "spec": spec, "status": {"phase": phase}})
        assert list(store.vms.rows().values()) == vm_rows(store.inventory)
