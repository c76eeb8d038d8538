"""Address rows: an address's life from what API objects, agents, flows and probes tell, and its conflicts. Pure."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule_console.store.addresses import AddressBook, Answer, life, searchable
from bascule_console.store.reserved import Plan
from bascule_console.store.sightings import Sightings

WEB_1 = ("dc1", 110, "10.110.0.11")


def network(**more: Any) -> dict[str, Any]:
    vlans = [
        {
            "vlan": {"id": vid},
            "subnets": [
                {
                    "cidr": f"10.{vid}.0.0/24",
                    "routes": [{"destination": "0.0.0.0/0", "action": {"nextHop": f"10.{vid}.0.1"}}],
                }
            ],
        }
        for vid in (100, 110, 120)
    ]
    return {"metadata": {"name": "dc1"}, "spec": {"l2Bridge": {"vlans": vlans, **more}}}


def pool(vlan: int) -> dict[str, Any]:
    return {
        "metadata": {"name": f"dc1-vlan-{vlan}"},
        "spec": {"cidr": f"10.{vlan}.0.0/24", "allowedUses": ["L2Workload"]},
    }


def port(name: str, ip: str, mac: str, **more: Any) -> dict[str, Any]:
    found = {"vm": name, "namespace": "vms", "nic": "net-0", "network": "dc1", "vlan": 110, "mac": mac, "ip": ip}
    return {**found, "state": "live", **more}


@pytest.fixture
def planned(scene: Any) -> Any:
    """Two VMs on VLAN 110 with Network and pools."""
    scene.cluster(vms=0)
    scene.run("web-1", "node1")
    scene.run("web-2", "node2")
    scene.store.inventory.put("networks", network())
    for vlan in (100, 110, 120):
        scene.store.inventory.put("ippools", pool(vlan))
    return scene


def rows(scene: Any) -> dict[Any, Any]:
    store = scene.store
    return AddressBook(store.inventory).rows(store.reports.documents, store.sightings, store.answers)


def test_an_address_in_use_tells_its_life(planned: Any) -> None:
    mac = "52:54:00:00:6e:01"
    planned.store.reports.put([{"name": "node1", "ports": [port("web-1", "10.110.0.11", mac)]}], {})
    planned.send("node1", planned.record(20, "web-1", "web-2", packets=3))
    planned.store.keep_answer(WEB_1, Answer("gateway", 3, 3, 0.41, "2026-11-23T12:00:00Z"))
    row = rows(planned)[WEB_1]
    assert (row["state"], row["conflicts"], row["pool"], row["answering"]) == ("in use", [], "dc1-vlan-110", True)
    assert [claim["by"] for claim in row["claims"]] == ["asked", "held", "port"]
    assert [(entry["mac"], entry["node"]) for entry in row["seen"]] == [(mac, "node1")]
    stages = [stage for stage, _ in life(row)]
    assert stages == ["planned", "asked", "held", "port", "seen", "answers"]
    assert "3 of 3 from gateway, quickest 0.4 ms" in dict(life(row))["answers"]
    json.dumps(row)


def test_a_gateway_is_reserved_and_nobody_was_asked(planned: Any) -> None:
    row = rows(planned)["dc1", 110, "10.110.0.1"]
    assert (row["state"], row["reserved"], row["answering"], row["vm"]) == ("reserved", "next hop", None, "")


def add_vm(scene: Any, like: str, name: str, **nic: Any) -> None:
    vm = json.loads(json.dumps(scene.store.inventory.get("virtualmachines", f"vms/{like}")))
    vm["metadata"]["name"] = name
    template = vm["spec"]["template"]
    if "ip" in nic:
        template["metadata"]["annotations"]["cni.projectcalico.org/net-0.ipAddrs"] = json.dumps([nic["ip"]])
    if "mac" in nic:
        template["spec"]["domain"]["devices"]["interfaces"][0]["macAddress"] = nic["mac"]
    if "nad" in nic:
        template["spec"]["networks"][0]["multus"]["networkName"] = nic["nad"]
    scene.store.inventory.put("virtualmachines", vm)


@pytest.mark.parametrize(
    ("change", "place", "words"),
    [
        ({"mac": "52:54:00:00:00:77"}, WEB_1, "claimed by vms/twin and vms/web-1"),
        ({"ip": "10.110.0.77"}, WEB_1, "MAC 52:54:00:00:6e:01 is used by vms/twin and vms/web-1"),
        ({"ip": "10.110.0.1", "mac": ""}, ("dc1", 110, "10.110.0.1"), "claims a reserved address (next hop)"),
        ({"ip": "10.110.0.255", "mac": ""}, ("dc1", 110, "10.110.0.255"), "reserved address (broadcast address)"),
        ({"ip": "10.99.0.9", "mac": ""}, ("dc1", 110, "10.99.0.9"), "in no L2 pool"),
        ({"ip": "10.120.0.9", "mac": ""}, ("dc1", 110, "10.120.0.9"), "outside the subnets of VLAN 110 of dc1"),
        ({"nad": "vms/vlan-120", "mac": ""}, WEB_1, "on several VLANs"),
    ],
)
def test_conflicts_of_claims(planned: Any, change: dict[str, Any], place: Any, words: str) -> None:
    add_vm(planned, "web-1", "twin", **change)
    row = rows(planned)[place]
    assert row["state"] == "conflict"
    assert words in "; ".join(row["conflicts"])


def test_what_was_asked_for_is_not_what_was_given(planned: Any) -> None:
    vmi = json.loads(json.dumps(planned.store.inventory.get("virtualmachineinstances", "vms/web-1")))
    vmi["status"]["interfaces"][0]["ipAddress"] = "10.110.0.99"
    planned.store.inventory.put("virtualmachineinstances", vmi)
    assert rows(planned)[WEB_1]["conflicts"] == ["vms/web-1 asks for it but has 10.110.0.99"]


def test_a_stranger_on_the_wire_is_a_conflict(planned: Any) -> None:
    """The same address with another MAC, seen as it arrives at a neighbour's port."""
    stranger = planned.record(21, "web-1", "web-2", packets=2, direction=0)
    stranger["src_mac"] = [2, 0, 0, 0, 0, 9]
    planned.send("node2", stranger)
    assert rows(planned)[WEB_1]["conflicts"] == ["02:00:00:00:00:09 uses it too, seen at node2"]


