"""Moves with proof: one port speaks for a MAC, the agent speaks for a silent VM, a drain keeps its limits, a record
needs no console. Witnesses: taps on the fabric's own ports, the API, the status file."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests_lab import PREFIX, STATE, Lab, run, until
from tests_moves import announcements_dropped, fabric_tap, hold_pod, start_move, status_of

import bascule.continuity
from bascule_kube.kinds import VMIM

pytestmark = [pytest.mark.root, pytest.mark.qemu]

NODES = ("node1", "node2", "node3")
SCHEMA = json.loads((Path(bascule.continuity.__file__).parent / "schema.json").read_text())
VM, MAC, IP = "web-1", "52:54:00:00:6e:01", "10.110.0.11"
MS = 1_000_000


def elsewhere(lab: Lab, vm: str = VM) -> tuple[str, str]:
    """The VM's node, and another one."""
    home = lab.node_of(vm)
    return home, next(node for node in NODES if node != home)


def move(lab: Lab, target: str, vm: str = VM, check: int | None = None) -> dict[str, Any]:
    """Move by the CLI; the record. What the machine's load does to the guest is not the matter here."""
    record: dict[str, Any] = lab.cli("-o", "json", "vms", "move", vm, "--to", target, check=check).json
    jsonschema.validate(record, SCHEMA)
    return record


def shown(lab: Lab, name: str) -> dict[str, Any]:
    """A record as the agents have it now."""
    record: dict[str, Any] = lab.cli("-o", "json", "moves", "show", name, check=None).json
    jsonschema.validate(record, SCHEMA)
    return record


def test_never_two_ports_speak_for_one_mac(lab: Lab) -> None:
    source, target = elsewhere(lab)
    with fabric_tap(MAC) as tap:
        record = move(lab, target)
    old, new = tap.from_node(source), tap.from_node(target)
    assert old and new
    assert max(old) < min(new), "the source's port spoke after the target's had begun"
    # what the agent saw on its own trunk is what the fabric saw at the other end of the cable
    assert abs(record["fabric"]["first_out_ns"] - min(new)) < 50 * MS
    assert record["fabric"]["announced_by"] == "guest" and record["fabric"]["foreign"] == []
    assert any(a.get("by") != "agent" for a in record["announcements"])
    turned = {node: view["moved"] for node, view in record["fdb"].items()}
    assert turned[target] is True and False not in turned.values()
    assert {probe["kind"] for probe in record["probes"]} == {"icmp", "arp", "tcp-echo"}
    assert {probe["from"] for probe in record["probes"]} == {"gateway", *(set(NODES) - {source, target})}
    assert [entry["vm"] for entry in record["control"]] != [f"vms/{VM}"] and record["control"]
    assert record["qemu"]["ram_bytes"] > 0 and record["qemu"]["fault_stall_ms"] >= 0


def test_the_agent_announces_a_vm_whose_announcements_are_lost(lab: Lab) -> None:
    _, target = elsewhere(lab)
    with announcements_dropped(target), fabric_tap(MAC) as tap:
        record = move(lab, target)
    assert any(a.get("by") == "agent" and a["kind"] == "garp" for a in record["announcements"])
    assert record["fabric"]["announced_by"] == "agent"
    assert any(kind == 0x0806 for _, node, kind in tap.seen if node == target), "no ARP reached the fabric"
    assert not any(kind == 0x8035 for _, node, kind in tap.seen if node == target)
    print(f"announced {record['fabric']['announce_delay_ms']} ms after the first frame at the port")
    assert record["tcp"]["alive"] is not False
    ping = ["ip", "netns", "exec", f"{PREFIX}-gw", "ping", "-c", "3", "-i", "0.2", "-W", "2", IP]
    assert run(ping, 30, 0).code == 0


def test_a_move_that_no_console_saw_has_its_record(lab: Lab) -> None:
    _, target = elsewhere(lab)
    name = start_move(VM, target)
    until("it has moved", lambda: status_of(name).get("phase") == "Succeeded", 60)
    record = until("the record is complete", lambda: (r := shown(lab, name))["complete"] and r)
    assert (record["target"], record["missing"]) == (target, [])
    lab.lab("fault", "kill-agent", target, "--down", "0")

    def again() -> Any:
        done = lab.cli("-o", "json", "moves", "show", name, check=None)
        return done.json if done.code == 0 else None

    kept = until("its agent is back", again, 40)
    assert kept["probes"] == record["probes"]
    assert kept["aftershock"]["state"] == "interrupted"


