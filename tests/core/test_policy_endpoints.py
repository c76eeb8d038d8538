"""The endpoint of a VM NIC: its labels from pod, VMI and NAD, and policies that aim at a Network, a VLAN, an outside
network."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from bascule.policy.endpoints import Endpoint, endpoints_of
from bascule.policy.explain import explain, pending
from bascule.policy.flow import Flow
from bascule.policy.model import PolicySet
from bascule.policy.verdict import Judge
from bascule.resources.kubevirt import pod_interface_name

Doc = dict[str, Any]
IF = pod_interface_name("net-0")


def launcher(vm: str, vlan: int, ip: str, **labels: str) -> Doc:
    mac = f"52:54:00:00:00:{int(ip.rpartition('.')[2]):02x}"
    notes = {
        f"cni.projectcalico.org/{IF}.network-status": json.dumps({"name": "opaque", "mac": mac, "vlan": vlan}),
        "k8s.v1.cni.cncf.io/networks": json.dumps([{"name": f"vlan-{vlan}", "namespace": "vms", "interface": IF}]),
        "k8s.v1.cni.cncf.io/network-status": json.dumps(
            [{"name": f"vms/vlan-{vlan}", "interface": IF, "ips": [ip], "mac": mac}]
        ),
    }
    own = {"kubevirt.io": "virt-launcher", "vm.kubevirt.io/name": vm, **labels}
    meta = {"name": f"virt-launcher-{vm}-x", "namespace": "vms", "labels": own, "annotations": notes}
    ports = [{"name": "ssh", "containerPort": 22}]
    return {"kind": "Pod", "metadata": meta, "spec": {"containers": [{"ports": ports}]}, "status": {}}


def vmi(vm: str) -> Doc:
    interface = {"name": "net-0", "bridge": {}, "ports": [{"name": "https", "port": 443, "protocol": "TCP"}]}
    spec = {"domain": {"devices": {"interfaces": [interface]}}, "networks": [{"name": "net-0", "multus": {}}]}
    return {"metadata": {"name": vm, "namespace": "vms"}, "spec": spec}


def nad(vlan: int) -> Doc:
    meta = {"name": f"vlan-{vlan}", "namespace": "vms"}
    return {"metadata": meta, "spec": {"config": json.dumps({"type": "calico", "network": "dc1", "vlan": vlan})}}


PODS = [launcher("web", 110, "10.110.0.11", app="web"), launcher("db", 120, "10.120.0.11", app="db")]
FOUND = endpoints_of(PODS, [vmi("web")], [nad(110), nad(120)])


def named(vm: str) -> Endpoint:
    return next(endpoint for endpoint in FOUND.endpoints if endpoint.vm == vm)


def policy(kind: str = "GlobalNetworkPolicy", name: str = "p", **spec: Any) -> Doc:
    meta = {"name": name} if "Global" in kind or kind == "Tier" else {"name": name, "namespace": "vms"}
    return {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": meta, "spec": spec}


def word(flow: Flow, *documents: Doc) -> str:
    return Judge(PolicySet.of(documents), FOUND.endpoints).connection(flow).action


def test_the_labels_of_a_nic() -> None:
    web = named("web")
    assert web.labels == {
        "kubevirt.io": "virt-launcher",
        "vm.kubevirt.io/name": "web",
        "app": "web",
        "projectcalico.org/namespace": "vms",
        "projectcalico.org/orchestrator": "k8s",
        "projectcalico.org/serviceaccount": "default",
        "projectcalico.org/network": "dc1",
        "projectcalico.org/network-attachment": "vlan-110",
        "projectcalico.org/network-attachment-namespace": "vms",
        "projectcalico.org/network-interface": IF,
    }
    assert (web.name, web.vlan, web.ips, web.profiles) == (
        "vms/web/net-0",
        110,
        ("10.110.0.11",),
        ("kns.vms", "ksa.vms.default"),
    )
    assert web.ports == (("ssh", 6, 22), ("https", 6, 443))
    assert endpoints_of(PODS[:1]).endpoints[0].labels["projectcalico.org/network"] == "opaque"


def test_pods_that_are_no_endpoint_and_pods_that_are_malformed() -> None:
    ended = {**PODS[0], "status": {"phase": "Succeeded"}}
    plain: Doc = {"metadata": {"name": "p", "namespace": "n"}, "status": {"podIPs": [{"ip": "10.244.0.9"}]}}
    host = {**plain, "spec": {"hostNetwork": True}}
    broken = copy.deepcopy(PODS[0])
    broken["metadata"]["annotations"][f"cni.projectcalico.org/{IF}.network-status"] = "{"
    found = endpoints_of([ended, plain, host, broken, {**plain, "status": {}}])
    assert [(each.name, each.ips) for each in found.endpoints] == [("n/p", ("10.244.0.9",))]
    assert len(found.problems) == 1 and "virt-launcher-web-x" in found.problems[0].message


WEB_TO_DB = Flow.of("10.110.0.11", "10.120.0.11", 6, 443)
FROM_OUTSIDE = Flow.of("198.51.100.10", "10.110.0.11", 6, 443)


def test_a_vlan_is_aimed_at_by_its_nad_and_an_outside_network_by_its_set() -> None:
    vlan = "projectcalico.org/network == 'dc1' && projectcalico.org/network-attachment == 'vlan-110'"
    deny = policy(selector=vlan, types=["Egress"], egress=[{"action": "Deny"}])
    assert word(WEB_TO_DB) == "allow" and word(WEB_TO_DB, deny) == "deny"
    assert word(Flow.of("10.120.0.11", "10.110.0.11", 6, 443), deny) == "allow"
    outside = policy("GlobalNetworkSet", "office", nets=["198.51.100.0/24"])
    outside["metadata"]["labels"] = {"zone": "office"}
    source = {"selector": "zone == 'office'", "namespaceSelector": "global()"}
    allow = policy(selector=vlan, ingress=[{"action": "Allow", "source": source}])
    assert word(FROM_OUTSIDE, allow) == "deny" and word(FROM_OUTSIDE, allow, outside) == "allow"


def test_named_ports_come_from_the_vm() -> None:
    rule = {"action": "Allow", "protocol": "TCP", "destination": {"ports": ["https"]}}
    only = policy(selector="app == 'web'", ingress=[rule])
    assert word(FROM_OUTSIDE, only) == "allow"
    assert word(Flow.of("198.51.100.10", "10.110.0.11", 6, 80), only) == "deny"


def test_the_path_of_tiers_with_pass_and_of_both_ends() -> None:
    documents = [
        policy("Tier", "early", order=1),
        policy("GlobalNetworkPolicy", "a", tier="early", selector="app == 'db'", ingress=[{"action": "Log"}]),
        policy("GlobalNetworkPolicy", "b", tier="early", selector="app == 'db'", ingress=[{"action": "Pass"}]),
        policy("NetworkPolicy", "c", order=1, selector="app == 'db'", ingress=[{"action": "Deny", "protocol": "UDP"}]),
        policy("NetworkPolicy", "d", order=2, selector="app == 'db'", types=["Ingress"]),
    ]
    judge = Judge(PolicySet.of(documents), FOUND.endpoints)
    steps = explain(judge, judge.connection(WEB_TO_DB))
    assert [(step.side, step.tier, step.policy, step.action) for step in steps] == [
        ("source", "", "Profile/kns.vms", "Allow"),
        ("destination", "early", "GlobalNetworkPolicy/a", "Log"),
        ("destination", "early", "GlobalNetworkPolicy/b", "Pass"),
        ("destination", "default", "NetworkPolicy/vms/c", "no match"),
        ("destination", "default", "NetworkPolicy/vms/d", "no match"),
        ("destination", "default", "", "Deny"),
    ]
    assert steps[-1].text == "end of tier default: Deny, because NetworkPolicy/vms/d selects this endpoint"
    assert [step.as_dict()["rule"] for step in steps] == [0, 0, 0, -1, -1, -1]


@pytest.mark.parametrize(("action", "wanted"), [("Set", "deny"), ("Learn", "allow"), ("Ignore", "allow")])
def test_a_staged_policy_is_pending_only(action: str, wanted: str) -> None:
    staged = policy("StagedGlobalNetworkPolicy", selector="app == 'db'", types=["Ingress"], stagedAction=action)
    judge = Judge(PolicySet.of([staged]), FOUND.endpoints)
    assert judge.connection(WEB_TO_DB).action == "allow"
    assert pending(judge, WEB_TO_DB) == wanted


def test_a_staged_delete_takes_the_policy_away() -> None:
    enforced = policy(selector="app == 'db'", types=["Ingress"])
    judge = Judge(PolicySet.of([enforced, policy("StagedGlobalNetworkPolicy", stagedAction="Delete")]), FOUND.endpoints)
    assert judge.connection(WEB_TO_DB).action == "deny" and pending(judge, WEB_TO_DB) == "allow"


def test_profiles_of_a_datastore_that_has_them() -> None:
    deny = policy("Profile", "kns.vms", ingress=[{"action": "Deny", "protocol": "UDP"}, {"action": "Allow"}], egress=[])
    deny["metadata"] = {"name": "kns.vms"}
    assert word(FROM_OUTSIDE, deny) == "allow"
    assert word(Flow.of("198.51.100.10", "10.110.0.11", 17, 53), deny) == "deny"
    assert word(WEB_TO_DB, deny) == "deny"  # no egress rule, and no other profile allows it


def test_between_strangers_nobody_judges() -> None:
    assert word(Flow.of("192.0.2.1", "192.0.2.2", 6, 80)) == "unknown"
    with pytest.raises(ValueError, match="different families"):
        Flow.of("192.0.2.1", "::1", 6, 80)
