"""The views read dc1.yaml and KubeVirt's objects, and read anything else as absent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bascule.resources.attachment import Attachment
from bascule.resources.ippool import IPPool
from bascule.resources.kubevirt import Instance, Migration, VirtualMachine, pod_interface_name
from bascule.resources.meta import Meta
from bascule.resources.network import Network
from bascule.resources.node import Node, network_condition_type
from bascule.selectors import SelectorError

DC1 = list(yaml.safe_load_all((Path(__file__).parents[2] / "examples/dc1.yaml").read_text()))
VIEWS = (Network.of, Attachment.of, IPPool.of, VirtualMachine.of, Instance.of, Migration.of, Node.of, Meta.of)


def host(selector: str, trunk: str) -> dict[str, Any]:
    connections = [{"trunkPort": {"interface": {"name": trunk}}}]
    return {"nodeSelector": selector, "bridge": {"managedBridge": {}}, "hostConnections": connections}


def l2(hosts: list[Any], vlans: list[Any]) -> Network:
    return Network.of({"metadata": {"name": "n"}, "spec": {"l2Bridge": {"hostConfig": hosts, "vlans": vlans}}})


def test_the_network_of_dc1() -> None:
    network = Network.of(DC1[1])
    config = network.config_for({})
    assert (network.name, network.l2, network.carried_vlans()) == ("dc1", True, frozenset({100, 110, 120}))
    assert config and config.trunk and (config.trunk.interface, config.trunk.native_vlan) == ("trunk0", 100)
    assert config.bridge.managed and not config.bridge.stp
    (subnet,) = network.subnets_of(110)
    assert (subnet.cidr, subnet.prefix_length, subnet.routes[0].next_hop) == ("10.110.0.0/24", 24, "10.110.0.1")
    assert network.subnets_of(7) == ()


def test_the_first_host_config_that_matches_wins() -> None:
    network = l2([host("rack == 'a'", "t1"), host("has(rack)", "t2")], [])
    trunks = {rack: network.config_for(labels) for rack, labels in (("a", {"rack": "a"}), ("b", {"rack": "b"}))}
    assert [config and config.trunk and config.trunk.interface for config in trunks.values()] == ["t1", "t2"]
    assert network.config_for({}) is None
    with pytest.raises(SelectorError):
        l2([host("rack == a", "t1")], []).config_for({})


@given(st.lists(st.tuples(st.integers(-5, 5000), st.integers(-5, 5000)), max_size=5), st.lists(st.integers(-5, 5000)))
def test_carried_vlans_are_the_union_of_what_is_valid(ranges: list[tuple[int, int]], ids: list[int]) -> None:
    entries: list[Any] = [{"vlan": {"range": {"start": start, "end": end}}} for start, end in ranges]
    entries += [{"vlan": {"id": vid}} for vid in ids]
    expected = {v for v in range(1, 4095) if v in ids or any(start <= v <= end for start, end in ranges)}
    assert l2([], entries).carried_vlans() == expected


def test_of_two_entries_for_one_vlan_the_first_ones_subnets_count() -> None:
    entries = [{"vlan": {"id": 5}, "subnets": [{"cidr": cidr}]} for cidr in ("10.1.0.0/24", "10.2.0.0/24")]
    assert [subnet.cidr for subnet in l2([], entries).subnets_of(5)] == ["10.1.0.0/24"]


def test_the_attachment_and_the_pool_of_dc1() -> None:
    pool, attachment = IPPool.of(DC1[2]), Attachment.of(DC1[5])
    assert (attachment.name, attachment.network, attachment.vlan) == ("vms/vlan-100", "dc1", 100)
    assert attachment.pools == ("dc1-vlan-100",) and attachment.problem == ""
    assert pool.l2 and pool.disable_bgp_export and str(pool.network) == "10.100.0.0/24" and pool.block_size == 26


def test_the_vms_of_dc1_are_the_contracts() -> None:
    vms = [VirtualMachine.of(document) for document in DC1[8:]]
    assert [vm.name for vm in vms] == [f"{role}-{n}" for n in range(1, 5) for role in ("web", "db", "legacy")]
    vlans = {"web": 110, "db": 120, "legacy": 100}
    for vm in vms:
        role, _, n = vm.name.partition("-")
        (nic,) = vm.nics
        vlan = vlans[role]
        assert (nic.name, nic.binding, nic.nad) == ("net-0", "bridge", f"vms/vlan-{vlan}")
        assert nic.mac == f"52:54:00:00:{vlan:02x}:{int(n):02x}"
        assert vm.template.annotations == {"cni.projectcalico.org/net-0.ipAddrs": f'["10.{vlan}.0.{10 + int(n)}"]'}
        assert (vm.run_strategy, vm.images) == ("Once", ("registry/bascule/lab-guest",))
        assert vm.template.labels == {"app": role}


def test_names_that_other_programs_compute() -> None:
    # printf net-0 | sha256sum; printf dc1 | sha256sum
    assert pod_interface_name("net-0") == "pod900d2c01c91"
    assert network_condition_type("dc1") == "BasculeNetwork-66a9ee1b"


def test_a_migration_and_its_instance() -> None:
    state = {"migrationUid": "u", "sourceNode": "node1", "targetNode": "node2", "completed": True, "mode": "PostCopy"}
    phases = [{"phase": "Running", "phaseTransitionTimestamp": "2026-11-23T10:00:00Z"}]
    status = {"phase": "Succeeded", "migrationState": state, "phaseTransitionTimestamps": phases}
    migration = Migration.of({"metadata": {"name": "m"}, "spec": {"vmiName": "web-1"}, "status": status})
    assert (
        migration.ended and migration.vmi == "web-1" and migration.transitions == (("Running", "2026-11-23T10:00:00Z"),)
    )
    assert migration.state and migration.state.completed and migration.state.target_node == "node2"
    interfaces = [
        {"name": "net-0", "mac": "52:54:00:00:6E:01", "ipAddress": "10.110.0.11", "ipAddresses": ["10.110.0.11"]}
    ]
    instance = Instance.of({"status": {"phase": "Running", "nodeName": "node2", "interfaces": interfaces}})
    assert (instance.node, instance.interfaces[0].mac) == ("node2", "52:54:00:00:6e:01")
    assert instance.migration is None


def test_a_node_and_its_agent() -> None:
    address = '{"target":"unix:/run/a.sock","caHash":"","mode":"manage","version":"0.1.0"}'
    conditions = [
        {"type": "Ready", "status": "True"},
        {"type": "BasculeNetwork-66a9ee1b", "status": "False", "reason": "TrunkMissing", "message": "dc1: …"},
    ]
    document: dict[str, Any] = {
        "metadata": {"name": "node1", "annotations": {"bascule.dev/agent": address}},
        "status": {"conditions": conditions, "addresses": [{"type": "InternalIP", "address": "10.98.0.1"}]},
    }
    node = Node.of(document)
    assert node.agent and (node.agent.target, node.agent.mode) == ("unix:/run/a.sock", "manage")
    assert node.ready and node.internal_ip == "10.98.0.1"
    found = node.network_condition("dc1")
    assert found and found.reason == "TrunkMissing" and node.network_conditions == (found,)
    document["metadata"]["annotations"]["bascule.dev/agent"] = "{"
    assert Node.of(document).agent is None


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ("metadata", "spec", "status", "template", "l2Bridge", "vlans", "annotations", "conditions")
            ),
            inner,
            max_size=4,
        ),
    ),
)


@given(values)
def test_every_view_reads_anything(document: Any) -> None:
    for view in VIEWS:
        view(document)
