"""The VMs' rows made in slices: never all at once, and in the end what making them all at once gives."""

from __future__ import annotations

from typing import Any

import pytest

from bascule_console.store import vmtable
from bascule_console.store.store import Store
from bascule_console.store.vms import vm_rows

MANY = 2_000


def put(store: Store, number: int, node: str) -> None:
    meta: dict[str, Any] = {"name": f"vm-{number * 7919 % MANY:04d}", "namespace": f"ns-{number % 3}"}
    store.inventory.put("virtualmachines", {"metadata": meta, "spec": {}})
    status = {"phase": "Running", "nodeName": node}
    store.inventory.put("virtualmachineinstances", {"metadata": meta, "status": status})


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which every slice of time is over at once."""
    monkeypatch.setattr(vmtable, "SLICE_S", 0.0)


def drained(store: Store) -> list[int]:
    """How many rows there are after each call, until the version stands still."""
    sizes = []
    while True:
        before = store.vms.version
        sizes.append(len(store.vms.rows()))
        if store.vms.version == before:
            return sizes


@pytest.mark.usefixtures("slow")
def test_many_rows_come_in_slices_and_end_complete() -> None:
    store = Store()
    for number in range(MANY):
        put(store, number, "node1")
    sizes = drained(store)
    assert len(sizes) == -(-MANY // (vmtable.SLICE_ROWS - 1)) and sizes[0] < vmtable.SLICE_ROWS
    assert sizes == sorted(sizes)
    assert [*store.vms.rows().values()] == vm_rows(store.inventory)
    assert store.vms.intake == MANY


@pytest.mark.usefixtures("slow")
def test_changes_meanwhile_are_not_lost() -> None:
    store = Store()
    for number in range(MANY):
        put(store, number, "node1")
    store.vms.rows()
    put(store, 5, "node2")
    store.vms.rows()
    first = next(iter(store.vms.rows()))
    store.inventory.remove("virtualmachines", str(first))
    drained(store)
    assert [*store.vms.rows().values()] == vm_rows(store.inventory)
    kept = dict(store.vms.rows())
    store.inventory.put("network-attachment-definitions", {"metadata": {"name": "n", "namespace": "ns-1"}, "spec": {}})
    assert len(drained(store)) > 1, "an attachment may change every row"
    assert all(store.vms.rows()[key] is row for key, row in kept.items())


def test_few_rows_come_at_once() -> None:
    store = Store()
    for number in range(12):
        put(store, number, "node1")
    assert len(store.vms.rows()) == 12
