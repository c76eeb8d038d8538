"""Server-side apply over the API: conflicts, force, giving up, and who owns what after other writes."""

from __future__ import annotations

import copy
from typing import Any

NETWORKS = "/apis/projectcalico.org/v3/networks"
DC1 = f"{NETWORKS}/dc1"
NODE = "/api/v1/nodes/n1"
JSON_PATCH = "application/json-patch+json"


def network(*hosts: str, native: int = 100, labels: dict[str, str] | None = None) -> dict[str, Any]:
    trunk = {"trunkPort": {"interface": {"name": "trunk0"}, "nativeVLAN": native}}
    entries = [
        {"nodeSelector": host, "bridge": {"managedBridge": {}}, "hostConnections": [copy.deepcopy(trunk)]}
        for host in hosts
    ]
    spec = {"l2Bridge": {"hostConfig": entries, "vlans": [{"vlan": {"id": 110}}]}}
    meta: dict[str, Any] = {"name": "dc1", **({"labels": labels} if labels else {})}
    return {"apiVersion": "projectcalico.org/v3", "kind": "Network", "metadata": meta, "spec": spec}


async def apply(client: Any, body: Any, manager: str, query: str = "", path: str = DC1) -> Any:
    return await client("PATCH", f"{path}?fieldManager={manager}{query}", body, "application/apply-patch+yaml")


def managers(answer: Any) -> list[tuple[str, str, str]]:
    return [(e["manager"], e["operation"], e.get("subresource", "")) for e in answer.body["metadata"]["managedFields"]]


async def test_conflict_force_and_shared_ownership(api):
    admin = api.client()
    made = await apply(admin, network("a"), "one")
    assert made.code == 201 and managers(made) == [("one", "Apply", "")] and made.warnings == []
    same = await apply(admin, network("a"), "two")
    assert same.code == 200 and managers(same) == [("one", "Apply", ""), ("two", "Apply", "")]
    version = same.body["metadata"]["resourceVersion"]
    assert (await apply(admin, network("a"), "two")).body["metadata"]["resourceVersion"] == version
    clash = await apply(admin, network("a", native=101), "two")
    field = '.spec.l2Bridge.hostConfig[nodeSelector="a"].hostConnections'
    assert (clash.code, clash.reason) == (409, "Conflict")
    assert clash.body["message"] == f'Apply failed with 1 conflict: conflict with "one": {field}'
    assert clash.body["details"]["causes"][0]["field"] == field
    forced = await apply(admin, network("a", native=101), "two", "&force=true")
    connection = forced.body["spec"]["l2Bridge"]["hostConfig"][0]["hostConnections"][0]
    assert connection["trunkPort"]["nativeVLAN"] == 101
    back = await apply(admin, network("a"), "one")
    assert back.code == 409 and 'conflict with "two"' in back.body["message"]


async def test_what_an_applier_gives_up_goes_and_what_others_own_stays(api):
    admin = api.client()
    await apply(admin, network("a", "b", labels={"mine": "1", "ours": "1"}), "one")
    other = network("c", labels={"ours": "1"})
    del other["spec"]["l2Bridge"]["vlans"]
    merged = await apply(admin, other, "two")
    selectors = [host["nodeSelector"] for host in merged.body["spec"]["l2Bridge"]["hostConfig"]]
    assert selectors == ["a", "b", "c"]
    left = await apply(admin, network("b"), "one")
    assert [h["nodeSelector"] for h in left.body["spec"]["l2Bridge"]["hostConfig"]] == ["b", "c"]
    assert left.body["metadata"]["labels"] == {"ours": "1"}


async def test_the_order_of_host_configs_can_be_applied(api):
    admin = api.client()
    await apply(admin, network("a", "b"), "one")
    turned = await apply(admin, network("b", "a"), "one")
    assert [h["nodeSelector"] for h in turned.body["spec"]["l2Bridge"]["hostConfig"]] == ["b", "a"]


async def test_other_writes_take_ownership_and_an_apply_then_conflicts(api):
    admin = api.client()
    await apply(admin, network("a", labels={"x": "1"}), "bascule")
    edited = await admin("PATCH", f"{DC1}?fieldManager=editor", {"metadata": {"labels": {"x": "2"}}}, MERGE)
    assert managers(edited) == [("bascule", "Apply", ""), ("editor", "Update", "")]
    clash = await apply(admin, network("a", labels={"x": "1"}), "bascule")
    assert clash.code == 409 and 'conflict with "editor" using projectcalico.org/v3 at 20' in clash.body["message"]
    assert (await apply(admin, network("a"), "bascule")).code == 200, "what it no longer states is no conflict"


