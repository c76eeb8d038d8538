"""Faults in moves, and what stands in the record afterwards. That the VM is on one node and answers is proven in
test_e2e_6_moves_end.py; here the record is read as an operator would, and must say what happened."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests_lab import PREFIX, Lab, run, until
from tests_moves import ask, start_move, status_of

import bascule.continuity
from bascule_kube.errors import NotFound
from bascule_kube.kinds import VM, VMI

pytestmark = [pytest.mark.root, pytest.mark.qemu, pytest.mark.long]

NAME, ADDRESS = "web-1", "10.110.0.11"
NODES = ("node1", "node2", "node3")
SCHEMA = json.loads((Path(bascule.continuity.__file__).parent / "schema.json").read_text())


@pytest.fixture
def places(lab: Lab) -> Iterator[tuple[str, str]]:
    """The VM's node and another; a VM that is lost is started again, and no order outlives the test."""
    ask(lambda cluster: cluster.merge_patch(VM, NAME, {"spec": {"runStrategy": "Always"}}, "vms"))
    home = until("it runs", lambda: here(lab), 90)[0]
    yield home, next(node for node in NODES if node != home)
    lab.lab("fault", "release-move", NAME, check=None)
    until("one VM, and it answers", lambda: len(here(lab)) == 1 and answers(), 120)
    ask(lambda cluster: cluster.merge_patch(VM, NAME, {"spec": {"runStrategy": "Once"}}, "vms"))


def here(lab: Lab) -> list[str]:
    """The nodes on which the VM runs."""
    return [g["node"] for g in lab.status()["guests"] if g["name"] == NAME and g["state"] == "running"]


def answers() -> bool:
    """One ping from the gateway."""
    return run(["ip", "netns", "exec", f"{PREFIX}-gw", "ping", "-c1", "-W1", ADDRESS], 10, None).code == 0


def over(name: str) -> str:
    """Wait for the end of a migration; its phase."""
    found: str = until(
        f"{name} is over", lambda: (p := status_of(name).get("phase")) in ("Succeeded", "Failed") and p, 120
    )
    return found


def record_of(lab: Lab, name: str, ready: Callable[[dict[str, Any]], bool] = lambda r: True) -> dict[str, Any]:
    """The complete record, as the verb shows it."""

    def look() -> Any:
        done = lab.cli("-o", "json", "moves", "show", name, check=None)
        found = json.loads(done.out) if done.out else None
        return found if found and found["complete"] and ready(found) else None

    record: dict[str, Any] = until("a complete record", look, 60)
    jsonschema.validate(record, SCHEMA)
    print(f"{record['verdict']}: {[r['message'] for r in record['reasons']]} missing {record['missing_why']}")
    return record


def codes(record: dict[str, Any]) -> list[str]:
    return [reason["code"] for reason in record["reasons"]]


def test_target_out_of_memory_before_the_switch(lab: Lab, places: tuple[str, str]) -> None:
    home, away = places
    lab.lab("fault", "out-of-memory", NAME)
    name = start_move(NAME, away)
    assert over(name) == "Failed"
    record = record_of(lab, name)
    assert (record["verdict"], codes(record)[0]) == ("broken", "migration-failed")
    assert "target QEMU died" in record["reasons"][0]["message"]
    assert (record["ip"]["before"], record["aftershock"]) == (ADDRESS, None)
    assert here(lab) == [home]


def test_target_out_of_memory_after_the_switch_loses_the_guest_and_says_so(lab: Lab, places: tuple[str, str]) -> None:
    _, away = places
    lab.lab("fault", "out-of-memory", NAME, "--at", "postcopy")
    name = start_move(NAME, away)
    assert over(name) == "Failed"
    record = record_of(lab, name)
    assert "guest-lost" in codes(record), record["reasons"]
    assert "the guest is lost" in record["reasons"][0]["message"]


def test_the_sources_agent_is_killed_and_its_half_is_missing(lab: Lab, places: tuple[str, str]) -> None:
    home, away = places
    lab.lab("fault", "hold-move", NAME, "--at", "precopy")
    name = start_move(NAME, away)
    until("it runs", lambda: status_of(name).get("phase") == "Running", 60)
    lab.lab("fault", "kill-agent", home, "--down", "8")
    lab.lab("fault", "release-move", NAME)
    assert over(name) == "Succeeded"
    record = record_of(lab, name)
    assert "source-half" in record["missing"] and f"fdb of {home}" in record["missing"]
    assert record["vlan"]["before"] is None, "nothing is filled in"
    assert record["tcp"]["alive"] is not False
    until("the agent is back", lambda: lab.cli("nodes", "list", check=None).code == 0, 60)


