"""The documents and decisions of the KubeVirt and scheduler stand-ins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from bascule.resources.pod import nics_of
from bascule_lab.standins import objects, schedule

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "dc1.yaml"
VMS = [d for d in yaml.safe_load_all(EXAMPLE.read_text()) if d["kind"] == "VirtualMachine"]


def vmi(vm: dict[str, Any]) -> dict[str, Any]:
    made = objects.vmi_of({**vm, "metadata": {**vm["metadata"], "uid": "u-vm"}})
    made["metadata"]["uid"] = "u-vmi"
    return made


def test_the_pod_that_cni_marks_is_read_back_by_the_agents_view() -> None:
    found = vmi(VMS[0])
    pod = objects.launcher_pod(found)
    pod["metadata"] |= {"name": "virt-launcher-web-1-abcde", "uid": "u-pod"}
    nic = objects.nics(found)[0]
    got = {"ip": "10.110.0.11", "mac": nic["mac"], "network": "dc1", "vlan": 110}
    pod["metadata"]["annotations"] |= objects.cni_annotations([(nic, got)], "/run/netns/bl-p-x")
    (read,) = nics_of(pod, found)
    assert (read.vm, read.nic, read.network, read.vlan) == ("web-1", "net-0", "dc1", 110)
    assert (read.ip, read.mac, read.netns) == ("10.110.0.11", nic["mac"], "/run/netns/bl-p-x")
    assert read.migration_uid == ""


def test_a_migration_target_carries_kubevirts_label_and_the_added_selector() -> None:
    move = {"metadata": {"uid": "u-move"}, "spec": {"addedNodeSelector": {"kubernetes.io/hostname": "node2"}}}
    pod = objects.launcher_pod(vmi(VMS[0]), move)
    assert pod["metadata"]["labels"]["kubevirt.io/migrationJobUID"] == "u-move"
    assert pod["spec"]["nodeSelector"] == {"kubernetes.io/hostname": "node2"}


def test_every_example_vm_asks_for_an_address_and_talks() -> None:
    for vm in VMS:
        made = vmi(vm)
        assert objects.requested_ip(made, "net-0").startswith("10.")
        peers, every = objects.talk(made)
        assert peers
        assert every == 2.0
        assert objects.image_of(made) == objects.GUEST_IMAGE


@pytest.mark.parametrize(
    ("spec", "runs"),
    [
        ({"runStrategy": "Once"}, True),
        ({"runStrategy": "Halted"}, False),
        ({"running": True}, True),
        ({"running": False}, False),
        ({}, False),
    ],
)
def test_run_strategies(spec: dict[str, Any], runs: bool) -> None:
    assert objects.wants_to_run({"spec": spec}) is runs


def test_a_mac_is_made_when_none_is_asked_for_and_stays() -> None:
    first = objects.mac_for("vms.a", "net-0")
    assert first == objects.mac_for("vms.a", "net-0") != objects.mac_for("vms.b", "net-0")
    assert int(first[:2], 16) & 3 == 2


def node(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}, "spec": {}}


def test_the_emptiest_node_that_fits_is_chosen() -> None:
    pod = {"spec": {"nodeSelector": {"l2": "yes"}}}
    nodes = [node("a", l2="yes"), node("b", l2="yes"), node("c")]
    assert schedule.choose(pod, nodes, {"a": 3, "b": 1}, {}) == "b"
    assert schedule.choose(pod, nodes, {"a": 3, "b": 1}, {}, avoid="b") == "a"


def test_each_app_is_spread_before_the_load_is() -> None:
    nodes = [node("a"), node("b")]
    assert schedule.choose({"spec": {}}, nodes, {"a": 0, "b": 4}, {"a": 1}) == "b"


def test_no_node_names_what_each_lacks() -> None:
    nodes = [node("a"), {**node("b", l2="yes"), "spec": {"unschedulable": True}}]
    with pytest.raises(schedule.Unschedulable) as caught:
        schedule.choose({"spec": {"nodeSelector": {"l2": "yes"}}}, nodes, {}, {})
    assert "a: lacks l2=yes" in str(caught.value)
    assert "b: cordoned" in str(caught.value)


def test_the_status_annotation_is_multus_json() -> None:
    marks = objects.cni_annotations(
        [({"name": "net-0", "namespace": "vms", "nad": "v"}, {"ip": "1.2.3.4", "mac": "m", "network": "n", "vlan": 5})],
        "/run/netns/x",
    )
    (entry,) = json.loads(marks["k8s.v1.cni.cncf.io/network-status"])
    assert entry["name"] == "vms/v"
    assert entry["ips"] == ["1.2.3.4"]


@pytest.mark.parametrize(
    ("strategy", "phase", "again"),
    [
        ({"runStrategy": "Always"}, "Failed", True),
        ({"runStrategy": "Always"}, "Succeeded", True),
        ({"runStrategy": "RerunOnFailure"}, "Failed", True),
        ({"runStrategy": "RerunOnFailure"}, "Succeeded", False),
        ({"runStrategy": "Once"}, "Failed", False),
        ({"runStrategy": "Halted"}, "Failed", False),
        ({"running": True}, "Failed", True),
        ({}, "Failed", False),
    ],
)
def test_a_vm_runs_again_as_its_strategy_says(strategy: dict[str, Any], phase: str, again: bool) -> None:
    assert objects.reruns({"spec": strategy}, phase) is again


@pytest.mark.parametrize(
    ("devices", "volume", "reason"),
    [
        ({}, {"containerDisk": {"image": "x"}}, None),
        ({"hostDevices": [{"name": "nic1"}]}, {}, "HostDeviceNotLiveMigratable"),
        ({"gpus": [{"name": "gpu1"}]}, {}, "HostDeviceNotLiveMigratable"),
        ({}, {"hostDisk": {"path": "/x"}}, "DisksNotLiveMigratable"),
        ({}, {"persistentVolumeClaim": {"claimName": "x"}}, "DisksNotLiveMigratable"),
    ],
)
def test_a_vmi_that_cannot_move_says_why(devices: dict[str, Any], volume: dict[str, Any], reason: str | None) -> None:
    spec = {"domain": {"devices": devices}, "volumes": [{"name": "disk0", **volume}]}
    why = objects.why_not_movable({"spec": spec})
    assert (why[0] if why else None) == reason


def test_disks_that_are_shared_may_move_and_clones_have_none() -> None:
    volumes = [{"name": "a", "persistentVolumeClaim": {"claimName": "x"}}, {"name": "b", "dataVolume": {"name": "y"}}]
    found = {"spec": {"domain": {"devices": {}}, "volumes": volumes}}
    assert objects.claims(found) == ["x", "y"] and objects.boots_from_claim(found)
    assert objects.why_not_movable(found, ["x", "y"]) is None
    why = objects.why_not_movable(found, ["x"])
    assert why is not None and "PVC y is not shared" in why[1] and "ReadWriteMany" in why[1]
    for vm in VMS:
        assert objects.claims(vmi(vm)) == [] and not objects.boots_from_claim(vmi(vm))


def test_a_node_that_is_not_ready_takes_no_pod() -> None:
    def node(name: str, ready: str) -> dict[str, Any]:
        status = {"conditions": [{"type": "Ready", "status": ready}]}
        return {"metadata": {"name": name}, "spec": {}, "status": status}

    nodes = [node("node1", "Unknown"), node("node2", "True")]
    assert schedule.choose({"spec": {}}, nodes, {"node2": 9}, {}) == "node2"
    with pytest.raises(schedule.Unschedulable, match="node1: not ready"):
        schedule.choose({"spec": {}}, nodes[:1], {}, {})