def test_a_spoof_that_was_dropped_is_no_sighting(planned: Any) -> None:
    spoof = planned.record(21, "web-1", "web-2", packets=2, verdict=3, reason=2)
    planned.send("node2", spoof)
    assert rows(planned)[WEB_1]["seen"] == []


def test_an_unclaimed_address_that_is_seen_is_a_stranger(planned: Any) -> None:
    other = planned.record(21, "web-1", "web-2", packets=2, direction=0)
    other["src_ip"] = [10, 110, 0, 200]
    far = planned.record(21, "web-1", "web-2", packets=2, direction=0)
    far["src_ip"] = [198, 51, 100, 10]
    planned.send("node2", other, far)
    found = rows(planned)
    assert found["dc1", 110, "10.110.0.200"]["state"] == "stranger"
    assert not [place for place in found if place[2].startswith("198.")], "routed addresses are not this VLAN's"


def test_live_on_two_nodes_is_a_conflict_unless_it_moves(planned: Any) -> None:
    ports = [port("web-1", "10.110.0.11", "52:54:00:00:6e:01")]
    planned.store.reports.put([{"name": name, "ports": ports} for name in ("node1", "node2")], {})
    assert rows(planned)[WEB_1]["conflicts"] == ["live on node1 and node2 at once, and no migration runs"]
    vmim = {"metadata": {"name": "m", "namespace": "vms"}, "spec": {"vmiName": "web-1"}, "status": {"phase": "Running"}}
    planned.store.inventory.put("virtualmachineinstancemigrations", vmim)
    assert (rows(planned)[WEB_1]["state"], rows(planned)[WEB_1]["conflicts"]) == ("moving", [])


def test_a_stopped_vm_whose_address_answers_is_in_use_elsewhere(planned: Any) -> None:
    planned.store.inventory.remove("virtualmachineinstances", "vms/web-1")
    assert rows(planned)[WEB_1]["state"] == "asked"
    planned.store.keep_answer(WEB_1, Answer("gateway", 3, 3, 0.4, ""))
    assert "something answers, but vms/web-1 does not run" in rows(planned)[WEB_1]["conflicts"][0]
    planned.store.keep_answer(WEB_1, Answer("gateway", 3, 0, None, ""))
    assert rows(planned)[WEB_1]["conflicts"] == []


