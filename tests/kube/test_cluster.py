"""Cluster against a scripted server: what it sends, how it reads refusals, credentials, kubeconfigs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from bascule.errors import BasculeError
from bascule_kube import Cluster
from bascule_kube.errors import (
    AlreadyExists,
    BadRequest,
    Conflict,
    CredentialError,
    Forbidden,
    Gone,
    Invalid,
    KubeconfigError,
    NotFound,
    NotServed,
    Unauthorized,
    Unreachable,
)
from bascule_kube.exec_credentials import ExecCredentials
from bascule_kube.kinds import CONFIGMAP, EVENT, KNOWN, NETWORK, NODE, VM

DRY = ("All",)


async def test_apply_is_strict_server_side_apply_and_brings_warnings(server: Any, cluster: Cluster) -> None:
    obj = NETWORK.of("dc1")
    server.script = [server.reply(obj, headers={"Warning": '299 - "old \\"field\\""'})]
    got, warnings = await cluster.apply(obj, dry_run=True)
    request = server.requests[0]
    assert (got, warnings, server.bodies[0]) == (obj, ['old "field"'], obj)
    assert (request.method, request.path) == ("PATCH", "/apis/projectcalico.org/v3/networks/dc1")
    assert request.headers["Content-Type"] == "application/apply-patch+yaml"
    assert dict(request.query) == {
        "fieldManager": "bascule",
        "dryRun": "All",
        "force": "false",
        "fieldValidation": "Strict",
    }


async def test_the_other_verbs(server: Any, cluster: Cluster) -> None:
    s = server
    s.script = [s.reply({"ok": 1})]
    await cluster.create(CONFIGMAP.of("a", "ns"), dry_run=True)
    await cluster.replace(NODE.of("n") | {"status": {}}, subresource="status")
    await cluster.merge_patch(VM, "v/1", {"spec": None}, "ns")
    await cluster.delete(VM, "v", "ns")
    await cluster.create(CONFIGMAP.of("in-default"))
    sent = [(r.method, r.raw_path.partition("?")[0], r.headers["Content-Type"]) for r in s.requests]
    assert sent == [
        ("POST", "/api/v1/namespaces/ns/configmaps", "application/json"),
        ("PUT", "/api/v1/nodes/n/status", "application/json"),
        ("PATCH", "/apis/kubevirt.io/v1/namespaces/ns/virtualmachines/v%2F1", "application/merge-patch+json"),
        ("DELETE", "/apis/kubevirt.io/v1/namespaces/ns/virtualmachines/v", "application/json"),
        ("POST", "/api/v1/namespaces/default/configmaps", "application/json"),
    ]
    assert s.bodies[2] == {"spec": None} and s.requests[0].query["dryRun"] == "All"


async def test_lists_come_in_pages_with_kinds_filled_in(server: Any, cluster: Cluster) -> None:
    s = server
    pages = [{"metadata": {"continue": "t"}, "items": [{"metadata": {"name": "a"}}]}, {"metadata": {}, "items": []}]
    s.script = [s.reply(page) for page in pages]
    found = await cluster.list(EVENT, "ns", "app=web", "reason=x")
    assert found == [{"metadata": {"name": "a"}, "apiVersion": "v1", "kind": "Event"}]
    assert dict(s.requests[1].query) == {
        "labelSelector": "app=web",
        "fieldSelector": "reason=x",
        "limit": "500",
        "continue": "t",
    }


@pytest.mark.parametrize(
    ("status", "reason", "error", "code"),
    [
        (400, "BadRequest", BadRequest, 2),
        (401, "Unauthorized", Unauthorized, 4),
        (403, "Forbidden", Forbidden, 4),
        (404, "NotFound", NotFound, 1),
        (409, "AlreadyExists", AlreadyExists, 1),
        (409, "Conflict", Conflict, 1),
        (410, "Expired", Gone, 1),
        (422, "Invalid", Invalid, 2),
        (429, "TooManyRequests", Unreachable, 3),
        (500, "InternalError", Unreachable, 3),
    ],
)
async def test_refusals_are_an_exception_tree(
    server: Any, cluster: Cluster, status: int, reason: str, error: type[BasculeError], code: int
) -> None:
    causes = [{"field": "spec.vlan", "message": "must be 1 to 4094", "reason": "FieldValueInvalid"}]
    server.script = [server.failure(status, reason, "told so", causes=causes)]
    with pytest.raises(error) as caught:
        await cluster.get(NODE, "a")
    assert caught.value.exit_code == code and "told so" in caught.value.message
    if isinstance(caught.value, Invalid):
        assert caught.value.causes[0].field == "spec.vlan" and "must be 1 to 4094" in caught.value.cause


async def test_what_is_no_kubernetes_is_unreachable(server: Any, cluster: Cluster) -> None:
    async def html(_: Any) -> Any:
        from aiohttp import web

        return web.Response(text="<html>hello", content_type="text/html", status=200)

    server.script = [html]
    with pytest.raises(Unreachable):
        await cluster.get(NODE, "a")
    server.script = [server.reply({"hello": 1})]
    with pytest.raises(Unreachable):
        await cluster.list(NODE)


async def test_a_closed_port_says_where_and_why(kubeconfig: Any) -> None:
    async with await Cluster.open(kubeconfig("http://127.0.0.1:1", {})) as cluster:
        with pytest.raises(Unreachable, match=r"cannot reach http://127\.0\.0\.1:1") as caught:
            await cluster.get(NODE, "a")
    assert caught.value.exit_code == 3 and caught.value.cause


async def test_unknown_kinds_are_discovered_once(server: Any, cluster: Cluster) -> None:
    s = server
    served = [{"name": "things", "kind": "Thing", "namespaced": True}, {"name": "things/status", "kind": "Thing"}]
    s.script = [s.reply({"resources": served})]
    thing = {"apiVersion": "x.dev/v1", "kind": "Thing", "metadata": {"name": "a"}}
    assert (await cluster.kind_of(thing)).path("ns", "a") == "/apis/x.dev/v1/namespaces/ns/things/a"
    await cluster.kind_of(thing)
    assert [request.path for request in s.requests] == ["/apis/x.dev/v1"]
    s.script = [s.failure(404, "NotFound")]
    for missing in ({"apiVersion": "y/v1", "kind": "T"}, {"apiVersion": "y/v1"}, {}):
        with pytest.raises(NotServed):
            await cluster.kind_of(missing)


PLUGIN = """
import json, os, pathlib, sys, time
from datetime import datetime, timezone
assert not sys.stdin.isatty() and sys.stdin.read() == ""
assert json.loads(os.environ["KUBERNETES_EXEC_INFO"])["spec"]["interactive"] is False
count = pathlib.Path(sys.argv[1])
runs = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(runs))
print("a word on stderr", file=sys.stderr)
status = {"token": f"token-{runs}"}
if len(sys.argv) > 2:
    end = datetime.fromtimestamp(time.time() + float(sys.argv[2]), timezone.utc)
    status["expirationTimestamp"] = end.strftime("%Y-%m-%dT%H:%M:%SZ")
