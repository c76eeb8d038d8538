"""CRUD of the lab's API over TLS: what is stored, what is refused and with which Status."""

from __future__ import annotations

import re
from typing import Any

CMS = "/api/v1/namespaces/vms/configmaps"
NETWORKS = "/apis/projectcalico.org/v3/networks"


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def network(name: str = "dc1", **vlan: Any) -> dict[str, Any]:
    host = {"bridge": {"managedBridge": {}}, "hostConnections": [{"trunkPort": {"interface": {"name": "trunk0"}}}]}
    spec = {"l2Bridge": {"hostConfig": [host], "vlans": [{"vlan": vlan or {"id": 110}}]}}
    return {"apiVersion": "projectcalico.org/v3", "kind": "Network", "metadata": {"name": name}, "spec": spec}


async def test_create_gives_system_fields_and_a_second_create_already_exists(api):
    admin = api.client()
    made = await admin("POST", CMS, config_map("a", k="v"))
    assert made.code == 201
    meta = made.body["metadata"]
    assert re.fullmatch(r"[0-9a-f-]{36}", meta["uid"]) and meta["resourceVersion"].isdigit()
    assert meta["namespace"] == "vms" and meta["creationTimestamp"].endswith("Z")
    again = await admin("POST", CMS, config_map("a"))
    assert (again.code, again.reason) == (409, "AlreadyExists")
    assert again.body["message"] == 'configmaps "a" already exists'
    assert again.body["details"] == {"name": "a", "kind": "configmaps"}
    assert (await admin("GET", f"{CMS}/a")).body == made.body


