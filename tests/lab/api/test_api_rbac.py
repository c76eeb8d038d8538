"""RBAC: rules evaluated, what a viewer is refused and in which words, reviews, tokens of service accounts, `--as`."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ACCOUNTS = "/api/v1/namespaces/vms/serviceaccounts"
CMS = "/api/v1/namespaces/vms/configmaps"
BODY = b"{}"
METHODS = {
    "create": ("POST", False),
    "update": ("PUT", True),
    "patch": ("PATCH", True),
    "delete": ("DELETE", True),
    "deletecollection": ("DELETE", False),
}


def role(name: str, *rules: dict[str, Any], kind: str = "Role") -> dict[str, Any]:
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "rules": [*rules]}


def binding(name: str, to: str, subject: dict[str, str], kind: str = "RoleBinding", of: str = "Role") -> dict[str, Any]:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": kind,
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": of, "name": to},
        "subjects": [subject],
    }


def rule(verbs: str, resources: str, group: str = "", **more: Any) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split(), **more}


async def as_token(api: Any, token: str) -> Any:
    client = api.client("")
    client._headers = {"Authorization": f"Bearer {token}"}
    return client


async def account(api: Any, name: str, seconds: int = 600) -> tuple[Any, dict[str, Any]]:
    """A client with a new service account's token, and the TokenRequest's answer."""
    admin = api.client()
    await admin("POST", ACCOUNTS, {"metadata": {"name": name}})
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds}}
    answer = await admin("POST", f"{ACCOUNTS}/{name}/token", body)
    assert answer.code == 201, answer.body
    return await as_token(api, answer.body["status"]["token"]), answer.body


async def test_a_viewer_is_refused_every_write_of_every_kind_in_kubectls_words(api):
    viewer = api.client("viewer")
    tried = 0
    for kind in list(api.server.api.registry):
        base = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
        where = f"{base}/namespaces/vms/{kind.plural}" if kind.namespaced else f"{base}/{kind.plural}"
        place = 'in the namespace "vms"' if kind.namespaced else "at the cluster scope"
        what = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
        for verb in set(kind.verbs) & set(METHODS):
            if kind.kind.startswith("SelfSubject"):
                continue
            method, named = METHODS[verb]
            answer = await viewer(method, f"{where}/x" if named else where, BODY, "application/merge-patch+json")
            said = f'{what} "x" is forbidden' if named else f"{what} is forbidden"
            text = f'{said}: User "viewer" cannot {verb} resource "{kind.plural}" in API group "{kind.group}" {place}'
            assert (answer.code, answer.reason, answer.body["message"]) == (403, "Forbidden", text)
            tried += 1
        for verb in set(kind.verbs) & {"get", "list"}:
            answer = await viewer("GET", f"{where}/x" if verb == "get" else where)
            allowed = kind.plural != "secrets"
            assert (answer.code != 403) is allowed, (kind.resource, verb)
    assert tried > 100


async def test_roles_bindings_names_and_namespaces(api):
    admin = api.client()
    bob, _ = await account(api, "bob")
    subject = {"kind": "ServiceAccount", "name": "bob", "namespace": "vms"}
    assert (await bob("GET", CMS)).code == 403
    roles, bindings = f"{RBAC}/namespaces/vms/roles", f"{RBAC}/namespaces/vms/rolebindings"
    await admin(
        "POST", roles, role("reader", rule("get list", "configmaps"), rule("patch", "configmaps", resourceNames=["a"]))
    )
    made = await admin("POST", bindings, binding("bob", "reader", subject))
    assert made.code == 201, made.body
    assert (await bob("GET", CMS)).code == 200
    assert (await bob("GET", "/api/v1/configmaps")).code == 403, "a Role is for its namespace"
    for name in ("a", "b"):
        await admin("POST", CMS, {"metadata": {"name": name}})
    assert (await bob.merge(f"{CMS}/a", {"data": {"x": "y"}})).code == 200
    assert (await bob.merge(f"{CMS}/b", {"data": {"x": "y"}})).code == 403
    await admin("DELETE", f"{bindings}/bob")
    assert (await bob("GET", CMS)).code == 403


async def test_cluster_roles_paths_subresources_and_aggregation(api):
    admin = api.client()
    bob, _ = await account(api, "bob")
    subject = {"kind": "Group", "name": "system:serviceaccounts:vms"}
    part = role(
        "part", rule("patch", "*/status"), {"nonResourceURLs": ["/metrics*"], "verbs": ["get"]}, kind="ClusterRole"
    )
    part["metadata"]["labels"] = {"sum": "yes"}
    whole = {
        **role("whole", kind="ClusterRole"),
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"sum": "yes"}}]},
    }
    for document in (part, whole):
        assert (await admin("POST", f"{RBAC}/clusterroles", document)).code == 201
    given = binding("bob", "whole", subject, kind="ClusterRoleBinding", of="ClusterRole")
    assert (await admin("POST", f"{RBAC}/clusterrolebindings", given)).code == 201
    await admin("POST", "/api/v1/nodes", {"metadata": {"name": "n"}})
    assert (await bob.merge("/api/v1/nodes/n/status", {"status": {"phase": "Running"}})).code == 200
    assert (await bob.merge("/api/v1/nodes/n", {"spec": {}})).code == 403
    assert (await bob("GET", "/metrics/x")).code == 404, "allowed, but nothing is there"
    denied = await bob("GET", "/logs")
    assert denied.body["message"] == 'forbidden: User "system:serviceaccount:vms:bob" cannot get path "/logs"'
    asked = {"spec": {"resourceAttributes": {"verb": "patch", "resource": "pods", "subresource": "status"}}}
    review = await bob("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", asked)
    assert review.body["status"]["allowed"] is True and "ClusterRoleBinding" in review.body["status"]["reason"]


async def test_self_reviews(api):
    viewer = api.client("viewer")
    who = await viewer("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
    assert who.body["status"]["userInfo"]["username"] == "viewer"
    path = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
    rules = (await viewer("POST", path, {"spec": {"namespace": "vms"}})).body["status"]
    assert rules["incomplete"] is False
    verbs = {verb for entry in rules["resourceRules"] if "pods" in entry["resources"] for verb in entry["verbs"]}
    assert verbs == {"get", "list", "watch"} and any("/apis" in r["nonResourceURLs"] for r in rules["nonResourceRules"])
    assert (await viewer("POST", path, {"spec": {}})).code == 422


async def test_an_accounts_token_ends_with_its_account_and_its_time(api, monkeypatch):
    admin = api.client()
    bob, request = await account(api, "bob")
    assert request["status"]["token"].count(".") == 2
    who = await bob("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
    assert who.body["status"]["userInfo"]["username"] == "system:serviceaccount:vms:bob"
    review = {"spec": {"token": request["status"]["token"]}}
    reviewed = await admin("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)
    assert "system:serviceaccounts:vms" in reviewed.body["status"]["user"]["groups"]
    head, body, signature = request["status"]["token"].split(".")
    forged = await as_token(api, f"{head}.{body}.{signature[::-1]}")
    assert (await forged("GET", "/api")).code == 401
    assert (await bob("GET", "/api")).code == 200
    ahead = time.time() + 601
    with monkeypatch.context() as patched:
        patched.setattr("bascule_lab.apiserver.tokens.time.time", lambda: ahead)
        assert (await bob("GET", "/api")).code == 401
    await admin("DELETE", f"{ACCOUNTS}/bob")
    await admin("POST", ACCOUNTS, {"metadata": {"name": "bob"}})
    assert (await bob("GET", "/api")).code == 401, "another account of the same name has another uid"
    short = {"spec": {"expirationSeconds": 5}}
    assert (await admin("POST", f"{ACCOUNTS}/bob/token", short)).code == 422


@pytest.mark.parametrize(("user", "allowed"), [("admin", True), ("operator", False)])
async def test_only_some_may_act_as_others(api, user, allowed):
    client = api.client(user)
    client._headers["Impersonate-User"] = "viewer"
    client._headers["Impersonate-Group"] = "bascule:viewers"
    who = await client("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
    if not allowed:
        assert who.code == 403 and 'cannot impersonate resource "users"' in who.body["message"]
        return
    info = who.body["status"]["userInfo"]
    assert info["username"] == "viewer" and info["groups"] == ["bascule:viewers", "system:authenticated"]
    assert (await client("GET", "/api/v1/secrets")).code == 403
    del client._headers["Impersonate-User"]
    assert (await client("GET", "/api")).code == 400


async def test_a_new_groups_objects_are_the_viewers_to_read_and_the_operators_to_write(api):
    admin = api.client()
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    names = {"plural": "gadgets", "kind": "Gadget"}
    spec = {"group": "h9.example.com", "scope": "Cluster", "names": names, "versions": [version]}
    crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": spec}
    crd["metadata"] = {"name": "gadgets.h9.example.com"}
    made = await admin("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd)
    assert made.code == 201, made.body
    path = "/apis/h9.example.com/v1/gadgets"
    gadget = json.loads('{"apiVersion": "h9.example.com/v1", "kind": "Gadget", "metadata": {"name": "g"}}')
    for _ in range(50):
        if (await api.client("viewer")("GET", path)).code == 200:
            break
    assert (await api.client("viewer")("GET", path)).code == 200
    assert (await api.client("viewer")("POST", path, gadget)).code == 403
    assert (await api.client("operator")("POST", path, gadget)).code == 201
