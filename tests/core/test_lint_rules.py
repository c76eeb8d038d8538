"""Every rule fires on the fault it is for, at the right field, and on nothing else: dc1.yaml is clean, and each case is
dc1.yaml with one change."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bascule.lint import RULES, Finding, lint

ROOT = Path(__file__).parents[2]
DC1 = list(yaml.safe_load_all((ROOT / "examples/dc1.yaml").read_text()))
POOL, NAD, WEB, DB = 2, 5, 8, 9
L2, VLANS, HOST = "spec.l2Bridge", "spec.l2Bridge.vlans", "spec.l2Bridge.hostConfig[0]"
NICS, NOTES = "spec.template.spec.domain.devices.interfaces", "spec.template.metadata.annotations"
IP_KEY = "cni.projectcalico.org/net-0.ipAddrs"
Doc = dict[str, Any]


def at(document: Any, path: str) -> Any:
    for step in path.replace("[", ".").replace("]", "").split("."):
        document = document[int(step)] if step.isdigit() else document[step]
    return document


def put(index: int, path: str, key: str | int, value: Any) -> Callable[[list[Doc]], None]:
    return lambda documents: at(documents[index], path).__setitem__(key, value)


def drop(index: int, path: str, key: str) -> Callable[[list[Doc]], None]:
    return lambda documents: at(documents[index], path).__delitem__(key)


def add(index: int, path: str, value: Any) -> Callable[[list[Doc]], None]:
    return lambda documents: at(documents[index], path).append(value)


def config(**values: Any) -> Callable[[list[Doc]], None]:
    """Change keys of the first NAD's config; None removes one."""

    def change(documents: list[Doc]) -> None:
        spec = documents[NAD]["spec"]
        merged = json.loads(spec["config"]) | values
        spec["config"] = json.dumps({key: value for key, value in merged.items() if value is not None})

    return change


def host(selector: str, **bridge: Any) -> Doc:
    connections = [{"trunkPort": {"interface": {"name": "trunk1"}}}]
    return {"nodeSelector": selector, "bridge": bridge or {"managedBridge": {}}, "hostConnections": connections}


def subnet(cidr: str, **route: str) -> Doc:
    routes = [{"destination": "0.0.0.0/0", "action": {"nextHop": route["via"]}}] if route else []
    return {"cidr": cidr, "routes": routes}


def second_network(documents: list[Doc]) -> None:
    other = copy.deepcopy(documents[1])
    other["metadata"]["name"] = "dc2"
    documents.append(other)


def shared_bridge(documents: list[Doc]) -> None:
    documents[1]["spec"]["l2Bridge"]["hostConfig"] = [host("", existingBridge={"name": "br0"})]
    second_network(documents)


def shadow(documents: list[Doc]) -> None:
    documents[1]["spec"]["l2Bridge"]["hostConfig"].append(host("rack == 'a'"))


