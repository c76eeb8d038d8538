"""Preflight, drain queue and estimate: pure. Each check is turned by the one fact that decides it."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.continuity.estimate import estimate
from bascule.continuity.limits import Drain, Item, Limits, limits_of, place
from bascule.continuity.migratable import REASONS, cure
from bascule.continuity.preflight import Facts, blockers, preflight

MAC, IP = "52:54:00:00:6e:01", "10.110.0.11"


def nic(mac: str = MAC) -> dict[str, Any]:
    return {"name": "net-0", "bridge": {}, **({"macAddress": mac} if mac else {})}


def vm(mac: str = MAC) -> dict[str, Any]:
    spec = {
        "domain": {"devices": {"interfaces": [nic(mac)]}},
        "networks": [{"name": "net-0", "multus": {"networkName": "vlan-110"}}],
    }
    return {"metadata": {"name": "web-1", "namespace": "vms"}, "spec": {"template": {"spec": spec}}}


def vmi() -> dict[str, Any]:
    status = {
        "phase": "Running",
        "nodeName": "node1",
        "interfaces": [{"name": "net-0", "mac": MAC, "ipAddress": IP}],
        "conditions": [{"type": "LiveMigratable", "status": "True"}],
    }
    return {
        "metadata": {"name": "web-1", "namespace": "vms"},
        "spec": vm()["spec"]["template"]["spec"],
        "status": status,
    }


def node(name: str, ready: str = "True", network: str = "True") -> dict[str, Any]:
    conditions = [
        {"type": "Ready", "status": ready},
        {"type": "BasculeNetwork-x", "status": network, "reason": "Ready", "message": "dc1: trunk trunk0"},
    ]
    return {"metadata": {"name": name}, "status": {"conditions": conditions}}


def report(mtu: int = 1500, **more: Any) -> dict[str, Any]:
    return {"agent": {"mode": "manage", "version": "1", "seen": "now"}, "trunk": {"mtu": mtu}, "findings": [], **more}


def facts(**changes: Any) -> Facts:
    config = json.dumps({"network": "dc1", "vlan": 110, "ipam": {"ipv4_pools": ["p"]}})
    values: dict[str, Any] = {
        "vm": vm(),
        "vmi": vmi(),
        "target": "node2",
        "nodes": [node("node1"), node("node2")],
        "attachments": [{"metadata": {"name": "vlan-110", "namespace": "vms"}, "spec": {"config": config}}],
        "pools": [{"metadata": {"name": "p"}, "spec": {"cidr": "10.110.0.0/24", "allowedUses": ["L2Workload"]}}],
        "reports": {"node1": report(), "node2": report()},
        "proofs": [{"network": "dc1", "vlan": 110, "verdict": "proven", "evidence": "gateway answered"}],
    }
    return Facts(**{**values, **changes})


def states(given: Facts) -> dict[str, str]:
    return {check.id: check.state for check in preflight(given)}


def test_all_is_well() -> None:
    assert set(states(facts()).values()) == {"pass"}
    assert blockers(preflight(facts())) == []


def changed(path: str, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(vmi())
    *keys, last = path.split(".")
    at: Any = document
    for key in keys:
        at = at[int(key)] if key.isdigit() else at[key]
    at[last] = value
    return document


@pytest.mark.parametrize(
    ("changes", "check", "state"),
    [
        ({"vmi": None}, "vm-running", "fail"),
        ({"vmi": changed("status.phase", "Failed")}, "vm-running", "fail"),
        ({"target": "node9"}, "target", "fail"),
        ({"target": "node1"}, "target", "fail"),
        ({"nodes": [node("node1"), node("node2", ready="False")]}, "target", "fail"),
        ({"nodes": [node("node1"), {**node("node2"), "spec": {"unschedulable": True}}]}, "target", "fail"),
        ({"vmi": changed("status.conditions", [])}, "live-migratable", "fail"),
        ({"vm": vm(mac="")}, "mac-set", "fail"),
        ({"reports": {}}, "target-agent", "unknown"),
        ({"nodes": [node("node1"), node("node2", network="False")]}, "network-ready", "fail"),
        ({"attachments": []}, "nad", "fail"),
        ({"proofs": None}, "vlan-proven", "unknown"),
        ({"proofs": []}, "vlan-proven", "unknown"),
        ({"proofs": [{"network": "dc1", "vlan": 110, "verdict": "failed"}]}, "vlan-proven", "fail"),
        ({"reports": {"node1": report(), "node2": report(findings=[{"severity": "error"}])}}, "port-ready", "warn"),
        ({"reports": {"node1": report(9000), "node2": report()}}, "mtu", "fail"),
        ({"pools": []}, "address", "warn"),
        ({"limits": Limits(cluster=0)}, "in-flight", "warn"),
    ],
)
def test_each_check_is_turned_by_its_fact(changes: dict[str, Any], check: str, state: str) -> None:
    assert states(facts(**changes))[check] == state


@pytest.mark.parametrize("reason", [*REASONS, "SomethingNew"])
def test_every_reason_has_a_field_and_a_fix(reason: str) -> None:
    condition = {"type": "LiveMigratable", "status": "False", "reason": reason, "message": "because"}
    found = next(
        c for c in preflight(facts(vmi=changed("status.conditions", [condition]))) if c.id == "live-migratable"
    )
    assert (found.state, found.field, found.fix) == ("fail", cure(reason).field, cure(reason).fix)
    assert found.fix and reason in found.message and found.evidence == "because"


def test_a_move_of_this_vm_is_in_its_way_and_others_count() -> None:
    def vmim(name: str, source: str, phase: str = "Running") -> dict[str, Any]:
        state = {"sourceNode": source}
        return {
            "metadata": {"name": name, "namespace": "vms"},
            "spec": {"vmiName": name},
            "status": {"phase": phase, "migrationState": state},
        }

    assert states(facts(migrations=[vmim("web-1", "node1")]))["in-flight"] == "fail"
    assert states(facts(migrations=[vmim("web-1", "node1", "Failed")]))["in-flight"] == "pass"
    assert states(facts(migrations=[vmim("a", "node1"), vmim("b", "node1")]))["in-flight"] == "warn"
    assert states(facts(migrations=[vmim("a", "node3"), vmim("b", "node3")]))["in-flight"] == "pass"


def test_limits_are_kubevirts_or_its_defaults() -> None:
    assert limits_of([]) == Limits()
    asked = {"parallelMigrationsPerCluster": 3, "parallelOutboundMigrationsPerNode": "many"}
    document = {"metadata": {"name": "kv", "namespace": "kubevirt"}, "spec": {"configuration": {"migrations": asked}}}
    assert limits_of([document]) == Limits(3, 2, "KubeVirt kubevirt/kv")


@given(st.integers(0, 12), st.integers(1, 6), st.integers(1, 4), st.data())
def test_a_drain_never_exceeds_its_limits_and_always_ends(vms: int, cluster: int, outbound: int, data: Any) -> None:
    drain = Drain("n", tuple(Item(f"v{k}", "t") for k in range(vms)), Limits(cluster, outbound))
    for _ in range(10 * vms + 1):
        if drain.over:
            break
        others = data.draw(st.integers(0, 2))
        others_out = data.draw(st.integers(0, others))
        ready = drain.ready(others, others_out)
        for item in ready:
            drain = drain.with_state(item.vm, "moving")
        moving = [item.vm for item in drain.items if item.state == "moving"]
        if ready:
            assert len(moving) + others <= cluster and len(moving) + others_out <= outbound
        if moving:
            drain = drain.with_state(data.draw(st.sampled_from(moving)), "moved")
        elif others == 0:
            assert ready, "nothing moves and nothing may start: it would never end"


@given(
    st.lists(st.text(min_size=1, max_size=3), unique=True), st.dictionaries(st.sampled_from("abc"), st.integers(0, 9))
)
def test_placing_evens_the_nodes_out(vms: list[str], load: dict[str, int]) -> None:
    targets = ["a", "b", "c"]
    found = place(vms, targets, load)
    assert set(found) == set(vms)
    count = {t: load.get(t, 0) + sum(to == t for to in found.values()) for t in targets}
    used = [count[t] for t in targets if any(to == t for to in found.values())]
    assert not used or max(used) - min(count.values()) <= 1
    assert place(vms, [], load) == {}


def past(seconds: int, vm_name: str = "web-1", source: str = "node1", phase: str = "Succeeded") -> dict[str, Any]:
    times = ("2026-11-23T10:00:00Z", f"2026-11-23T10:00:{seconds:02d}Z")
    return {
        "complete": True,
        "namespace": "vms",
        "vm": vm_name,
        "source": source,
        "target": "node2",
        "phases": [{"phase": "Pending", "at": times[0]}, {"phase": phase, "at": times[1]}],
        "probes": [{"kind": "icmp", "longest_gap_ms": 80.0}],
    }


def test_an_estimate_says_what_it_is_made_of_and_else_unknown() -> None:
    assert estimate([], "vms/web-1", "node1", "node2").words == "unknown: no move has been measured yet"
    assert estimate([past(9, phase="Failed")], "vms/web-1", "node1", "node2").seconds is None
    own = estimate([past(2), past(4), past(30, "db-1")], "vms/web-1", "node1", "node2")
    assert (own.seconds, own.gap_ms, own.basis) == (3.0, 80.0, "median of 2 measured moves of vms/web-1, 2.0 to 4.0 s")
    pair = estimate([past(8, "db-1")], "vms/web-1", "node1", "node2")
    assert (pair.seconds, "from node1 to node2" in pair.basis) == (8.0, True)
    other = estimate([past(8, "db-1", "node3")], "vms/web-1", "node1", "node2")
    assert "of other VMs" in other.basis
