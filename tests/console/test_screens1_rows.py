"""Rows of Networks, NADs and IPPools, the overview, and the Network form: pure, on documents good and bad."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bascule.flows.ledger import Ledger
from bascule.lint import Finding, lint
from bascule_console.services.networkform import NetworkForm, field_of, from_network, to_network
from bascule_console.store.attachments import nad_rows
from bascule_console.store.attention import attention
from bascule_console.store.derived import Derived, PerObject
from bascule_console.store.inventory import Inventory
from bascule_console.store.networks import NetworksSeen, ranges
from bascule_console.store.overview import overview
from bascule_console.store.pools import AddressesHeld, pool_rows
from bascule_console.store.topics import INVENTORY, Topics
from bascule_console.store.workloads import Workloads, WorkloadsSeen

Obj = dict[str, Any]
junk = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
octet = st.integers(1, 254)
ids = st.lists(st.integers(1, 4094), min_size=1, max_size=5, unique=True)


def inventory(**kinds: list[Obj]) -> Inventory:
    found = Inventory(Topics())
    for kind, objects in kinds.items():
        for obj in objects:
            found.put(kind.replace("_", "-"), obj)
        found.mark_synced(kind.replace("_", "-"))
    return found


def network(name: str, *vlans: int) -> Obj:
    entries = [{"vlan": {"id": vlan}, "subnets": [{"cidr": f"10.{vlan % 256}.0.0/24"}]} for vlan in vlans]
    return {"kind": "Network", "metadata": {"name": name}, "spec": {"l2Bridge": {"vlans": entries}}}


def nad(name: str, config: Any) -> Obj:
    return {"metadata": {"name": name, "namespace": "vms"}, "spec": {"config": config}}


@given(ids, st.booleans())
def test_a_form_comes_back_as_it_was_typed(vlans: list[int], routed: bool) -> None:
    lines = [f"{vid} 10.{vid % 256}.0.0/24" + (f" via 10.{vid % 256}.0.1" if routed else "") for vid in vlans]
    form = NetworkForm("dc1", "bond0", str(vlans[0]), "zone == 'a'", "", "\n".join(lines))
    manifest, mistakes = to_network(form)
    assert mistakes == []
    assert not [found for found in lint([manifest]) if found.severity == "error" and "overlap" not in found.id]
    assert from_network(manifest) == (form, "")


@given(st.text(max_size=60))
def test_whatever_is_typed_is_a_mistake_on_its_line_or_an_entry(typed: str) -> None:
    manifest, mistakes = to_network(NetworkForm("a", "t", "", "", "", typed))
    said = [line for line in typed.splitlines() if line.strip()]
    assert len(manifest["spec"]["l2Bridge"]["vlans"]) == len(said)
    for mistake in mistakes:
        assert mistake.line == 0 if not said else typed.splitlines()[mistake.line - 1].strip() in map(str.strip, said)
    assert mistakes or all(entry for entry in manifest["spec"]["l2Bridge"]["vlans"])


@given(junk)
def test_any_spec_can_be_looked_at_and_what_the_form_cannot_hold_is_named(spec: Any) -> None:
    obj = {"apiVersion": "projectcalico.org/v3", "kind": "Network", "metadata": {"name": "n"}, "spec": spec}
    form, beyond = from_network(obj)
    assert beyond or to_network(form, obj)[0]["spec"] == spec


def test_what_the_form_does_not_know_is_kept_or_named() -> None:
    manifest, _ = to_network(NetworkForm("dc1", "bond0", "", "", "", "10 10.1.0.0/24"))
    manifest["metadata"] |= {"labels": {"a": "b"}, "resourceVersion": "5"}
    form, beyond = from_network(manifest)
    assert not beyond
    again, _ = to_network(form, manifest)
    assert again["metadata"] == {"name": "dc1", "labels": {"a": "b"}}
    manifest["spec"]["l2Bridge"]["vlans"][0]["subnets"].append({"cidr": "10.2.0.0/24"})
    assert from_network(manifest)[1] == "the form cannot say spec.l2Bridge.vlans[0].subnets"


def test_a_finding_stands_at_its_field_and_line() -> None:
    form = NetworkForm("dc1", "bond0", "7", "", "", "10 10.1.0.0/24\n\n4095 10.2.0.0/24")
    manifest, _ = to_network(form)
    places = {finding.id: field_of(finding.field, form) for finding in lint([manifest])}
    assert places["network-vlan-id"] == ("vlans", 3)
    assert places["network-native-vlan"] == ("native", 0)


def test_nads_say_why_they_lead_nowhere() -> None:
    found = inventory(
        networks=[network("dc1", 110)],
        network_attachment_definitions=[
            nad("good", json.dumps({"network": "dc1", "vlan": 110, "ipam": {"ipv4_pools": ["p"]}})),
            nad("gone", json.dumps({"network": "dc7", "vlan": 110})),
            nad("other", json.dumps({"network": "dc1", "vlan": 5})),
            nad("broken", "{"),
            nad("routed", "{}"),
        ],
    )
    problems = {row.name: row.problem for row in nad_rows(found, WorkloadsSeen(found).now()).values()}
    assert problems["good"] == problems["routed"] == ""
    assert problems["gone"] == "there is no Network dc7"
    assert problems["other"] == "dc1 does not carry 5"
    assert problems["broken"].startswith("spec.config: it is not JSON")


def test_a_pool_counts_each_address_once(scene: Any) -> None:
    scene.cluster()
    found = scene.store.inventory
    found.put("networks", network("dc1", 100, 110))
    found.put("ippools", {"metadata": {"name": "p"}, "spec": {"cidr": "10.110.0.0/30"}})
    found.put("ippools", {"metadata": {"name": "q"}, "spec": {"cidr": "10.110.0.0/24", "allowedUses": ["L2Workload"]}})
    found.put("ippools", {"metadata": {"name": "r"}, "spec": {"cidr": "fd00::/64"}})
    rows = pool_rows(found, WorkloadsSeen(found).now(), AddressesHeld(found).now())
    assert [(row.name, row.held, row.size, row.l2) for row in rows.values()] == [
        ("p", 0, 4, False), ("q", 4, 256, True), ("r", 0, None, False)
    ]  # fmt: skip
    assert rows["q"].segments == ("dc1/110",)


def test_the_matrix_counts_running_nics(scene: Any) -> None:
    scene.cluster(vms=3)
    found = scene.store.inventory
    found.put("networks", network("dc1", 100, 110, 120))
    for name in scene.placed:
        vm = found.get("virtualmachines", f"vms/{name}")
        vmi = found.get("virtualmachineinstances", f"vms/{name}")
        found.put("virtualmachineinstances", {**vmi, "spec": vm["spec"]["template"]["spec"]})
    seen = NetworksSeen(found)
    (row,) = seen.rows().values()
    assert row.ready == "no agent" and len(row.attached) == 3
    cells = {(cell.node, cell.vlan): cell.nics for cell in seen.matrix(row)}
    assert sum(cells.values()) == 3 and cells["node1", 110] == 1 and cells["node1", 120] == 0


@given(st.lists(junk, max_size=3), st.lists(junk, max_size=3))
def test_no_document_breaks_the_rows(specs: list[Any], more: list[Any]) -> None:
    objects = [{"metadata": {"name": f"n{at}", "namespace": "x"}, "spec": spec} for at, spec in enumerate(specs + more)]
    found = inventory(
        networks=objects, ippools=objects, network_attachment_definitions=objects, virtualmachines=objects, pods=objects
    )
    workloads = WorkloadsSeen(found).now()
    nad_rows(found, workloads)
    pool_rows(found, workloads, AddressesHeld(found).now())
    NetworksSeen(found).rows()
    overview(found, [], {}, None, None).document()


def test_the_worst_stands_first() -> None:
    findings = tuple(
        Finding(f"f-{severity}", severity, "VirtualMachine/vms/a", "spec", "m", "", "do it")  # type: ignore[arg-type]
        for severity in ("info", "warning", "error")
    )
    found = inventory(nodes=[{"metadata": {"name": "node1"}}], networks=[])
    view = overview(found, [], {}, Ledger(10, 7, {"map-full": 2}), findings)
    lines = attention(view, {"pods": "forbidden"})
    assert [line.severity for line in lines] == ["error"] * 4 + ["warning"] * 2 + ["info"]
    assert {(line.mode, line.key) for line in lines if line.about.startswith("Virtual")} == {("vms", "vms/a")}
    assert any("1 frames unaccounted" in line.message for line in lines)


def test_pods_in_every_form_are_attached_once() -> None:
    nads = [nad("v", json.dumps({"network": "dc1", "vlan": 1}))]
    notes = {
        "json": {"k8s.v1.cni.cncf.io/networks": '[{"name": "v"}]'},
        "short": {"k8s.v1.cni.cncf.io/networks": "other, vms/v@net1"},
        "primary": {"cni.projectcalico.org/networks": '["dc1"]'},
        "free": {"k8s.v1.cni.cncf.io/networks": "elsewhere/v"},
    }
    pods = [{"metadata": {"name": name, "namespace": "vms", "annotations": note}} for name, note in notes.items()]
    attached = Workloads.of(nads, [], [], pods).attached("dc1")
    assert attached == ["Pod vms/json", "Pod vms/primary", "Pod vms/short"]


def test_rows_that_did_not_change_stay_the_same_object() -> None:
    topics, made = Topics(), {"a": [1], "b": [2]}
    source = Derived(topics, (INVENTORY,), lambda: {key: list(row) for key, row in made.items()}, str)
    first = dict(source.rows())
    made["b"] = [3]
    assert source.rows()["b"] is first["b"], "made anew without a change"
    topics.touch(INVENTORY)
    assert source.rows()["a"] is first["a"] and source.rows()["b"] == [3] and source.intake == 3


def test_an_object_is_read_once() -> None:
    read: list[str] = []
    memo = PerObject[Obj, str](lambda obj: read.append(obj["name"]) or obj["name"])  # type: ignore[func-returns-value]
    a, b = {"name": "a"}, {"name": "b"}
    assert memo.of([a, b]) == memo.of([a, b]) == ["a", "b"]
    assert memo.of([a, {"name": "b"}]) == ["a", "b"] and read == ["a", "b", "b"]


def test_ranges() -> None:
    assert (ranges([]), ranges([7]), ranges([1, 2, 3, 9, 11, 12])) == ("", "7", "1-3,9,11-12")