async def test_put_needs_the_present_version_and_a_write_without_change_keeps_it(api):
    admin = api.client()
    made = (await admin("POST", NETWORKS, network())).body
    same = await admin("PUT", f"{NETWORKS}/dc1", made)
    assert same.code == 200 and same.body["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
    made["spec"]["l2Bridge"]["vlans"][0]["vlan"]["id"] = 111
    changed = await admin("PUT", f"{NETWORKS}/dc1", made)
    assert changed.body["metadata"]["generation"] == 2
    stale = await admin("PUT", f"{NETWORKS}/dc1", made)
    assert (stale.code, stale.reason) == (409, "Conflict")
    assert "the object has been modified" in stale.body["message"]
    del made["metadata"]["resourceVersion"]
    bare = await admin("PUT", f"{NETWORKS}/dc1", made)
    assert bare.code == 422 and "must be specified for an update" in bare.body["message"]


async def test_one_and_true_are_different_values(api):
    admin = api.client()
    body = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "Network",
        "metadata": {"name": "n"},
        "spec": {"vrf": {"x": 1}},
    }
    first = (await admin("POST", NETWORKS, body)).body
    second = (await admin.merge(f"{NETWORKS}/n", {"spec": {"vrf": {"x": True}}})).body
    assert (
        second["spec"]["vrf"]["x"] is True
        and second["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
    )


async def test_status_and_spec_are_written_apart(api):
    admin = api.client()
    body = {**network(), "status": {"conditions": []}}
    made = await admin("POST", NETWORKS, body)
    assert "status" not in made.body
    condition = {"type": "Ready", "status": "True", "reason": "Ready", "message": "dc1", "lastTransitionTime": "x"}
    path = f"{NETWORKS}/dc1"
    status = {"status": {"conditions": [condition]}, "spec": {"vrf": {}}, "metadata": {"labels": {"a": "b"}}}
    after = await admin.merge(f"{path}/status", status)
    assert after.code == 200 and after.body["status"]["conditions"] == [condition]
    assert after.body["spec"] == made.body["spec"] and "labels" not in after.body["metadata"]
    assert after.body["metadata"]["generation"] == 1
    kept = await admin.merge(path, {"status": None, "metadata": {"labels": {"a": "b"}}})
    assert kept.body["status"]["conditions"] == [condition] and kept.body["metadata"]["labels"] == {"a": "b"}


async def test_apply_creates_then_merges(api):
    admin = api.client()
    made = await admin.apply(f"{NETWORKS}/dc1", network())
    assert made.code == 201 and made.warnings == []
    again = await admin.apply(f"{NETWORKS}/dc1", network(id=112))
    assert again.code == 200 and len(again.body["spec"]["l2Bridge"]["hostConfig"]) == 1
    assert again.body["spec"]["l2Bridge"]["vlans"] == [{"vlan": {"id": 112}}]
    nobody = await admin("PATCH", f"{NETWORKS}/dc1", network(), "application/apply-patch+yaml")
    assert nobody.code == 422 and "fieldManager: Required value" in nobody.body["message"]


async def test_apply_takes_yaml_and_merges_conditions_by_type(api):
    admin = api.client()
    yaml = (
        b"apiVersion: v1\nkind: Node\nmetadata: {name: node1}\nstatus:\n  conditions:\n  - {type: A, status: 'True'}\n"
    )
    assert (await admin.apply("/api/v1/nodes/node1", yaml)).code == 201
    patch = {"apiVersion": "v1", "kind": "Node", "status": {"conditions": [{"type": "B", "status": "False"}]}}
    after = await admin.apply("/api/v1/nodes/node1/status", patch)
    assert [c["type"] for c in after.body["status"]["conditions"]] == ["A", "B"]


async def test_dry_run_goes_through_everything_and_stores_nothing(api):
    admin = api.client()
    before = api.server.api.store.rv
    assert (await admin("POST", f"{NETWORKS}?dryRun=All", network())).code == 201
    assert (await admin("POST", f"{NETWORKS}?dryRun=All", network(id=4095))).code == 422
    assert (await admin.apply(f"{NETWORKS}/dc1", network(), "&dryRun=All")).code == 201
    assert (await admin("GET", f"{NETWORKS}/dc1")).code == 404
    await admin("POST", CMS, config_map("a"))
    assert (await admin("DELETE", f"{CMS}/a?dryRun=All")).code == 200
    assert (await admin.merge(f"{CMS}/a?dryRun=All", {"data": {"x": "y"}})).body["data"] == {"x": "y"}
    assert (await admin("GET", f"{CMS}/a")).body["data"] == {}
    assert api.server.api.store.rv == before + 1
    wrong = await admin("POST", f"{NETWORKS}?dryRun=yes", network())
    assert wrong.code == 422 and 'supported values: "All"' in wrong.body["message"]


async def test_unknown_fields_strict_warn_ignore(api):
    admin = api.client()
    body = network()
    body["spec"]["l2Bridge"]["vlans"][0]["bogus"] = 1
    path = "spec.l2Bridge.vlans[0].bogus"
    strict = await admin("POST", f"{NETWORKS}?fieldValidation=Strict", body)
    assert (strict.code, strict.reason) == (400, "BadRequest")
    assert f'strict decoding error: unknown field "{path}"' in strict.body["message"]
    warn = await admin("POST", NETWORKS, body)
    assert warn.code == 201 and warn.warnings == [f'299 - "unknown field \\"{path}\\""']
    assert "bogus" not in str(warn.body)
    patched = await admin.merge(f"{NETWORKS}/dc1?fieldValidation=Strict", {"spec": {"x": 1}})
    assert patched.code == 422 and 'unknown field "spec.x"' in patched.body["message"]
    assert not (await admin.merge(f"{NETWORKS}/dc1?fieldValidation=Ignore", {"spec": {"x": 1}})).warnings


async def test_finalizers_hold_a_deleted_object_and_none_can_be_added(api):
    admin = api.client()
    body = config_map("held")
    body["metadata"]["finalizers"] = ["bascule.dev/x"]
    await admin("POST", CMS, body)
    marked = await admin("DELETE", f"{CMS}/held")
    assert marked.body["kind"] == "ConfigMap" and marked.body["metadata"]["deletionTimestamp"]
    more = await admin.merge(f"{CMS}/held", {"metadata": {"finalizers": ["bascule.dev/x", "bascule.dev/y"]}})
    assert more.code == 422 and "no new finalizers" in more.body["message"]
    assert (await admin.merge(f"{CMS}/held", {"metadata": {"finalizers": None}})).code == 200
    assert (await admin("GET", f"{CMS}/held")).reason == "NotFound"


async def test_delete_preconditions_and_collection(api):
    admin = api.client()
    for name in ("a", "b", "c"):
        body = config_map(name)
        body["metadata"]["labels"] = {"x": name}
        await admin("POST", CMS, body)
    wrong = await admin("DELETE", f"{CMS}/a", {"preconditions": {"uid": "other"}})
    assert wrong.code == 409 and "UID in precondition: other" in wrong.body["message"]
    assert (await admin("DELETE", f"{CMS}/a", {"propagationPolicy": "Later"})).code == 422
    gone = await admin("DELETE", f"{CMS}/a", {"propagationPolicy": "Background"})
    assert gone.body["status"] == "Success" and gone.body["details"]["name"] == "a"
    assert (await admin("DELETE", f"{CMS}?labelSelector=x%3Db")).code == 200
    assert [i["metadata"]["name"] for i in (await admin("GET", CMS)).body["items"]] == ["c"]


async def test_generate_name_and_bad_names(api):
    admin = api.client()
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "gen-"}}
    assert re.fullmatch(r"gen-[a-z0-9]{5}", (await admin("POST", CMS, body)).body["metadata"]["name"])
    for name in ("Upper", "-x", "x" * 254, "a..b", ""):
        answer = await admin("POST", CMS, config_map(name))
        assert (answer.code, answer.reason) == (422, "Invalid"), name
    other = await admin("POST", CMS, {**config_map("a"), "metadata": {"name": "a", "namespace": "elsewhere"}})
    assert other.code == 400 and "does not match the namespace" in other.body["message"]
    lost = await admin("POST", "/api/v1/namespaces/nowhere/configmaps", config_map("a"))
    assert lost.code == 404 and lost.body["message"] == 'namespaces "nowhere" not found'