def test_the_api_is_away_and_the_record_is_complete(lab: Lab, places: tuple[str, str]) -> None:
    _, away = places
    lab.lab("fault", "hold-move", NAME, "--at", "postcopy", "--for", "3")
    name = start_move(NAME, away)
    until("post-copy", lambda: status_of(name).get("migrationState", {}).get("mode") == "PostCopy", 60)
    lab.lab("fault", "api", "--away", "3")
    until("it is over", lambda: _quietly(name) == "Succeeded", 90)
    record = record_of(lab, name)
    assert record["announcements"] and record["qemu"]


def _quietly(name: str) -> str:
    try:
        return str(status_of(name).get("phase"))
    except Exception:
        return ""


def test_the_migration_link_is_cut(lab: Lab, places: tuple[str, str]) -> None:
    home, away = places
    lab.lab("fault", "hold-move", NAME, "--at", "precopy")
    name = start_move(NAME, away)
    until("it runs", lambda: status_of(name).get("phase") == "Running", 60)
    lab.lab("fault", "link", away, "cut", "--link", "migration")
    try:
        assert over(name) == "Failed"
    finally:
        lab.lab("fault", "link", away, "restore", "--link", "migration")
    record = record_of(lab, name)
    assert codes(record)[0] == "migration-failed" and here(lab) == [home]


@pytest.mark.parametrize(("at", "code"), [("precopy", "migration-failed"), ("postcopy", "guest-lost")])
def test_the_target_node_is_lost(lab: Lab, places: tuple[str, str], at: str, code: str) -> None:
    _, away = places
    others = [g["name"] for g in lab.status()["guests"] if g["node"] == away and g["name"] != NAME]
    lab.lab("fault", "hold-move", NAME, "--at", at, "--for", "120")
    name = start_move(NAME, away)
    mode = {"precopy": "PreCopy", "postcopy": "PostCopy"}[at]
    until(at, lambda: status_of(name).get("migrationState", {}).get("mode") == mode and _running(name), 60)
    lab.lab("fault", "node", away, "lose")
    try:
        assert over(name) == "Failed"
        told = lab.cli("-o", "json", "moves", "show", name, check=None)
        assert told.code == 5, "the node that keeps the record is silent"
        assert json.loads(told.out)["reasons"], "what the cluster knows is told all the same"
    finally:
        lab.lab("fault", "node", away, "restore")
        until("its agent is back", lambda: lab.cli("nodes", "list", check=None).code == 0, 90)
        for vm in others:
            _restart(vm)
        until("every VM runs", lambda: all(_phase(vm) == "Running" for vm in others), 120)
    record = record_of(lab, name, lambda r: bool(r["ended"]))
    assert "agent" in record["missing"] and codes(record)[0] == code, record["reasons"]


def _running(name: str) -> bool:
    return status_of(name).get("phase") == "Running"


def _restart(vm: str) -> None:
    ask(lambda cluster: cluster.delete(VMI, vm, "vms"))


def _phase(vm: str) -> str:
    try:
        return str(ask(lambda cluster: cluster.get(VMI, vm, "vms"))["status"]["phase"])
    except (NotFound, KeyError):
        return ""


@pytest.mark.parametrize("kind", ["same node", "unknown node", "unmigratable", "second"])
def test_a_move_that_cannot_be_says_why(lab: Lab, places: tuple[str, str], kind: str) -> None:
    home, away = places
    first = ""
    if kind == "unmigratable":
        lab.lab("fault", "unmigratable", NAME, "on")
    if kind == "second":
        lab.lab("fault", "hold-move", NAME, "--at", "ready")
        first = start_move(NAME, away)
        until("it is there", lambda: status_of(first).get("phase") == "TargetReady", 60)
    try:
        name = start_move(NAME, {"same node": home, "unknown node": "node9"}.get(kind, away))
        assert over(name) == "Failed"
    finally:
        if kind == "unmigratable":
            lab.lab("fault", "unmigratable", NAME, "off")
        if first:
            lab.lab("fault", "release-move", NAME)
            over(first)
    record = record_of(lab, name)
    assert (record["verdict"], codes(record)[0]) == ("broken", "migration-failed")
    words = {"same node": "source", "unknown node": "node9", "unmigratable": "HostDevice", "second": "in-flight"}
    assert words[kind] in record["reasons"][0]["message"]
