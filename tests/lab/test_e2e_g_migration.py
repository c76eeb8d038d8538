"""A cold move in the lab: a VM that libvirt runs on the old side comes to the cluster with its MAC, address and VLAN.

Witnesses that are not Bascule: ping and arping in the gateway's and the outside host's namespaces, virsh, what the
guest says of itself, and the boot counter on its disk.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests_lab import Lab
from tests_old import Old, old_side, ping, reached

pytestmark = [pytest.mark.root, pytest.mark.qemu]


@pytest.fixture(scope="module")
def old(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Old]:
    """Four VMs on three VLANs under libvirt: two of them share one."""
    with old_side(lab, tmp_path_factory.mktemp("migration"), "--vms", "4") as found:
        yield found


def test_a_vm_comes_over_with_its_address(lab: Lab, old: Old) -> None:
    vm = old.vms["shop-1"]
    assert ping("out", vm["ip"])
    old.build("--wave-vms", "1")
    row = old.run("--vm", "shop-1")["shop-1"]
    assert row["state"] == "moved", row
    assert old.state("shop-1") == "shut off"
    reached(vm)
    said = lab.guest("shop-1", "cat /sys/class/net/eth0/address; ip -4 -o addr show dev eth0")
    assert vm["mac"] in said and f"{vm['ip']}/24" in said
    record = old.record("shop-1")
    moving = [probe for probe in record["probes"] if probe["role"] == "moving"]
    assert {(probe["kind"], probe["from"] == "gateway") for probe in moving} == {
        ("icmp", True),
        ("arp", True),
        ("arp", False),
    }
    assert all(probe["seen"] + probe["lost"] == probe["sent"] for probe in record["probes"])
    assert record["outage"]["ms"] == pytest.approx(row["outage_ms"]) and row["outage_ms"] > 500
    silent = record["fence"]["silent_before_start"]
    assert len({each["from"] for each in silent}) == 2 and all(each["seconds"] >= 1 for each in silent)
    sides = {probe["role"]: probe for probe in record["probes"] if probe["role"] != "moving"}
    assert {"old side", "cluster"} <= set(sides), record["missing"]
    for probe in sides.values():
        assert probe["seen"] > probe["sent"] / 2, probe["role"]


def test_it_goes_back_with_its_address(lab: Lab, old: Old) -> None:
    vm = old.vms["shop-1"]
    if not old.deeds("shop-1"):
        pytest.skip("it was not moved")
    done = old.plan("rollback", "shop-1", "--source", old.uri, "-o", "json")
    assert done.json[0]["state"] == "rolled back"
    assert old.state("shop-1") == "running"
    reached(vm)
    names = {row["name"] for row in lab.cli("vms", "list", "-o", "json").json}
    assert "shop-1" not in names


@pytest.mark.long
@pytest.mark.parametrize("step", ["stop", "disks", "start"])
def test_a_run_that_was_killed_goes_on(lab: Lab, old: Old, step: str) -> None:
    old.build("--wave-vms", "1")
    old.kill_at(step, "ledger-1")
    (row,) = [each for each in old.plan("status", "-o", "json", check=None).json if each["target"] == "ledger-1"]
    assert row["state"] in ("moving", "moved"), row
    assert old.run("--vm", "ledger-1").get("ledger-1", {"state": "moved"})["state"] == "moved"
    assert old.state("ledger-1") == "shut off"
    reached(old.vms["ledger-1"])
    old.plan("rollback", "ledger-1", "--source", old.uri)
    assert old.state("ledger-1") == "running"
    reached(old.vms["ledger-1"])


@pytest.mark.long
@pytest.mark.parametrize("step", ["disks", "start"])
def test_a_run_that_was_killed_goes_back(lab: Lab, old: Old, step: str) -> None:
    old.build("--wave-vms", "1")
    old.kill_at(step, "ledger-1")
    old.plan("rollback", "ledger-1", "--source", old.uri)
    assert old.state("ledger-1") == "running"
    reached(old.vms["ledger-1"])