async def test_what_is_not_implemented_is_refused_with_a_status(api):
    admin = api.client()
    await admin("POST", CMS, config_map("a"))
    await admin("POST", NETWORKS, network())
    strategic = await admin("PATCH", f"{NETWORKS}/dc1", {}, "application/strategic-merge-patch+json")
    assert strategic.reason == "UnsupportedMediaType" and "application/json-patch+json" in strategic.body["message"]
    protobuf = await admin("POST", CMS, b"k8s\0", "application/vnd.kubernetes.protobuf")
    assert protobuf.code == 415
    assert (await admin("POST", "/api/v1/configmaps", config_map("a"))).reason == "MethodNotAllowed"
    assert (await admin("GET", "/apis/nowhere/v1/things")).reason == "NotFound"
    for part in ("log", "exec", "portforward", "eviction"):
        streamed = await admin("POST", f"/api/v1/namespaces/vms/pods/x/{part}")
        assert (streamed.code, streamed.reason) == (501, "NotImplemented") and part in streamed.body["message"]
    assert (await admin("GET", "/api/v1/namespaces/vms/pods/x/nothing")).code == 404
    assert (await admin("GET", f"{CMS}?sendInitialEvents=true&watch=1")).code == 422
    assert (await admin("GET", f"{CMS}?sendInitialEvents=true&resourceVersionMatch=NotOlderThan")).code == 422


async def test_a_namespace_carries_its_name_as_a_label_that_nobody_can_change(api):
    admin, key = api.client(), "kubernetes.io/metadata.name"
    made = await admin("POST", "/api/v1/namespaces", {"metadata": {"name": "labelled", "labels": {"team": "a"}}})
    assert made.body["metadata"]["labels"] == {"team": "a", key: "labelled"}
    other = await admin.merge("/api/v1/namespaces/labelled", {"metadata": {"labels": {key: "other", "team": None}}})
    assert (other.code, other.body["metadata"]["labels"]) == (200, {key: "labelled"})
    taken = await admin.merge("/api/v1/namespaces/labelled", {"metadata": {"labels": None}})
    assert taken.body["metadata"]["labels"] == {key: "labelled"}
    applied = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "applied"}}
    assert (await admin.apply("/api/v1/namespaces/applied", applied)).body["metadata"]["labels"] == {key: "applied"}
    found = await admin("GET", f"/api/v1/namespaces?labelSelector={key}%3Dlabelled")
    assert [item["metadata"]["name"] for item in found.body["items"]] == ["labelled"]
