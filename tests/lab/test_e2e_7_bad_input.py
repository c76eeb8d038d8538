"""What cannot work is refused before anything changes, or said in the node's condition while the others carry on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests_lab import Lab, until

pytestmark = [pytest.mark.root, pytest.mark.qemu]

NETWORK = """
apiVersion: projectcalico.org/v3
kind: Network
metadata: {{name: {name}}}
spec:
  l2Bridge:
    hostConfig:
    - nodeSelector: ""
      bridge: {bridge}
      hostConnections: [{{trunkPort: {{interface: {{name: {trunk}}}}}}}]
    vlans: {vlans}
"""
MANAGED = "{managedBridge: {}}"


def network(name: str, trunk: str = "trunk9", vlans: str = "[{vlan: {id: 300}}]", bridge: str = MANAGED) -> str:
    """A Network document."""
    return NETWORK.format(name=name, trunk=trunk, vlans=vlans, bridge=bridge)


@pytest.mark.parametrize(
    ("document", "field"),
    [
        (network("bad", vlans="[{vlan: {id: 4095}}]"), "spec.l2Bridge.vlans[0].vlan.id"),
        (network("bad", vlans="[{vlan: {id: 0}}]"), "spec.l2Bridge.vlans[0].vlan.id"),
        (network("bad", vlans="[{vlan: {id: 5}, subnets: [{cidr: ten}]}]"), "spec.l2Bridge.vlans[0].subnets[0].cidr"),
        (network("bad", vlans='[{vlan: {id: 5}, subnets: [{cidr: "fd00::/64"}]}]'), "subnets[0].cidr"),
        (network("bad", vlans="[{vlan: {id: 5}}, {vlan: {id: 5}}]"), "spec.l2Bridge.vlans[1]"),
        (network("bad", bridge="{existingBridge: {name: calb-x}}"), "existingBridge.name"),
        (network("bad").replace("vlans:", "vlanz: 3\n    vlans:"), "vlanz"),
    ],
)
def test_a_bad_network_is_refused_before_anything_is_applied(
    lab: Lab, tmp_path: Path, document: str, field: str
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(f"{network('good', trunk='trunk8', vlans='[{vlan: {id: 301}}]')}\n---\n{document}")
    done = lab.cli("apply", "-f", str(file), check=None)
    assert done.code in (1, 2)
    assert field in done.out + done.err
    assert "Traceback" not in done.err
    names = {n["name"] for n in lab.cli("networks", "list", "-o", "json").json}
    assert names == {"dc1"}, "half of the file was applied"


def test_deleting_a_network_in_use_is_refused(lab: Lab) -> None:
    done = lab.cli("networks", "delete", "dc1", check=4)
    assert "12 attached" in done.err
    assert "vms/db-1" in done.err
    assert lab.cli("networks", "show", "dc1", "-o", "json").json


def conditions(lab: Lab, name: str) -> dict[str, dict[str, Any]]:
    """The condition of a Network on each node."""
    found = {}
    for node in lab.cli("nodes", "list", "-o", "json").json:
        for entry in node["networks"]:
            if entry["name"] == name:
                found[node["name"]] = entry
    return found


@pytest.mark.parametrize(("trunk", "reason"), [("mgmt0", "DefaultRouteTrunk"), ("trunk9", "TrunkMissing")])
def test_a_node_that_cannot_comply_says_so_and_the_rest_carries_on(
    lab: Lab, tmp_path: Path, trunk: str, reason: str
) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(network("wrong", trunk=trunk))
    before = lab.lab("exec", "node1", "--", "ip", "-j", "link").out
    lab.cli("apply", "-f", str(file))
    try:
        said = until("every node says so", lambda: (c := conditions(lab, "wrong")) and len(c) == 3 and c, 20)
        assert {entry["reason"] for entry in said.values()} == {reason}
        assert not any(entry["ready"] for entry in said.values())
        assert all(entry["ready"] for entry in conditions(lab, "dc1").values())
        assert json.loads(lab.lab("exec", "node1", "--", "ip", "-j", "link").out) == json.loads(before)
        assert " 0% packet loss" in lab.guest("web-1", "ping -c 2 -W 2 10.110.0.1")
    finally:
        lab.cli("networks", "delete", "wrong")


def test_a_switch_port_without_the_vlan_and_a_cut_link_stop_traffic_and_come_back(lab: Lab) -> None:
    node = lab.node_of("web-1")

    def reaches() -> bool:
        return lab.lab("exec", "gateway", "--", "ping", "-c", "1", "-W", "1", "10.110.0.11", check=None).code == 0

    lab.lab("fault", "vlan", node, "110", "off")
    assert not reaches()
    lab.lab("fault", "vlan", node, "110", "on")
    until("traffic is back", reaches)
    lab.lab("fault", "link", node, "cut")
    assert not reaches()
    trunk = next(n for n in lab.cli("nodes", "list", "-o", "json").json if n["name"] == node)["trunk"]
    assert trunk["carrier"] is False
    lab.lab("fault", "link", node, "restore")
    until("traffic is back", reaches)
