"""The store: VM rows from API objects, flow lines from batches, dirty topics."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bascule_console.services.moves import MoveRefused, check_move, migration
from bascule_console.store.nodes import agent_target
from bascule_console.store.topics import Topics
from bascule_console.store.vms import vm_rows


def rows(scene: Any) -> dict[str, Any]:
    return {row.name: row for row in vm_rows(scene.store.inventory)}


def test_a_row_joins_vm_instance_and_attachment(scene: Any) -> None:
    row = rows(scene.cluster())["web-2"]
    assert (row.node, row.network, row.vlan, row.ip) == ("node1", "dc1", 110, "10.110.0.12")
    assert (row.mac, row.phase, row.ready, row.movable) == ("52:54:00:00:6e:02", "Running", True, True)


def test_a_stopped_vm_still_shows_what_it_will_get(scene: Any) -> None:
    scene.cluster()
    scene.store.inventory.remove("virtualmachineinstances", "vms/web-1")
    row = rows(scene)["web-1"]
    assert (row.phase, row.node, row.ip, row.vlan, row.movable) == ("Stopped", "", "10.110.0.11", 110, False)


@pytest.mark.parametrize("config", ["", "{", "[]", '{"network":"dc1","vlan":"110"}'])
def test_an_unreadable_attachment_has_no_vlan(scene: Any, config: str) -> None:
    scene.cluster()
    broken = {"metadata": {"name": "vlan-110", "namespace": "vms"}, "spec": {"config": config}}
    scene.store.inventory.put("network-attachment-definitions", broken)
    assert rows(scene)["web-1"].vlan is None


def test_a_move_in_flight_and_its_end(scene: Any) -> None:
    scene.cluster()
    vmim = {
        "metadata": {"name": "m", "namespace": "vms"},
        "spec": {"vmiName": "web-1", "addedNodeSelector": {"kubernetes.io/hostname": "node3"}},
        "status": {"phase": "Running"},
    }
    scene.store.inventory.put("virtualmachineinstancemigrations", vmim)
    assert rows(scene)["web-1"].move == "node3 Running"
    with pytest.raises(MoveRefused, match="being moved already"):
        check_move(rows(scene)["web-1"], scene.store.inventory.all("nodes"), "node2")
    scene.store.inventory.put("virtualmachineinstancemigrations", {**vmim, "status": {"phase": "Succeeded"}})
    assert rows(scene)["web-1"].move == ""


def test_a_migration_names_the_node_by_its_hostname(scene: Any) -> None:
    scene.cluster()
    nodes = scene.store.inventory.all("nodes")
    made = migration(rows(scene)["web-1"], check_move(rows(scene)["web-1"], nodes, "node2"))
    assert made["spec"] == {"vmiName": "web-1", "addedNodeSelector": {"kubernetes.io/hostname": "node2"}}
    assert made["metadata"]["namespace"] == "vms"


def test_a_vm_that_is_not_migratable_says_why(scene: Any) -> None:
    scene.cluster()
    instance = dict(scene.store.inventory.get("virtualmachineinstances", "vms/web-1"))
    condition = {"type": "LiveMigratable", "status": "False", "message": "disk is local"}
    instance["status"] = {**instance["status"], "conditions": [condition]}
    scene.store.inventory.put("virtualmachineinstances", instance)
    with pytest.raises(MoveRefused, match="disk is local"):
        check_move(rows(scene)["web-1"], scene.store.inventory.all("nodes"), "node2")


def test_only_changed_vm_rows_are_new_objects(scene: Any) -> None:
    scene.cluster()
    before = dict(scene.store.vms.rows())
    scene.run("web-1", "node2")
    after = scene.store.vms.rows()
    assert [key for key in after if after[key] is not before[key]] == ["vms/web-1"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"target":""}'])
def test_an_annotation_that_says_nothing_is_no_agent(text: str) -> None:
    assert agent_target({"metadata": {"name": "n", "annotations": {"bascule.dev/agent": text}}}) is None


def test_lines_keep_identity_and_add_up(scene: Any) -> None:
    scene.cluster()
    one = scene.record(20, "web-1", "web-2", packets=5)
    scene.send("node1", one)
    ((key, line),) = scene.store.flows.rows().items()
    assert (line.row["packets"], line.row["src"]["name"], line.row["dst"]["name"]) == (5, "web-1", "web-2")
    scene.send("node1", one)
    ((same, later),) = scene.store.flows.rows().items()
    assert same == key and later is not line and later.row["packets"] == 10
    assert line.row["packets"] == 5, "a held line must not change under a frozen view"
    assert scene.store.flows.ledger.to_dict() == {"seen": 10, "sent": 10, "filtered": 0, "lost": {}}


def test_rates_decay_to_nothing(scene: Any) -> None:
    scene.cluster()
    scene.send("node1", scene.record(20, "web-1", "web-2", packets=50))
    flows = scene.store.flows
    (line,) = flows.rows().values()
    assert line.byte_rate > 0
    flows.decay(scene.noon_ns + 60_000_000_000)
    (line,) = flows.rows().values()
    assert (line.packet_rate, line.byte_rate) == (0.0, 0.0)


def test_names_that_come_later_rename_what_is_there(scene: Any) -> None:
    scene.cluster()
    scene.send("node2", scene.record(20, "db-1", "web-1", packets=1))
    assert [line.row["dst"]["name"] for line in scene.store.flows.rows().values()] == ["10.110.0.11"]
    scene.send("node1")
    assert [line.row["dst"]["name"] for line in scene.store.flows.rows().values()] == ["web-1"]


def test_a_node_that_leaves_takes_its_flows(scene: Any) -> None:
    scene.cluster().talk()
    scene.store.forget_node("node1")
    assert {line.row["node"] for line in scene.store.flows.rows().values()} == {"node2", "node3"}


def test_eviction_drops_lines_and_says_how_much(scene: Any) -> None:
    from bascule_console.store.flows import Flows

    scene.cluster()
    scene.store.flows = Flows(scene.store.topics, capacity=20)
    for port in range(60):
        one = scene.record(20, "web-1", "web-2", packets=1, ports=(30000 + port, 7))
        scene.send("node1", one, time_ns=scene.noon_ns + port)
        shown = scene.store.flows.rows()
        assert len(shown) == len(scene.store.flows._store) <= 20
    book = scene.store.flows.ledger
    assert book.balanced and book.lost["store-full"] == 60 - len(shown)


def test_a_dirty_topic_is_taken_once() -> None:
    topics = Topics()
    mine, other = topics.subscribe("a", "b"), topics.subscribe("a")
    assert mine.take() == {"a", "b"} and mine.take() == frozenset()
    topics.touch("a")
    topics.touch("a")
    assert mine.take() == {"a"} and mine.take() == frozenset()
    assert other.take() == {"a"}


async def test_who_sleeps_is_woken_by_a_change_of_its_topics_only() -> None:
    topics = Topics()
    mine = topics.subscribe("a", "b")
    assert await mine.sleep(30) < 1, "what was not taken yet is a change"
    mine.take()
    sleeping = asyncio.create_task(mine.sleep(30))
    await asyncio.sleep(0)
    topics.touch("c")
    await asyncio.sleep(0)
    assert not sleeping.done()
    topics.touch("b")
    topics.touch("b")
    await sleeping
    assert mine.take() == {"b"}
    assert await mine.sleep(0.01) >= 0.009
