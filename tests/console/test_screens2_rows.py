"""Phases by a VMIM's own times, a VM's NICs and when they take effect, node documents, kernel abilities. Pure."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.lint import lint
from bascule.resources.kubevirt import VirtualMachine
from bascule_console.screens.nodes.columns import links_of, ranges
from bascule_console.services.phases import PhaseReader, PhaseSeen
from bascule_console.store.kernel import abilities
from bascule_console.store.movebook import RECORDS_KEPT, MoveBook
from bascule_console.store.nics import NewNic, free_name, nic_rows, stable_mac, takes_effect, with_nic
from bascule_console.store.nodereports import node_documents
from bascule_console.store.topics import MOVES, Topics

NAMES = ("Pending", "Scheduling", "Scheduled", "Running", "Succeeded")


def vmim(*phases: tuple[str, str], phase: str = "") -> dict[str, Any]:
    stamps = [{"phase": name, "phaseTransitionTimestamp": at} for name, at in phases]
    return {"status": {"phase": phase or (phases[-1][0] if phases else ""), "phaseTransitionTimestamps": stamps}}


def test_phases_that_coalesced_keep_their_own_times() -> None:
    """One watch event with five phases: five times, none of them the arrival's."""
    stamps = [(name, f"2026-11-23T12:00:0{at}.{at}00000Z") for at, name in enumerate(NAMES)]
    found = PhaseReader().read(vmim(*stamps), arrived=9.0)
    assert [(s.phase, round(s.seconds, 1)) for s in found] == [(n, round(at * 1.1, 1)) for at, n in enumerate(NAMES)]
    assert all(seen.own and seen.exact for seen in found)


def test_each_phase_is_told_once_and_failures_say_why() -> None:
    reader, first = PhaseReader(), ("Pending", "2026-11-23T12:00:00Z")
    assert [seen.phase for seen in reader.read(vmim(first), 0.1)] == ["Pending"]
    assert reader.read(vmim(first), 0.2) == []
    failed = vmim(first, ("Failed", "2026-11-23T12:00:04Z"))
    failed["status"]["migrationState"] = {"failureReason": "no room"}
    (seen,) = reader.read(failed, 7.0)
    assert (seen.phase, seen.detail, seen.after, seen.exact) == ("Failed", "no room", "~4 s", False)


@pytest.mark.parametrize("at", ["", "yesterday", "2026-11-23T12:00:00"])
def test_without_a_time_the_arrival_stands_in_and_says_so(at: str) -> None:
    (seen,) = PhaseReader().read(vmim(("Running", at)), 1.5)
    assert (seen.seconds, seen.own, seen.after) == (1.5, False, "1.50 s (seen)")


def test_a_phase_without_timestamps_is_told() -> None:
    assert PhaseReader().read({}, 0.5) == [PhaseSeen("Pending", 0.5, own=False)]


@given(st.lists(st.sampled_from(NAMES), unique=True), st.integers(0, 5))
def test_what_is_told_does_not_depend_on_how_the_watch_cuts_it(order: list[str], cut: int) -> None:
    stamps = [(name, f"2026-11-23T12:00:0{at}.5Z") for at, name in enumerate(order)]
    whole, parts = PhaseReader(), PhaseReader()
    at_once = whole.read(vmim(*stamps), 9.0) if stamps else []
    in_two = [seen for part in (stamps[:cut], stamps) if part for seen in parts.read(vmim(*part), 9.0)]
    assert in_two == at_once