def test_nothing_is_known_is_said_not_guessed(planned: Any) -> None:
    for vlan in (100, 110, 120):
        planned.store.inventory.remove("ippools", f"dc1-vlan-{vlan}")
    planned.store.keep_answer(WEB_1, Answer("", error="no agent"))
    row = rows(planned)[WEB_1]
    assert (row["pool"], row["answering"], row["conflicts"]) == (None, None, [])
    assert "could not be asked: no agent" in dict(life(row))["answers"]


def test_a_reservation_is_named(planned: Any) -> None:
    reservation = {"metadata": {"name": "printers"}, "spec": {"reservedCIDRs": ["10.110.0.8/29", "10.110.0.200"]}}
    planned.store.inventory.put("ipreservations", reservation)
    plan = Plan(planned.store.inventory)
    assert plan.reserved("dc1", 110, "10.110.0.200") == "IPReservation printers"
    assert "IPReservation printers" in rows(planned)[WEB_1]["conflicts"][0]


@given(st.integers(0, 255))
def test_reserved_is_exactly_edges_and_next_hop(last: int) -> None:
    from bascule_console.store.inventory import Inventory
    from bascule_console.store.topics import Topics

    inventory = Inventory(Topics())
    inventory.put("networks", network())
    ip = f"10.110.0.{last}"
    expected = {0: "network address", 1: "next hop", 255: "broadcast address"}.get(last, "")
    assert Plan(inventory).reserved("dc1", 110, ip) == expected
    assert Plan(inventory).inside("dc1", 110, ip) and not Plan(inventory).inside("dc1", 120, ip)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([20, 21]),
            st.booleans(),
            st.integers(1, 3),
            st.integers(1, 2),
            st.integers(10, 12),
            st.integers(1, 9),
        ),
        max_size=30,
    )
)
def test_sightings_are_what_a_plain_loop_finds(frames: list[tuple[int, bool, int, int, int, int]]) -> None:
    from bascule.flows.names import PortId
    from bascule.flows.record import RECORD
    from bascule.flows.store import Batch

    records = np.zeros(len(frames), RECORD)
    expected: dict[tuple[str, str], int] = {}
    for at, (ifindex, egress, verdict, mac, ip, last) in enumerate(frames):
        one = records[at]
        one["ifindex"], one["direction"], one["verdict"], one["ethertype"] = ifindex, egress, verdict, 0x0800
        one["src_mac"], one["src_ip"], one["last"] = [2, 0, 0, 0, 0, mac], [10, 110, 0, ip], last
        if ifindex == 20 and (not egress or verdict == 1):  # the other port is not named: it has no segment
            key = (f"10.110.0.{ip}", f"02:00:00:00:00:0{mac}")
            expected[key] = max(expected.get(key, 0), last)
    sightings = Sightings()
    sightings.add(Batch("node1", 1, records, (PortId("node1", 20, "web-1", "vms", "net-0", "dc1", 110),)))
    found = {(p[2], s.mac): s.at_ns for p in sightings.places() for s in sightings.of(*p)}
    assert found == expected


def test_rows_are_in_the_order_of_vlan_and_number(planned: Any) -> None:
    for number in (9, 100, 20):
        add_vm(planned, "web-1", f"n{number}", ip=f"10.110.0.{number}", mac="")
    order = [place for place in rows(planned) if place[1] == 110]
    assert order == sorted(order, key=lambda place: IPv4Address(place[2]))
    assert all("web-1" not in searchable(row) or row["vm"] == "web-1" for row in rows(planned).values())


def repr_short(text: str) -> str:
    return text[:12] or "empty"


@pytest.mark.parametrize("text", ["", "[", "[1]", '{"a": 1}', '["x"]', '["10.110.0.300"]', "[" * 5000], ids=repr_short)
def test_broken_annotations_do_no_harm(planned: Any, text: str) -> None:
    vm = json.loads(json.dumps(planned.store.inventory.get("virtualmachines", "vms/web-1")))
    vm["spec"]["template"]["metadata"]["annotations"]["cni.projectcalico.org/net-0.ipAddrs"] = text
    planned.store.inventory.put("virtualmachines", vm)
    assert rows(planned)[WEB_1]["vm"] == "web-1"
