"""Six VMs on three VLANs: assessed with three planted problems, planned in two waves, run, one given back, accepted.

Witnesses that are not Bascule: ping in the gateway's and the outside host's namespaces, the gateway's neighbour table,
virsh, and the guests themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests_lab import Lab
from tests_old import Old, old_side, ping, reached

pytestmark = [pytest.mark.root, pytest.mark.qemu, pytest.mark.long]


@pytest.fixture(scope="module")
def old(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Old]:
    """The old side with three problems: a name that is no DNS label, a NIC model, a clone with MAC and address."""
    with old_side(lab, tmp_path_factory.mktemp("waves"), "--planted") as found:
        yield found


def findings(lab: Lab, old: Old) -> dict[str, Any]:
    """Check → its results that are not in order."""
    done = lab.cli("assess", "--answers", str(old.estate()), "-o", "json", check=None)
    return {check["id"]: [each for each in check["results"] if each["verdict"] in ("warning", "error")]
            for check in done.json["checks"]}  # fmt: skip


def test_six_vms_in_two_waves(lab: Lab, old: Old) -> None:
    found = findings(lab, old)
    told = {
        check: " ".join(f"{each['object']} {each['evidence']}" for each in results) for check, results in found.items()
    }
    assert any("Archive 1 (2019)" in text for text in told.values()), told
    assert any("vmxnet3" in text for text in told.values()), told
    assert any("shop-1-clone" in text for text in told.values()), told
    held = [vm["name"] for vm in old.build("--wave-vms", "3", check=1)["vms"] if not vm["wave"]]
    assert sorted(held) == ["shop-1", "shop-1-clone"]
    old.virsh("undefine", "shop-1-clone")
    old.vms.pop("shop-1-clone")
    plan = old.build("--wave-vms", "3")
    assert [wave["vms"] for wave in plan["waves"]] == [3, 3]
    target = {vm["name"]: vm["target"] for vm in plan["vms"]}
    first = {vm["target"] for vm in plan["vms"] if vm["wave"] == 1}

    rows = old.run(timeout=600)
    assert {name: row["state"] for name, row in rows.items()} == dict.fromkeys(first, "moved")
    for name, vm in old.vms.items():
        assert old.state(name) == ("shut off" if target[name] in first else "running")
        reached(vm)
    rows |= old.run("--wave", "2", timeout=600)
    assert len(rows) == 6 and {row["state"] for row in rows.values()} == {"moved"}
    for name, vm in old.vms.items():
        reached(vm)
        said = lab.guest(target[name], "cat /sys/class/net/eth0/address; ip -4 -o addr show dev eth0")
        assert vm["mac"] in said and f"{vm['ip']}/24" in said
        record = old.record(target[name])
        assert record["outage"]["ms"] and record["nics"][0]["vlan"] == vm["vlan"]
        assert all(probe["seen"] + probe["lost"] == probe["sent"] for probe in record["probes"])

    back = "shop-2"
    old.plan("rollback", back, "--source", old.uri)
    assert old.state(back) == "running"
    reached(old.vms[back])
    others = sorted(name for name in target.values() if name != back)
    accepted = ["accept", *others, "--enough-before", "0s", "--enough-after", "0s", "--reason", "rehearsal in the lab"]
    old.plan(*accepted)
    states = {row["target"]: row["state"] for row in old.plan("status", "-o", "json").json}
    assert states == {**dict.fromkeys(others, "accepted"), back: "rolled back"}
    assert old.plan("rollback", others[0], "--source", old.uri, check=4).code == 4
    assert ping("out", old.vms[back]["ip"])