def test_a_new_nic_passes_lint_and_leaves_the_rest_alone(scene: Any) -> None:
    scene.cluster()
    inventory = scene.store.inventory
    document = inventory.get("virtualmachines", "vms/web-1")
    before = copy.deepcopy(document)
    name = free_name(VirtualMachine.of(document).nics)
    changed = with_nic(document, NewNic(name, "vms/vlan-120", stable_mac("vms/web-1", name), "10.120.0.50"))
    assert document == before and name == "net-1"
    old, new = VirtualMachine.of(document), VirtualMachine.of(changed)
    assert new.nics[:1] == old.nics and new.nics[1].nad == "vms/vlan-120" and new.nics[1].binding == "bridge"
    assert json.loads(new.template.annotations["cni.projectcalico.org/net-1.ipAddrs"]) == ["10.120.0.50"]
    vm = {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", **changed}
    nads = [
        {"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition", **nad}
        for nad in inventory.all("network-attachment-definitions")
    ]
    assert [f.id for f in lint([vm], nads) if f.object.startswith("VirtualMachine") and f.severity == "error"] == []


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_made_mac_is_unicast_local_and_stable(vm: str, nic: str) -> None:
    mac = stable_mac(vm, nic)
    assert mac == stable_mac(vm, nic) and len(mac) == 17
    assert int(mac[:2], 16) & 3 == 2


def test_when_a_nic_takes_effect(scene: Any) -> None:
    scene.cluster()
    inventory = scene.store.inventory
    document = with_nic(
        inventory.get("virtualmachines", "vms/web-1"), NewNic("net-1", "vms/vlan-120", "02:00:00:00:00:01")
    )
    inventory.put("virtualmachines", document)

    def effect() -> str:
        return str(nic_rows(inventory, "vms/web-1")[1]["effect"])

    assert nic_rows(inventory, "vms/web-1")[0]["effect"] == "in effect"
    assert effect() == "after a restart"
    required = [{"type": "RestartRequired", "status": "True", "message": "a non-live-updatable field was changed"}]
    inventory.put("virtualmachines", {**document, "status": {"conditions": required}})
    assert effect() == "after a restart: a non-live-updatable field was changed"
    inventory.put("virtualmachines", document)
    vmi = copy.deepcopy(inventory.get("virtualmachineinstances", "vms/web-1"))
    vmi["spec"] = copy.deepcopy(document["spec"]["template"]["spec"])
    inventory.put("virtualmachineinstances", vmi)
    assert effect() == "by hotplug, which is under way"
    vmi = copy.deepcopy(vmi)
    vmi["status"]["conditions"].append({"type": "MigrationRequired", "status": "True"})
    inventory.put("virtualmachineinstances", vmi)
    assert effect() == "by hotplug, at the next live migration"
    inventory.remove("virtualmachineinstances", "vms/web-1")
    assert effect() == "at the next start"
    assert takes_effect(VirtualMachine.of(document), None, "net-1") == "at the next start"
    assert nic_rows(inventory, "vms/gone") == []


@pytest.mark.parametrize(
    ("release", "has"),
    [
        ("6.18.2-lab", [True] * 4),
        ("6.1.0-28-amd64", [True, True, True, False]),
        ("5.4", [False] * 4),
        ("?", [None] * 4),
    ],
)
def test_kernel_abilities(release: str, has: list[bool | None]) -> None:
    assert [ability for _, ability, _ in abilities(release)] == has


def test_a_node_without_agent_says_why(scene: Any) -> None:
    scene.cluster(nodes=2)
    inventory, reports = scene.store.inventory, scene.store.reports
    inventory.put("nodes", scene.node(3, agent=False))
    assert node_documents(inventory, reports)["node1"]["silent"] == "no answer yet"
    report = {"name": "node1", "agent": {"version": "1", "mode": "observe", "seen": ""}, "trunk": None}
    reports.put([{**report, "bridges": [], "ports": []}], {"node2": "it does not answer"})
    found = node_documents(inventory, reports)
    assert [found[f"node{n}"]["silent"] for n in (1, 2, 3)] == [
        "",
        "it does not answer",
        "no agent: its Node has no annotation bascule.dev/agent",
    ]
    assert found["node3"]["agent"] is None and found["node3"]["ready"]


def test_vlan_ranges_and_links() -> None:
    assert ranges([]) == "" and ranges([5]) == "5" and ranges([110, 100, 111, 112, 4094]) == "100,110-112,4094"
    bridge = {"name": "bsb-x", "network": "dc1", "vlan": 110, "up": False, "ports": ["a", "b"]}
    trunk = {"name": "trunk0", "carrier": True, "mtu": 9000, "vlans": [100, 110], "native": 100}
    first, second = links_of({"trunk": trunk, "bridges": [bridge]})
    assert (first["kind"], first["vlans"], second["members"], second["up"]) == (
        "trunk",
        "100,110 native 100",
        "a b",
        False,
    )
    assert links_of({"trunk": None, "bridges": []}) == []


def test_the_move_book_keeps_every_row_and_the_newest_records(scene: Any) -> None:
    topics = Topics()
    book = MoveBook(topics)
    for at in range(RECORDS_KEPT + 5):
        record = scene.move_record(f"u{at}").to_json()
        book.keep(f"u{at}", {**record, "started": f"2026-11-23T12:{at // 60:02}:{at % 60:02}Z"})
    rows = book.rows([{"metadata": {"name": "m", "uid": "other"}}, {"metadata": {"name": "m", "uid": "u7"}}])
    assert len(rows) == RECORDS_KEPT + 6 and topics.version(MOVES) == RECORDS_KEPT + 5
    assert book.record("u0") is None and book.record(f"u{RECORDS_KEPT + 4}") is not None
    assert [row["migration_uid"] for row in rows if row["verdict"] is None] == ["other"]


KINDS = {
    "vm": "virtualmachines",
    "vmi": "virtualmachineinstances",
    "nad": "network-attachment-definitions",
    "move": "virtualmachineinstancemigrations",
    "node": "nodes",
}
STEPS = st.tuples(
    st.sampled_from([*KINDS]), st.sampled_from(["web-1", "web-2"]), st.sampled_from(["", "node1", "node2"])
)


def one_of(what: str, name: str, value: str) -> dict[str, Any]:
    """An object of the kind `what`, about VM `name`, different for another `value`."""
    meta = {"name": "vlan-110" if what == "nad" else name, "namespace": "vms"}
    networks = [{"name": "net-0", "multus": {"networkName": "vms/vlan-110"}}]
    bodies: dict[str, dict[str, Any]] = {
        "vm": {"spec": {"template": {"spec": {"networks": networks}}}, "status": {"printableStatus": value}},
        "vmi": {"status": {"nodeName": value}},
        "nad": {"spec": {"config": json.dumps({"network": value, "vlan": 110})}},
        "move": {"spec": {"vmiName": name}, "status": {"phase": value}},
        "node": {},
    }
    return {"metadata": meta, **bodies[what]}


@given(st.lists(STEPS, max_size=25))
def test_the_vm_table_is_what_making_every_row_anew_gives(steps: list[tuple[str, str, str]]) -> None:
    from bascule_console.store.inventory import object_key
    from bascule_console.store.store import Store
    from bascule_console.store.vms import vm_rows

    store = Store()
    for what, name, value in steps:
        made = one_of(what, name, value)
        if value:
            store.inventory.put(KINDS[what], made)
        else:
            store.inventory.remove(KINDS[what], object_key(made))
        assert list(store.vms.rows().values()) == vm_rows(store.inventory)


async def test_many_addresses_are_made_beside_the_screen(scene: Any) -> None:
    from bascule_console.screens.addresses.source import AddressSource

    scene.cluster()
    here, beside = AddressSource(scene.store), AddressSource(scene.store)
    here.refresh()
    await beside.refresh_beside()
    assert beside.rows() == here.rows() and len(here.rows()) == 12
    version = beside.version
    await beside.refresh_beside()
    assert beside.version == version, "nothing changed, nothing is made"
    assert not here.many