CASES: list[tuple[str, str, Callable[[list[Doc]], None]]] = [
    ("document-shape", "metadata.name", drop(1, "metadata", "name")),
    ("unknown-field", f"{VLANS}[1].vlann", put(1, f"{VLANS}[1]", "vlann", 1)),
    (
        "unknown-field",
        f"{HOST}.hostConnections[0].trunkPort.vlans",
        put(1, f"{HOST}.hostConnections[0].trunkPort", "vlans", [1]),
    ),
    ("field-type", f"{VLANS}[1].vlan.id", put(1, f"{VLANS}[1].vlan", "id", "110")),
    ("field-missing", HOST + ".bridge", put(1, HOST, "bridge", {})),
    ("field-missing", VLANS, put(1, L2, "vlans", [])),
    ("network-vlan-id", f"{VLANS}[1].vlan.id", put(1, f"{VLANS}[1].vlan", "id", 0)),
    ("network-vlan-id", f"{VLANS}[1].vlan.id", put(1, f"{VLANS}[1].vlan", "id", 4095)),
    (
        "network-vlan-id",
        f"{VLANS}[1].vlan.range.end",
        put(1, f"{VLANS}[1]", "vlan", {"range": {"start": 110, "end": 5000}}),
    ),
    ("network-vlan-range", f"{VLANS}[3].vlan.range", add(1, VLANS, {"vlan": {"range": {"start": 9, "end": 8}}})),
    ("network-vlan-duplicate", f"{VLANS}[3].vlan", add(1, VLANS, {"vlan": {"range": {"start": 115, "end": 121}}})),
    ("network-cidr", f"{VLANS}[1].subnets[0].cidr", put(1, f"{VLANS}[1].subnets", 0, subnet("10.110.0.0"))),
    ("network-cidr-ipv6", f"{VLANS}[1].subnets[1].cidr", add(1, f"{VLANS}[1].subnets", subnet("2001:db8::/64"))),
    ("network-cidr-size", f"{VLANS}[1].subnets[1].cidr", add(1, f"{VLANS}[1].subnets", subnet("10.9.9.9/32"))),
    ("network-cidr-size", f"{VLANS}[1].subnets[1].cidr", add(1, f"{VLANS}[1].subnets", subnet("0.0.0.0/0"))),
    ("network-cidr-host-bits", f"{VLANS}[1].subnets[1].cidr", add(1, f"{VLANS}[1].subnets", subnet("10.9.0.1/24"))),
    ("network-subnet-overlap", f"{VLANS}[1].subnets[1].cidr", add(1, f"{VLANS}[1].subnets", subnet("10.100.0.128/25"))),
    (
        "network-native-vlan",
        f"{HOST}.hostConnections[0].trunkPort.nativeVLAN",
        put(1, f"{HOST}.hostConnections[0].trunkPort", "nativeVLAN", 99),
    ),
    ("network-trunk-none", f"{HOST}.hostConnections", drop(1, HOST, "hostConnections")),
    (
        "network-bridge-reserved",
        f"{HOST}.bridge.existingBridge.name",
        put(1, HOST, "bridge", {"existingBridge": {"name": "calb-dc1"}}),
    ),
    (
        "network-link-name",
        f"{HOST}.bridge.existingBridge.name",
        put(1, HOST, "bridge", {"existingBridge": {"name": "a" * 16}}),
    ),
    ("network-stp", f"{HOST}.bridge.managedBridge.stp", put(1, f"{HOST}.bridge.managedBridge", "stp", True)),
    ("network-selector-duplicate", f"{L2}.hostConfig[1].nodeSelector", add(1, f"{L2}.hostConfig", host(""))),
    ("network-selector-parse", f"{HOST}.nodeSelector", put(1, HOST, "nodeSelector", "rack == a")),
    ("network-selector-shadowed", f"{L2}.hostConfig[1].nodeSelector", shadow),
    (
        "network-next-hop",
        f"{VLANS}[1].subnets[1].routes[0].action.nextHop",
        add(1, f"{VLANS}[1].subnets", subnet("10.9.0.0/24", via="10.8.0.1")),
    ),
    (
        "network-next-hop",
        f"{VLANS}[1].subnets[1].routes[0].action.nextHop",
        add(1, f"{VLANS}[1].subnets", subnet("10.9.0.0/24", via="10.9.0.255")),
    ),
    ("network-trunk-shared", f"{HOST}.hostConnections[0].trunkPort.interface.name", second_network),
    ("network-bridge-shared", f"{HOST}.bridge.existingBridge.name", shared_bridge),
    ("nad-config", "spec.config", put(NAD, "spec", "config", "{")),
    ("nad-network-missing", "spec.config.network", config(network=None)),
    ("nad-network-not-found", "spec.config.network", config(network="dc9")),
    ("nad-vlan-missing", "spec.config.vlan", config(vlan=None)),
    ("nad-vlan-id", "spec.config.vlan", config(vlan=4095)),
    ("nad-vlan-not-carried", "spec.config.vlan", config(vlan=130)),
    ("nad-cni-version", "spec.config.cniVersion", config(cniVersion="1.1.0")),
    ("pool-uses", "spec.allowedUses", add(POOL, "spec.allowedUses", "Tunnel")),
    ("pool-bgp-export", "spec.disableBGPExport", put(POOL, "spec", "disableBGPExport", False)),
    ("pool-encapsulation", "spec.vxlanMode", put(POOL, "spec", "vxlanMode", "Always")),
    ("pool-cidr", "spec.cidr", put(POOL, "spec", "cidr", "10.100.0.7/24")),
    ("pool-block-size", "spec.blockSize", put(POOL, "spec", "blockSize", 23)),
    ("pool-outside-subnet", "spec.cidr", put(POOL, "spec", "cidr", "10.50.0.0/24")),
    (
        "vm-nad-not-found",
        "spec.template.spec.networks[0].multus.networkName",
        put(WEB, "spec.template.spec.networks[0].multus", "networkName", "vlan-9"),
    ),
    ("vm-mac-missing", f"{NICS}[0].macAddress", drop(WEB, f"{NICS}[0]", "macAddress")),
    ("vm-mac-invalid", f"{NICS}[0].macAddress", put(WEB, f"{NICS}[0]", "macAddress", "53:54:00:00:6e:01")),
    ("vm-mac-duplicate", f"{NICS}[0].macAddress", put(WEB, f"{NICS}[0]", "macAddress", "52:54:00:00:6E:02")),
    ("vm-address-annotation", f"{NOTES}[{IP_KEY}]", put(WEB, NOTES, IP_KEY, "10.110.0.11")),
    ("vm-address-duplicate", f"{NOTES}[{IP_KEY}]", put(WEB, NOTES, IP_KEY, '["10.110.0.12"]')),
    ("vm-address-subnet", f"{NOTES}[{IP_KEY}]", put(WEB, NOTES, IP_KEY, '["10.120.0.99"]')),
    ("vm-address-subnet", f"{NOTES}[{IP_KEY}]", put(WEB, NOTES, IP_KEY, '["10.110.0.255"]')),
    ("vm-address-subnet", f"{NOTES}[{IP_KEY}]", put(WEB, NOTES, IP_KEY, '["10.110.0.1"]')),
    (
        "vm-annotation-key",
        f"{NOTES}[cni.projectcalico.org/eth0.ipAddrs]",
        put(WEB, NOTES, "cni.projectcalico.org/eth0.ipAddrs", '["10.110.0.99"]'),
    ),
]