def test_preflight_names_field_and_fix(lab: Lab) -> None:
    source, target = elsewhere(lab)
    good = lab.cli("-o", "json", "vms", "move", VM, "--to", target, "--dry-run").json
    assert good["may_move"] and {c["state"] for c in good["checks"]} == {"pass"}
    bad = lab.cli("-o", "json", "vms", "move", VM, "--to", source, "--dry-run", check=1).json
    assert [c["message"] for c in bad["checks"] if c["state"] == "fail"] == [f"vms/{VM} is there already"]
    lab.lab("fault", "unmigratable", VM, "on")
    try:
        stuck = lab.cli("-o", "json", "vms", "move", VM, "--to", target, "--dry-run", check=1).json
        found = next(c for c in stuck["checks"] if c["id"] == "live-migratable")
        assert found["field"].endswith("hostDevices") and "host device" in found["fix"]
        assert lab.cli("vms", "move", VM, "--to", target, check=4).out == ""
    finally:
        lab.lab("fault", "unmigratable", VM, "off")


def test_a_drain_moves_every_vm_and_keeps_the_limits(lab: Lab) -> None:
    guests = [g for g in lab.status()["guests"] if g["state"] == "running"]
    node = max(NODES, key=lambda name: sum(g["node"] == name for g in guests))
    here = {g["name"] for g in guests if g["node"] == node}
    at_once: list[int] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            at_once.append(sum(r["phase"] not in ("Succeeded", "Failed") for r in moves_in_api()))
            time.sleep(0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        done = lab.cli("-o", "json", "nodes", "drain", node, timeout=240, check=None)
        listed = {row["name"]: row["cordoned"] for row in lab.cli("-o", "json", "nodes", "list").json}
        assert listed == {name: name == node for name in NODES}
    finally:
        stop.set()
        watcher.join()
        lab.cli("nodes", "uncordon", node)
    items = {item["vm"].partition("/")[2]: item for item in done.json}
    assert set(items) == here
    assert {item["state"] for item in items.values()} <= {"moved", "broken"}, items
    assert 1 <= max(at_once) <= 2
    assert not [g for g in lab.status()["guests"] if g["node"] == node and g["state"] == "running"]
    for vm in here:
        assert shown(lab, vm)["source"] == node


def moves_in_api() -> list[dict[str, Any]]:
    """The status of every migration."""
    from tests_moves import ask

    found = ask(lambda cluster: cluster.list(VMIM))
    return [vmim.get("status") or {"phase": ""} for vmim in found]


@pytest.mark.long
def test_a_late_removal_of_the_source_endpoint_is_named(lab: Lab) -> None:
    """CORE-13427 planted: the source's endpoint goes 15 s after the cut-over, and in that moment the session dies."""
    _, target = elsewhere(lab)
    hold_pod(VM, True)
    try:
        record = move(lab, target)
        cut = record["cut_ns"]
        time.sleep(max(0.0, 15 - (time.time_ns() - cut) / 1e9))
    finally:
        hold_pod(VM, False)
    run(["ip", "netns", "exec", f"{PREFIX}-gw", "ss", "-t", "-K", "dst", IP], 10, None)
    record = until(
        "the watch is over",
        lambda: (r := shown(lab, record["migration"]))["aftershock"]["state"] != "running" and r,
        90,
    )
    assert record["aftershock"]["state"] == "done"
    found = {finding["id"]: finding for finding in record["findings"]}
    assert "window of CORE-13427" in found["late-source-removal"]["message"]
    assert found["late-source-removal"]["node"] == record["source"]
    assert "removed the source endpoint" in found["aftershock-tcp"]["message"]
    reason = next(r for r in record["reasons"] if r["code"] == "aftershock-tcp-died")
    print(reason["message"])
    assert record["verdict"] == "broken" and "12 to 20 s" in reason["message"]


@pytest.mark.long
def test_a_minute_after_a_move_nothing_broke(lab: Lab) -> None:
    _, target = elsewhere(lab)
    name = move(lab, target)["migration"]
    record = until("the watch is over", lambda: (r := shown(lab, name))["aftershock"]["state"] == "done" and r, 90)
    assert [probe["error"] for probe in record["aftershock"]["probes"]] == ["", ""]
    assert sum(len(probe["seconds"]) for probe in record["aftershock"]["probes"]) >= 100


@pytest.mark.long
def test_a_hundred_moves_in_a_row(lab: Lab) -> None:
    """Under the probes' own traffic; afterwards every guest answers."""
    verdicts: dict[str, int] = {}
    for _ in range(100):
        _, target = elsewhere(lab)
        record = move(lab, target)
        verdicts[record["verdict"]] = verdicts.get(record["verdict"], 0) + 1
        assert record["tcp"]["alive"] is not False, record["reasons"]
    print(f"{verdicts}, records in {STATE}")
    for guest in lab.status()["guests"]:
        if guest["state"] == "running":
            assert lab.guest(guest["name"], "echo alive").strip() == "alive"
