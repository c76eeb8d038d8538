"""A small cluster with policies of every state, for the tests of the console's policy screen and verbs."""

from __future__ import annotations

import json
from typing import Any

from bascule.resources.kubevirt import pod_interface_name

V3 = "projectcalico.org/v3"
IF = pod_interface_name("net-0")
Doc = dict[str, Any]


def address(name: str) -> tuple[int, str, str]:
    kind, number = name.rsplit("-", 1)
    vlan = {"web": 110, "db": 120, "legacy": 100}[kind]
    return vlan, f"10.{vlan}.0.{10 + int(number)}", f"52:54:00:00:{vlan:02x}:{int(number):02x}"


def pod(vm: str, vlan: int, ip: str, mac: str) -> Doc:
    """A VM's launcher pod."""
    notes = {
        f"cni.projectcalico.org/{IF}.network-status": json.dumps({"name": "dc1", "mac": mac, "vlan": vlan}),
        "k8s.v1.cni.cncf.io/network-status": json.dumps(
            [{"name": f"vms/vlan-{vlan}", "interface": IF, "ips": [ip], "mac": mac}]
        ),
        "k8s.v1.cni.cncf.io/networks": json.dumps([{"name": f"vlan-{vlan}", "namespace": "vms", "interface": IF}]),
    }
    labels = {"kubevirt.io": "virt-launcher", "vm.kubevirt.io/name": vm, "app": vm.partition("-")[0]}
    meta = {"name": f"virt-launcher-{vm}", "namespace": "vms", "labels": labels, "annotations": notes}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [{"name": "compute"}]}}


def policy(kind: str, name: str, **spec: Any) -> Doc:
    meta = {"name": name} if "Global" in kind or kind == "Tier" else {"name": name, "namespace": "vms"}
    return {"apiVersion": V3, "kind": kind, "metadata": meta, "spec": spec}


def tcp(action: str, *ports: Any, **source: Any) -> Doc:
    rule: Doc = {"action": action, "protocol": "TCP"}
    return rule | ({"source": source} if source else {}) | ({"destination": {"ports": list(ports)}} if ports else {})


DOCUMENTS = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "vms", "labels": {"team": "web"}}},
    policy("Tier", "security", order=100, defaultAction="Pass"),
    policy(
        "GlobalNetworkPolicy", "quarantine", tier="security", order=10, selector="quarantine == 'yes'",
        types=["Ingress", "Egress"], ingress=[{"action": "Deny"}], egress=[{"action": "Deny"}],
    ),
    policy(
        "NetworkPolicy", "web", order=100, selector="app == 'web'", types=["Ingress"],
        ingress=[
            tcp("Allow", 7, selector="app == 'web'"),
            tcp("Deny", "1:1023"),
            tcp("Allow", 22, nets=["198.51.100.0/24"]),
            {"action": "Allow", "source": {"selector": "zone == 'office'", "namespaceSelector": "global()"}},
        ],
    ),
    policy("StagedNetworkPolicy", "web", order=100, selector="app == 'web'", types=["Ingress"], stagedAction="Set",
           ingress=[tcp("Allow", 443)]),
    policy("GlobalNetworkPolicy", "lost", tier="nowhere", selector="app == 'db'"),
    {"apiVersion": V3, "kind": "GlobalNetworkSet", "metadata": {"name": "office", "labels": {"zone": "office"}},
     "spec": {"nets": ["203.0.113.0/24"]}},
]  # fmt: skip
