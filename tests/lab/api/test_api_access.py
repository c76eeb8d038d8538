"""Who may do what on the lab's API, over TLS, and what the reviews answer about it."""

from __future__ import annotations

import asyncio
import ssl
import stat
import time
from pathlib import Path

import aiohttp
import pytest
import yaml

from bascule_lab.apiserver.api import Api
from bascule_lab.apiserver.authn import Authenticator, user_named
from bascule_lab.apiserver.authz import Access
from bascule_lab.apiserver.certs import make_certificates
from bascule_lab.apiserver.kubeconfig import write_kubeconfig
from bascule_lab.apiserver.server import ApiServer, load_crds, prepare
from bascule_lab.apiserver.store import Store

CRDS = ("apiextensions.k8s.io", "customresourcedefinitions")
TOKENS = ("authentication.k8s.io", "tokenreviews")
REVIEWS = ("authorization.k8s.io", "subjectaccessreviews")
TABLE = [
    ("operator", "create", "projectcalico.org", "networks", "", True),
    ("operator", "delete", "", "pods", "", True),
    ("operator", "update", "", "secrets", "", False),
    ("operator", "get", "", "secrets", "", False),
    ("operator", "create", *CRDS, "", False),
    ("operator", "list", *CRDS, "", True),
    ("operator", "create", *TOKENS, "", False),
    ("viewer", "watch", "kubevirt.io", "virtualmachines", "", True),
    ("viewer", "get", "", "secrets", "", False),
    ("viewer", "patch", "", "nodes", "", False),
    ("viewer", "get", "bascule.dev", "agents", "", True),
    ("viewer", "create", "bascule.dev", "agents", "probe", False),
    ("agent:node1", "list", "", "secrets", "", False),
    ("agent:node1", "patch", "", "nodes", "", True),
    ("agent:node1", "patch", "", "nodes", "status", True),
    ("agent:node1", "delete", "", "nodes", "", False),
    ("agent:node1", "create", "", "events", "", True),
    ("agent:node1", "update", "coordination.k8s.io", "leases", "", True),
    ("agent:node1", "create", *TOKENS, "", True),
    ("agent:node1", "create", *REVIEWS, "", True),
    ("agent:node1", "get", "bascule.dev", "agents", "moves", True),
    ("agent:node1", "create", "projectcalico.org", "networks", "", False),
    ("stranger", "get", "", "pods", "", False),
]


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory):
    """An API whose roles stand, over an otherwise empty store with the lab's CRDs."""
    store = Store(tmp_path_factory.mktemp("h9-roles") / "api.db")
    server = ApiServer(Path("/nonexistent"))
    server.api = Api(store, Authenticator({}), b"key")
    asyncio.run(load_crds(server))
    server.api.collector.sweep()
    yield server.api
    store.close()


@pytest.mark.parametrize(("user", "verb", "group", "resource", "sub", "wanted"), TABLE)
def test_the_seeded_roles(seeded, user, verb, group, resource, sub, wanted):
    assert seeded.authorizer.allowed(user_named(user), Access(verb, group, resource, sub)) is wanted


async def test_refusals_name_user_verb_and_resource(api):
    viewer = api.client("viewer")
    no = await viewer("DELETE", "/api/v1/namespaces/vms/pods/web")
    assert (no.code, no.reason) == (403, "Forbidden")
    wanted = (
        'pods "web" is forbidden: User "viewer" cannot delete resource "pods" in API group "" in the namespace "vms"'
    )
    assert no.body["message"] == wanted
    assert (await viewer("GET", "/api/v1/pods")).code == 200


async def test_without_a_token_only_health_and_version(api):
    nobody = api.client("")
    assert (await nobody("GET", "/readyz")).body == b"ok"
    assert (await nobody("GET", "/version")).body["gitVersion"].startswith("v1.")
    for path in ("/api", "/api/v1/nodes", "/apis", "/nowhere"):
        answer = await nobody("GET", path)
        assert (answer.code, answer.reason) == (401, "Unauthorized"), path


async def test_token_review_and_subject_access_review(api):
    agent = api.client("agent:node1")
    path = "/apis/authentication.k8s.io/v1/tokenreviews"
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
    known = await agent("POST", path, {**review, "spec": {"token": api.tokens["viewer"]}})
    assert known.code == 201 and known.body["status"]["authenticated"] is True
    user = known.body["status"]["user"]
    assert user["username"] == "viewer"
    unknown = await agent("POST", path, {**review, "spec": {"token": "guess"}})
    assert unknown.body["status"]["authenticated"] is False
    assert (await agent("POST", path, {**review, "spec": {}})).code == 422
    assert (await api.client("viewer")("POST", path, {**review, "spec": {"token": "x"}})).code == 403
    access = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    for verb, sub, wanted in (("get", "", True), ("create", "probe", False)):
        asked = {"group": "bascule.dev", "resource": "agents", "subresource": sub, "verb": verb, "name": "node1"}
        spec = {"user": user["username"], "groups": user["groups"], "resourceAttributes": asked}
        answer = await agent("POST", access, {"spec": spec})
        assert answer.body["status"]["allowed"] is wanted
    itself = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    asked = {"spec": {"resourceAttributes": {"verb": "delete", "resource": "pods"}}}
    assert (await api.client("viewer")("POST", itself, asked)).body["status"]["allowed"] is False
    assert (await api.client("operator")("POST", itself, asked)).body["status"]["allowed"] is True
    assert (await agent("POST", itself, {"spec": {}})).code == 422


async def test_another_ca_does_not_verify_the_server(api):
    strange = ssl.create_default_context(cadata=make_certificates().ca.decode())
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(f"https://127.0.0.1:{api.port}/healthz", ssl=strange)


async def test_ready_for_well_under_a_second_of_cpu(tmp_path, restart_api):
    began = time.process_time()
    async with restart_api(tmp_path) as running:
        assert (await running.client()("GET", "/readyz")).code == 200
        assert time.process_time() - began < 1.0


async def test_files_are_private_and_preparing_again_keeps_them(api):
    files = [path for path in api.state.rglob("*") if path.is_file()]
    assert {"api.db", "tokens", "ca.crt", "server.key", "accounts.key"} <= {path.name for path in files}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    again = prepare(api.state, ["node1", "node3"])
    assert again.tokens["admin"] == api.tokens["admin"] and "agent:node3" in again.tokens
    assert again.tokens["admin"] not in repr(again)


def test_kubeconfig_has_a_user_per_context(tmp_path: Path):
    path = tmp_path / "deep" / "kubeconfig"
    write_kubeconfig(path, "https://127.0.0.1:1", "PEM", {"lab-admin": "t1", "lab-viewer": "t2"}, "lab-admin")
    document = yaml.safe_load(path.read_text())
    assert document["current-context"] == "lab-admin"
    assert [user["user"]["token"] for user in document["users"]] == ["t1", "t2"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