def test_dc1_is_clean() -> None:
    assert lint(DC1) == []


@pytest.mark.parametrize(("identity", "field", "change"), CASES, ids=[f"{n}-{c[0]}" for n, c in enumerate(CASES)])
def test_the_rule_finds_the_fault_at_its_field(identity: str, field: str, change: Callable[[list[Doc]], None]) -> None:
    documents = copy.deepcopy(DC1)
    change(documents)
    found = [finding for finding in lint(documents) if finding.id == identity]
    assert field in [finding.field for finding in found]
    assert all(finding.evidence and finding.fix.endswith(".") and finding.message for finding in found)


def test_every_rule_has_a_case_and_a_line_in_the_documentation() -> None:
    elsewhere = ("policy-", "tier-", "set-")  # test_policy_lint.py
    assert {identity for identity, _, _ in CASES} == {r.id for r in RULES if not r.id.startswith(elsewhere)}
    rows = [line for line in (ROOT / "docs/findings.md").read_text().splitlines() if line.startswith("| `")]
    wanted = [f"| `{r.id}` | {r.severity} | {r.kind or 'every document'} | {r.summary} |" for r in RULES]
    assert rows == wanted


def _ids(findings: list[Finding]) -> set[str]:
    return {finding.id for finding in findings}


def test_the_cluster_counts_as_context_and_an_update_replaces_the_old() -> None:
    vm = copy.deepcopy(DC1[WEB])
    assert lint([vm], context=DC1) == []
    vm["metadata"]["name"] = "other"
    assert _ids(lint([vm], context=DC1)) == {"vm-mac-duplicate", "vm-address-duplicate"}
    network = copy.deepcopy(DC1[1])
    network["metadata"]["name"] = "dc2"
    assert _ids(lint([network], context=DC1)) == {"network-trunk-shared"}


def test_one_mac_on_two_vlans_is_no_clash() -> None:
    documents = copy.deepcopy(DC1)
    at(documents[DB], NICS)[0]["macAddress"] = "52:54:00:00:6e:01"
    assert lint(documents) == []


def test_a_trunk_of_the_same_name_on_other_nodes_is_not_shared() -> None:
    networks = []
    for rack in "ab":
        network = copy.deepcopy(DC1[1])
        network["metadata"]["name"] = f"dc-{rack}"
        network["spec"]["l2Bridge"]["hostConfig"] = [host(f"rack == '{rack}'")]
        networks.append(network)
    metas: list[Doc] = [{"name": f"n{rack}", "labels": {"rack": rack}} for rack in "ab"]
    nodes = [{"apiVersion": "v1", "kind": "Node", "metadata": meta} for meta in metas]
    assert _ids(lint(networks)) == {"network-trunk-shared"}
    assert lint(networks, context=nodes) == []
    metas[0]["labels"]["rack"] = "b"
    networks[0]["spec"]["l2Bridge"]["hostConfig"][0]["nodeSelector"] = "has(rack)"
    (first, second) = lint(networks, context=nodes)
    assert "on node n" in first.message and first.field == second.field


def test_the_lost_subnet_and_the_nearest_name_are_named() -> None:
    documents = copy.deepcopy(DC1)
    at(documents[1], VLANS).append({"vlan": {"id": 110}, "subnets": [{"cidr": "10.7.0.0/24"}]})
    documents[1]["spec"]["l2Bridge"]["hostConfg"] = []
    by_id = {finding.id: finding for finding in lint(documents)}
    assert "10.7.0.0/24" in by_id["network-vlan-duplicate"].evidence
    assert by_id["unknown-field"].fix == "Write hostConfig."
    assert by_id["unknown-field"].as_dict()["object"] == "Network/dc1"