print(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}))
"""


def exec_user(*args: str) -> dict[str, Any]:
    command = {"apiVersion": "client.authentication.k8s.io/v1", "command": sys.executable, "args": ["-c", *args]}
    return {"exec": command | {"interactiveMode": "IfAvailable"}}


async def test_exec_credentials_are_kept_until_refused(
    server: Any, kubeconfig: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    s = server
    s.script = [s.reply(NODE.of("a")), s.reply(NODE.of("a")), s.failure(401, "Unauthorized"), s.reply(NODE.of("a"))]
    user = exec_user(PLUGIN, str(tmp_path / "runs"))
    async with await Cluster.open(kubeconfig(s.url, user)) as cluster:
        for _ in range(3):
            await cluster.get(NODE, "a")
        assert await cluster.bearer_token() == "token-2"
    tokens = [request.headers["Authorization"] for request in s.requests]
    assert tokens == ["Bearer token-1", "Bearer token-1", "Bearer token-1", "Bearer token-2"]
    assert capfd.readouterr() == ("", "")


async def test_exec_credentials_are_renewed_before_they_expire(tmp_path: Path) -> None:
    now = time.time()
    user = exec_user(PLUGIN, str(tmp_path / "runs"), "600")
    credentials = ExecCredentials(user["exec"], tmp_path, clock=lambda: now)
    assert (await credentials.current()).token == "token-1"
    now += 500
    assert (await credentials.current()).token == "token-1"
    now += 60
    renewed = await credentials.current()
    assert renewed.token == "token-2" and renewed.renew_at is not None
    assert datetime.fromtimestamp(renewed.renew_at, UTC)


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("import sys; sys.exit('no login')", "no login"),
        ("print('hello')", "no ExecCredential"),
        ("print('{\"status\": 1}')", "no ExecCredential"),
        ('print(\'{"apiVersion": "v9", "status": {}}\')', "another API version"),
    ],
)
async def test_a_failing_exec_plugin_is_named(kubeconfig: Any, code: str, word: str) -> None:
    with pytest.raises(CredentialError) as caught:
        await Cluster.open(kubeconfig("http://127.0.0.1:1", exec_user(code)))
    assert word in str(caught.value) and caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("text", "context", "word"),
    [
        (None, None, "no kubeconfig"),
        ("{", None, "cannot read"),
        ("- a", None, "is no kubeconfig"),
        ("", None, "is no kubeconfig"),
        ("kind: Config", None, "cannot use"),
        ("kind: Config\ncurrent-context: x\ncontexts: 1", None, "cannot use"),
        ("GOOD", "other", "cannot use"),
    ],
)
async def test_broken_kubeconfigs(
    kubeconfig: Any, tmp_path: Path, text: str | None, context: str | None, word: str
) -> None:
    path = tmp_path / "kc"
    if text == "GOOD":
        path = kubeconfig("http://127.0.0.1:1", {})
    elif text is not None:
        path.write_text(text)
    with pytest.raises(KubeconfigError, match=word) as caught:
        await Cluster.open(path, context)
    assert caught.value.exit_code == 2


async def test_kubeconfigs_of_the_environment_are_merged(
    kubeconfig: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kubeconfig("http://127.0.0.1:1", {})
    second = yaml.safe_load(path.read_text()) | {"current-context": "second"}
    second["contexts"] = [{"name": "second", "context": {"cluster": "c", "namespace": "vms"}}]
    (tmp_path / "two").write_text(yaml.safe_dump(second))
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'two'}:{path}:/nowhere")
    async with await Cluster.open(context="second") as cluster:
        assert (cluster.context, cluster.namespace, cluster.server) == ("second", "vms", "http://127.0.0.1:1")
        assert await cluster.bearer_token() == ""


def test_importing_the_package_loads_neither_kubernetes_nor_aiohttp() -> None:
    code = "import sys, json, bascule_kube; print(json.dumps([m for m in sys.modules]))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert not {"kubernetes", "aiohttp", "grpc", "textual"} & {name.partition(".")[0] for name in loaded}


def test_every_known_kind_is_found_by_its_own_words() -> None:
    assert all(kind.of("x")["kind"] == key[1] and kind.api_version == key[0] for key, kind in KNOWN.items())
