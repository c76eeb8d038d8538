"""Whatever is sent, the API answers with a Status of the 4xx kind or a success: never 500, never no JSON.

Runs on Api.answer (all but sockets); a smaller number goes through TLS and HTTP.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bascule_lab.apiserver.api import Api, Request
from bascule_lab.apiserver.authn import Authenticator
from bascule_lab.apiserver.server import ApiServer, load_crds
from bascule_lab.apiserver.status import ApiError
from bascule_lab.apiserver.store import Store

NETWORKS = "/apis/projectcalico.org/v3/networks"
PATHS = [
    "/api/v1/namespaces",
    "/api/v1/nodes",
    "/api/v1/namespaces/default/pods",
    "/api/v1/namespaces/default/events",
    "/api/v1/namespaces/default/secrets",
    "/apis/coordination.k8s.io/v1/namespaces/default/leases",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "/apis/authentication.k8s.io/v1/tokenreviews",
    "/apis/authorization.k8s.io/v1/subjectaccessreviews",
    "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
    "/apis/authentication.k8s.io/v1/selfsubjectreviews",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies",
    "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings",
    "/api/v1/namespaces/default/serviceaccounts",
    "/openapi/v3",
    "/apis/kubevirt.io/v1/namespaces/default/virtualmachines",
    NETWORKS,
]
MEDIA = ["application/json", "application/yaml", "application/merge-patch+json", "application/apply-patch+yaml", "x/y"]
MEDIA += ["application/json-patch+json", "application/strategic-merge-patch+json"]
QUERY = ["limit", "continue", "labelSelector", "fieldSelector", "resourceVersion", "resourceVersionMatch", "dryRun"]
QUERY += [
    "fieldValidation",
    "fieldManager",
    "sendInitialEvents",
    "includeObject",
    "timeoutSeconds",
    "watch",
    "force",
    "propagationPolicy",
]
WORDS = ["apiVersion", "kind", "metadata", "spec", "status", "name", "labels", "finalizers", "ownerReferences", "data"]
WORDS += ["l2Bridge", "vlans", "vlan", "hostConfig", "bridge", "template", "versions", "names", "schema", "uid"]
WORDS += ["rules", "subjects", "roleRef", "aggregationRule", "matchConstraints", "validations", "managedFields", "op"]
WORDS += ["path", "value", "$patch", "$setElementOrder/labels", "verbs", "resources", "policyName", "expression"]
WORDS += ["x-kubernetes-validations", "properties", "token", "resourceAttributes", "annotations", "stringData"]
VALUES = ["a", "Network", "projectcalico.org/v3", "v1", "x" * 300, "\ud800", "a=b", "All", "Strict", "metadata.name=x"]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(VALUES)
KEYS = st.sampled_from(WORDS) | st.text(max_size=5)
TREES = st.recursive(
    SCALARS, lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=5), max_leaves=10
)
SHAPED = st.fixed_dictionaries(
    {"metadata": st.fixed_dictionaries({"name": st.sampled_from(["a", "b", ""])}) | TREES, "spec": TREES},
    optional={"status": TREES, "data": TREES, "involvedObject": TREES, "type": TREES},
)
BODIES = st.binary(max_size=60) | st.builds(lambda tree: json.dumps(tree).encode(), TREES | SHAPED)
NAMES = st.sampled_from(["", "/a", "/b", "/a/status", "/a/token", "/a/scale", "//", "/%2f", "/%00", "/a/b/c/d", "/%ff"])
QUERIES = st.dictionaries(st.sampled_from(QUERY), st.text(max_size=12) | st.sampled_from(VALUES[:1] + VALUES[5:]))


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory):
    store = Store(tmp_path_factory.mktemp("h1-fuzz") / "api.db")
    server = ApiServer(Path("/nonexistent"))
    server.api = Api(store, Authenticator({"admin": "t"}), b"key")
    asyncio.run(load_crds(server))
    body = json.dumps({"metadata": {"name": "default"}}).encode()
    ask(server.api, "POST", "/api/v1/namespaces", body, MEDIA[0])
    yield server.api
    store.close()


def ask(api: Api, method: str, url: str, body: bytes, media: str) -> int:
    """The code of one request; fails on anything but a whole answer or a Status."""
    request = Request(method, url, {"Authorization": "Bearer t", "Content-Type": media}, body)
    try:
        reply = api.answer(request)
    except ApiError as error:
        status = json.loads(json.dumps(error.status()))
        assert (400 <= status["code"] < 500 or status["code"] == 501) and status["reason"] and status["message"]
        return int(status["code"])
    except RecursionError:
        return 400
    assert reply.code in (200, 201)
    if reply.stream is None and reply.content_type == "application/json":
        json.loads(reply.body)
    return reply.code


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@example("POST", PATHS[0], "", b'{"metadata":{"name":"x"},"spec":5}', MEDIA[0], {})
@example("PATCH", NETWORKS, "/a", b"a: &x [*x]", MEDIA[3], {"fieldManager": "x"})
@example("PATCH", NETWORKS, "/a", b"a: 2024-01-01", MEDIA[3], {"fieldManager": "x"})
@example("POST", NETWORKS, "", b"[" * 100_000, MEDIA[0], {})
@example("PATCH", NETWORKS, "/a", b"[" * 100_000, MEDIA[3], {"fieldManager": "x"})
@example("POST", NETWORKS, "", b'{"a":' * 900 + b"1" + b"}" * 900, MEDIA[0], {})
@example("POST", PATHS[1], "", b'{"metadata":{"name":"n"},"spec":{"x":1e400}}', MEDIA[0], {})
@example("POST", PATHS[1], "", b'{"metadata":{"name":"n"},"spec":{"x":NaN}}', MEDIA[0], {})
@example("GET", PATHS[1], "", b"", MEDIA[0], {"labelSelector": "a in (", "limit": "-1"})
@given(
    st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "BREW"]),
    st.sampled_from(PATHS) | st.text(max_size=20).map(lambda text: "/" + text),
    NAMES,
    BODIES,
    st.sampled_from(MEDIA),
    QUERIES,
)
def test_no_input_is_a_fault_of_the_server(fuzzed, method, path, name, body, media, query):
    text = "&".join(f"{key}={value}" for key, value in query.items())
    ask(fuzzed, method, f"{path}{name}?{text}", body, media)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(TREES, st.sampled_from(["spec", "versions", "schema"]))
def test_no_crd_schema_is_a_fault_of_the_server(fuzzed, tree, where):
    schema: Any = tree if where == "schema" else {"type": "object"}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    spec: Any = {"group": "f.example.com", "scope": "Cluster", "names": {"plural": "fs", "kind": "F"}}
    spec["versions"] = [version] if where != "versions" else tree
    document = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    document |= {"metadata": {"name": "fs.f.example.com"}, "spec": spec if where != "spec" else tree}
    ask(fuzzed, "POST", PATHS[6], json.dumps(document).encode(), MEDIA[0])
    widget = {"apiVersion": "f.example.com/v1", "kind": "F", "metadata": {"name": "a"}, "spec": tree}
    ask(fuzzed, "POST", "/apis/f.example.com/v1/fs", json.dumps(widget).encode(), MEDIA[0])
    ask(fuzzed, "DELETE", f"{PATHS[6]}/fs.f.example.com", b"", MEDIA[0])
    fuzzed.collector.sweep()


BAD_REQUESTS = {
    "cut": ("POST", NETWORKS, b"{"),
    "no utf-8": ("POST", NETWORKS, b"\xff\xfe"),
    "a list": ("POST", NETWORKS, b"[]"),
    "deep": ("POST", NETWORKS, b"{" * 50_000),
    "too large": ("POST", NETWORKS, b'{"metadata": "' + b"x" * (3 * 1024 * 1024) + b'"}'),
    "limit": ("GET", f"{NETWORKS}?limit=ten", None),
    "watch": ("GET", f"{NETWORKS}?watch=perhaps", None),
    "path": ("GET", "/apis/%2e%2e/%00", None),
    "method": ("BREW", NETWORKS, None),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
async def test_bad_requests_over_tls_get_a_status(api, name):
    method, path, body = BAD_REQUESTS[name]
    answer = await api.client()(method, path, body)
    assert 400 <= answer.code < 500 and answer.body["kind"] == "Status" and answer.body["code"] == answer.code
