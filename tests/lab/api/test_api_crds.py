"""CRDs of the lab's API: our own documents, dynamic ones, validation, ownership and clean-up."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
import yaml

from bascule_lab.apiserver.server import CRD_DIRECTORY

CRD_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
NETWORKS = "/apis/projectcalico.org/v3/networks"
CMS = "/api/v1/namespaces/vms/configmaps"
NETWORK: dict[str, Any] = {
    "apiVersion": "projectcalico.org/v3",
    "kind": "Network",
    "metadata": {"name": "dc1"},
    "spec": {
        "l2Bridge": {
            "hostConfig": [
                {
                    "nodeSelector": "rack == 'a'",
                    "bridge": {"existingBridge": {"name": "br-dc"}},
                    "hostConnections": [{"trunkPort": {"interface": {"name": "trunk0"}, "nativeVLAN": 100}}],
                },
                {"bridge": {"managedBridge": {}}},
            ],
            "vlans": [
                {"vlan": {"id": 110}, "subnets": [{"cidr": "10.110.0.0/24"}]},
                {"vlan": {"range": {"start": 300, "end": 309}}},
            ],
        }
    },
}
ROUTE = {"destination": "0.0.0.0/0", "action": {"nextHop": "10.110.0.1"}}
WRONG = [
    ("vlans/0/vlan/id", 0, "greater than or equal to 1"),
    ("vlans/0/vlan/id", 4095, "less than or equal to 4094"),
    ("vlans/0/vlan/id", "110", 'must be of type integer: "string"'),
    ("vlans/0/vlan/id", True, 'must be of type integer: "boolean"'),
    ("vlans/0/vlan/range", {"start": 1, "end": 2}, "Too many: 2: must have at most 1 items"),
    ("vlans/0/vlan", {}, "should have at least 1 properties"),
    ("vlans/1/vlan/range/start", 310, "start must not be greater than end"),
    ("vlans/1/vlan/range", {"start": 1}, "vlans[1].vlan.range.end: Required value"),
    ("vlans", [], "should have at least 1 items"),
    ("vlans/0/subnets/0", {}, "subnets[0].cidr: Required value"),
    ("vlans/0/subnets/0/routes", [ROUTE, ROUTE], 'Duplicate value: {"destination": "0.0.0.0/0"}'),
    ("hostConfig/0/nodeSelector", "", 'hostConfig[1]: Duplicate value: {"nodeSelector": ""}'),
    ("hostConfig/0/bridge/existingBridge/name", "calb-dc1", "reserved for Calico"),
    ("hostConfig/0/bridge/existingBridge/name", "x" * 16, "Too long: may not be more than 15 bytes"),
    ("hostConfig/0/bridge/existingBridge/name", None, "existingBridge.name: Required value"),
    ("hostConfig/1/bridge/managedBridge/stp", True, "must be of type string"),
    ("hostConfig/1/bridge/managedBridge/stp", "On", 'supported values: "Enabled", "Disabled"'),
    ("hostConfig/0/hostConnections", [{"trunkPort": {"interface": {"name": "a"}}}] * 2, "at most 1 items"),
    ("hostConfig", [{"nodeSelector": str(n), "bridge": {"managedBridge": {}}} for n in range(101)], "at most 100"),
    ("vrf", {}, "Too many: 2"),
]


def changed(path: str, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(NETWORK)
    node: Any = document["spec"] if path == "vrf" else document["spec"]["l2Bridge"]
    *way, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    for part in way:
        node = node[part]
    node[last] = value
    return document


def widget_crd(schema: dict[str, Any], **names: str) -> dict[str, Any]:
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    spec = {"group": "h1.example.com", "scope": "Namespaced", "versions": [version]}
    spec["names"] = {"plural": "widgets", "kind": "Widget", **names}
    meta = {"name": f"{spec['names']['plural']}.h1.example.com"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": meta,
        "spec": spec,
    }


async def test_our_crds_are_loaded_established_and_discovered(api):
    admin = api.client()
    items = (await admin("GET", CRD_PATH)).body["items"]
    kinds = {item["spec"]["names"]["kind"] for item in items}
    assert kinds == {yaml.safe_load(path.read_text())["spec"]["names"]["kind"] for path in CRD_DIRECTORY.glob("*.yaml")}
    assert kinds >= {"Network", "IPPool", "NetworkAttachmentDefinition", "VirtualMachine", "VirtualMachineInstance"}
    for item in items:
        assert {c["type"]: c["status"] for c in item["status"]["conditions"]}["Established"] == "True"
    groups = {g["name"] for g in (await admin("GET", "/apis")).body["groups"]}
    assert {"projectcalico.org", "kubevirt.io", "k8s.cni.cncf.io", "coordination.k8s.io"} <= groups
    core = (await admin("GET", "/api/v1")).body
    assert core["groupVersion"] == "v1" and "pods/status" in {r["name"] for r in core["resources"]}
    calico = (await admin("GET", "/apis/projectcalico.org/v3")).body
    assert {r["name"] for r in calico["resources"]} >= {"networks", "networks/status", "ippools", "ippools/status"}


async def test_our_crds_leave_no_rule_unevaluated(api):
    assert {kind.resource: kind.unchecked for kind in api.server.api.registry if kind.unchecked} == {}


async def test_a_right_network_is_kept_with_its_defaults(api):
    answer = await api.client()("POST", f"{NETWORKS}?fieldValidation=Strict", NETWORK)
    assert answer.code == 201, answer.body
    hosts = answer.body["spec"]["l2Bridge"]["hostConfig"]
    assert hosts[1] == {"nodeSelector": "", "bridge": {"managedBridge": {"stp": "Disabled"}}}


@pytest.mark.parametrize(("path", "value", "text"), WRONG, ids=[f"{p}={str(v)[:20]}" for p, v, _ in WRONG])
async def test_a_wrong_network_is_invalid_with_the_field(api, path, value, text):
    answer = await api.client()("POST", NETWORKS, changed(path, value))
    assert (answer.code, answer.reason) == (422, "Invalid")
    assert text in answer.body["message"] and 'Network.projectcalico.org "dc1" is invalid' in answer.body["message"]
    assert all(cause["field"].startswith("spec") for cause in answer.body["details"]["causes"])


async def test_a_networks_type_is_immutable(api):
    admin = api.client()
    await admin("POST", NETWORKS, NETWORK)
    answer = await admin.merge(f"{NETWORKS}/dc1", {"spec": {"l2Bridge": None, "vrf": {}}})
    assert answer.code == 422 and "immutable" in answer.body["message"]


async def test_ippool_rules(api):
    admin = api.client()
    path = "/apis/projectcalico.org/v3/ippools"
    spec = {"cidr": "10.110.0.0/24", "allowedUses": ["L2Workload"], "disableBGPExport": True, "blockSize": 26}
    pool = {"apiVersion": "projectcalico.org/v3", "kind": "IPPool", "metadata": {"name": "p"}}
    for change, text in (
        ({"disableBGPExport": False}, "must set disableBGPExport"),
        ({"allowedUses": ["L2Workload", "Tunnel"]}, "cannot be combined"),
        ({"vxlanMode": "Always"}, "no IPIP or VXLAN"),
    ):
        answer = await admin("POST", path, {**pool, "spec": {**spec, **change}})
        assert answer.code == 422 and text in answer.body["message"]
    assert (await admin("POST", path, {**pool, "spec": spec})).code == 201
    answer = await admin.merge(f"{path}/p", {"spec": {"cidr": "10.0.0.0/8"}})
    assert answer.code == 422 and "cidr is immutable" in answer.body["message"]


async def test_a_crd_comes_with_routes_and_goes_with_its_objects(api):
    admin = api.client()
    rule = {"rule": "quantity(self.a).isLessThan(quantity(self.b))", "message": "a must be less"}
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "x-kubernetes-validations": [rule], "properties": {}}},
    }
    made = await admin("POST", CRD_PATH, widget_crd(schema))
    assert made.code == 201 and any("quantity(self.a)" in text for text in made.warnings), made.body
    path = "/apis/h1.example.com/v1/namespaces/vms/widgets"
    widget = {"apiVersion": "h1.example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {}}
    first = await admin("POST", path, widget)
    assert first.code == 201 and any("not evaluated" in text for text in first.warnings)
    async with admin.watch(f"{path}?watch=1&resourceVersion={first.body['metadata']['resourceVersion']}") as watch:
        await admin("DELETE", f"{CRD_PATH}/widgets.h1.example.com")
        assert await watch.types(1) == [("DELETED", "w")]
        assert await watch.next() is None
    assert (await admin("GET", path)).code == 404
    assert (await admin("GET", f"{CRD_PATH}/widgets.h1.example.com")).code == 404


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "string"}, "must be"),
        ({"type": "object", "properties": {"a": {"$ref": "#/x"}}}, "$ref"),
        ({"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}}, "no regular expression"),
        ({"type": "object", "properties": {"a": {"type": "text"}}}, "Unsupported value"),
        ({"type": "object", "properties": {"a": {"type": "array", "x-kubernetes-list-type": "map"}}}, "needs keys"),
    ],
)
async def test_a_malformed_schema_is_refused(api, schema, text):
    answer = await api.client()("POST", CRD_PATH, widget_crd(schema))
    assert answer.code == 422 and text in answer.body["message"]


async def test_a_crds_name_is_plural_and_group_and_it_has_one_version(api):
    crd = widget_crd({"type": "object"})
    crd["metadata"]["name"] = "other.h1.example.com"
    assert (await api.client()("POST", CRD_PATH, crd)).code == 422
    crd = widget_crd({"type": "object"})
    crd["spec"]["versions"] *= 2
    answer = await api.client()("POST", CRD_PATH, crd)
    assert answer.code == 422 and "one version per resource" in answer.body["message"]


async def until_gone(client: Any, *paths: str) -> None:
    for _ in range(100):
        if all([(await client("GET", path)).code == 404 for path in paths]):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"still there: {paths}")


async def test_what_an_object_owns_goes_with_it_over_two_generations(api):
    admin = api.client()
    root = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "vm"}}
    owner = (await admin("POST", CMS, root)).body
    for name in ("vmi", "pod"):
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": owner["metadata"]["uid"]}
        body = {"metadata": {"name": name, "ownerReferences": [reference]}}
        owner = (await admin("POST", CMS, body)).body
    await admin("POST", CMS, {"metadata": {"name": "free"}})
    await admin("DELETE", f"{CMS}/vm")
    await until_gone(admin, f"{CMS}/vmi", f"{CMS}/pod")
    assert (await admin("GET", f"{CMS}/free")).code == 200
    reference["uid"] = "11111111-1111-1111-1111-111111111111"
    await admin("POST", CMS, {"metadata": {"name": "late", "ownerReferences": [reference]}})
    await until_gone(admin, f"{CMS}/late")


async def test_a_namespace_is_emptied_before_it_goes(api):
    admin = api.client()
    body = {"metadata": {"name": "held", "finalizers": ["bascule.dev/x"]}}
    await admin("POST", CMS, body)
    await admin("POST", CMS, {"metadata": {"name": "plain"}})
    marked = await admin("DELETE", "/api/v1/namespaces/vms")
    assert marked.body["status"]["phase"] == "Terminating"
    await until_gone(admin, f"{CMS}/plain")
    late = await admin("POST", CMS, {"metadata": {"name": "late"}})
    assert (late.code, late.reason) == (403, "Forbidden")
    version = api.server.api.store.rv
    await asyncio.sleep(0.05)
    assert api.server.api.store.rv == version, "a held namespace is not written again and again"
    await admin.merge(f"{CMS}/held", {"metadata": {"finalizers": None}})
    await until_gone(admin, "/api/v1/namespaces/vms")