MERGE = "application/merge-patch+json"


async def test_status_has_its_own_managers(api):
    admin = api.client()
    await apply(admin, network("a"), "one")
    condition = {"type": "Ready", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "x"}
    body = {**network("zzz"), "status": {"conditions": [condition]}}
    written = await apply(admin, body, "agent", path=f"{DC1}/status")
    assert written.code == 200, written.body
    assert managers(written) == [("agent", "Apply", "status"), ("one", "Apply", "")]
    assert written.body["spec"]["l2Bridge"]["hostConfig"][0]["nodeSelector"] == "a"
    entry = written.body["metadata"]["managedFields"][0]
    assert entry["fieldsV1"] == {"f:status": {"f:conditions": {}}}
    main = await apply(admin, {**network("a"), "status": {"conditions": []}}, "one")
    assert main.body["status"]["conditions"] == [condition]


async def test_a_dry_run_finds_conflicts_and_keeps_nothing(api):
    admin = api.client()
    await apply(admin, network("a"), "one")
    rv = api.server.api.store.rv
    assert (await apply(admin, network("a", native=5), "two", "&dryRun=All")).code == 409
    forced = await apply(admin, network("a", native=5), "two", "&dryRun=All&force=true")
    assert ("two", "Apply", "") in managers(forced) and api.server.api.store.rv == rv


async def test_what_an_apply_may_not_say(api):
    admin = api.client()
    body = network("a")
    body["metadata"]["managedFields"] = [{"manager": "x", "operation": "Apply"}]
    assert "managedFields must be nil" in (await apply(admin, body, "one")).body["message"]
    doubled = await apply(admin, network("a", "a"), "one")
    assert doubled.code == 400 and 'duplicate entries for key [nodeSelector="a"]' in doubled.body["message"]
    long = await apply(admin, network("a"), "m" * 129)
    assert long.code == 422 and "fieldManager: Too long" in long.body["message"]
    forced = await admin("PATCH", f"{DC1}?force=true&fieldManager=x", {}, MERGE)
    assert forced.code == 422 and "may not be specified for non-apply patch" in forced.body["message"]


async def test_managed_fields_can_be_moved_and_cleared_but_not_broken(api):
    """kubectl moves ownership from client-side to server-side apply with a JSON patch of managedFields."""
    admin = api.client()
    made = await admin("POST", f"{NETWORKS}?fieldManager=kubectl-client-side-apply", network("a"))
    entry = dict(made.body["metadata"]["managedFields"][0], manager="kubectl", operation="Apply")
    version = made.body["metadata"]["resourceVersion"]
    patch = [
        {"op": "replace", "path": "/metadata/managedFields", "value": [entry]},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
    ]
    moved = await admin("PATCH", DC1, patch, JSON_PATCH)
    assert managers(moved) == [("kubectl", "Apply", "")]
    assert (await admin("PATCH", DC1, patch, JSON_PATCH)).code == 409, "the version was a precondition"
    broken = await admin.merge(DC1, {"metadata": {"managedFields": [{"operation": "Guess"}]}})
    assert managers(broken) == [("kubectl", "Apply", "")]
    assert managers(await admin.merge(DC1, {"metadata": {"managedFields": [{}]}})) == []


async def test_an_unnamed_writer_is_known_by_its_user_agent(api):
    made = await api.client()("POST", NETWORKS, network("a"))
    assert managers(made) == [("Python", "Update", "")]


async def test_builtins_are_typed_too(api):
    admin = api.client()
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}
    await apply(admin, {**node, "spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}, "one", path=NODE)
    conditions = {"status": {"conditions": [{"type": "A", "status": "True"}]}}
    await apply(admin, {**node, **conditions}, "one", path=f"{NODE}/status")
    both = await apply(
        admin, {**node, "status": {"conditions": [{"type": "B", "status": "True"}]}}, "two", path=f"{NODE}/status"
    )
    assert [c["type"] for c in both.body["status"]["conditions"]] == ["A", "B"]
    gone = await apply(admin, {**node, "status": {}}, "one", path=f"{NODE}/status")
    assert [c["type"] for c in gone.body["status"]["conditions"]] == ["B"]
