"""Tables, metadata alone, discovery and OpenAPI: what kubectl asks for beside the objects."""

from __future__ import annotations

import json
import runpy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bascule_lab.apiserver.table.ages import age, human
from bascule_lab.apiserver.table.jsonpath import find, parse

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PARTIAL = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
VMS = "/apis/kubevirt.io/v1/namespaces/vms/virtualmachines"
NODES = "/api/v1/nodes"
DOCUMENT = {"a": {"b": [{"t": "x", "n": 1}, {"t": "y", "n": 2}]}, "l": {"d.e/f": "v"}, "on": True}


def vm(name: str) -> dict[str, Any]:
    spec = {"running": True, "template": {"spec": {"domain": {"devices": {}}}}}
    return {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": name}, "spec": spec}


async def ask(api: Any, path: str, accept: str) -> tuple[str, Any]:
    headers = {"Authorization": f"Bearer {api.tokens['admin']}", "Accept": accept}
    async with api.session.get(f"https://127.0.0.1:{api.port}{path}", headers=headers) as response:
        return response.headers["Content-Type"], await response.json(content_type=None)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".a.b[*].n", [1, 2]),
        ("{.a.b[0].t}", ["x"]),
        (".a.b[-1].t", ["y"]),
        ('.a.b[?(@.t=="y")].n', [2]),
        (".a.b[?(@.t != 'y')].n", [1]),
        (".a.b[?(@.n==2)].t", ["y"]),
        (r".l.d\.e/f", ["v"]),
        (".l['d.e/f']", ["v"]),
        (".a.b[7]", []),
        (".on.deeper", []),
        (".", [DOCUMENT]),
    ],
)
def test_json_paths(path, found):
    assert find(path, DOCUMENT) == found


@pytest.mark.parametrize("path", [".a[", ".a[?(@.b)]", ".a..b", ".a[1:2]"])
def test_json_paths_that_are_not_understood(path):
    with pytest.raises(ValueError):
        parse(path)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (119, "119s"), (120, "2m"), (190, "3m10s"), (660, "11m"), (10800, "3h"), (11100, "3h5m"),
     (90000, "25h"), (172800, "2d"), (180000, "2d2h"), (700000, "8d"), (70_000_000, "2y80d"), (300_000_000, "9y"),
     (-5, "<invalid>")],
)  # fmt: skip
def test_ages_are_kubectls(seconds, text):
    assert human(seconds) == text


def test_an_age_is_from_a_time():
    assert age("2026-01-01T00:00:00Z", datetime(2026, 1, 1, 0, 1, tzinfo=UTC)) == "60s"
    assert age(None) == age("yesterday") == "<unknown>"


async def test_a_table_has_the_crds_columns_and_its_rows_the_metadata(api):
    admin = api.client()
    await admin("POST", VMS, vm("a"))
    status = {"status": {"printableStatus": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    await admin.merge(f"{VMS}/a/status", status)
    kind, table = await ask(api, VMS, TABLE)
    assert kind.startswith("application/json") and (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [c["name"] for c in table["columnDefinitions"]] == ["Name", "Age", "Status", "Ready"]
    (row,) = table["rows"]
    assert row["cells"][0] == "a" and row["cells"][2:] == ["Running", "True"]
    assert row["object"]["kind"] == "PartialObjectMetadata" and row["object"]["metadata"]["name"] == "a"
    _, whole = await ask(api, f"{VMS}/a?includeObject=Object", TABLE)
    assert whole["rows"][0]["object"]["spec"]["running"] is True
    _, nothing = await ask(api, f"{VMS}?includeObject=None", TABLE)
    assert "object" not in nothing["rows"][0]
    _, wrong = await ask(api, f"{VMS}?includeObject=All", TABLE)
    assert wrong["code"] == 422


async def test_builtins_have_kubectls_columns(api):
    admin = api.client()
    node = {"metadata": {"name": "n1", "labels": {"node-role.kubernetes.io/worker": ""}}}
    node["spec"] = {"unschedulable": True}
    node["status"] = {"conditions": [{"type": "Ready", "status": "True"}]}
    await admin("POST", NODES, node)
    _, table = await ask(api, NODES, TABLE)
    assert table["rows"][0]["cells"][:3] == ["n1", "Ready,SchedulingDisabled", "worker"]
    for kind in api.server.api.registry:
        if not kind.virtual and not kind.namespaced:
            base = f"/apis/{kind.group}/{kind.version}" if kind.group else "/api/v1"
            _, listed = await ask(api, f"{base}/{kind.plural}", TABLE)
            assert listed["kind"] == "Table", kind.resource
            assert all(len(r["cells"]) == len(listed["columnDefinitions"]) for r in listed["rows"])


async def test_pages_of_tables_and_metadata(api):
    admin = api.client()
    for number in range(5):
        await admin("POST", VMS, vm(f"v{number}"))
    _, first = await ask(api, f"{VMS}?limit=2", TABLE)
    assert len(first["rows"]) == 2 and first["metadata"]["remainingItemCount"] == 3
    _, second = await ask(api, f"{VMS}?limit=9&continue={first['metadata']['continue']}", TABLE)
    assert [row["cells"][0] for row in first["rows"] + second["rows"]] == [f"v{n}" for n in range(5)]
    _, partial = await ask(api, VMS, PARTIAL)
    assert partial["kind"] == "PartialObjectMetadataList" and len(partial["items"]) == 5
    assert set(partial["items"][0]) == {"kind", "apiVersion", "metadata"}


async def test_a_watch_speaks_in_tables_too(api):
    admin = api.client()
    await admin("POST", VMS, vm("a"))
    headers = {"Authorization": f"Bearer {api.tokens['admin']}", "Accept": TABLE}
    url = f"https://127.0.0.1:{api.port}{VMS}?watch=1&timeoutSeconds=1&allowWatchBookmarks=true"
    async with api.session.get(url, headers=headers) as response:
        await admin("DELETE", f"{VMS}/a")
        events = [json.loads(line) async for line in response.content]
    assert [event["type"] for event in events] == ["ADDED", "DELETED", "BOOKMARK"]
    assert {event["object"]["kind"] for event in events} == {"Table"}
    assert [bool(event["object"]["columnDefinitions"]) for event in events] == [True, False, False]
    assert events[1]["object"]["rows"][0]["cells"][0] == "a"


async def test_a_watch_list_ends_its_beginning_with_a_bookmark(api):
    admin = api.client()
    await admin("POST", VMS, vm("a"))
    query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    async with admin.watch(f"{VMS}?{query}") as watch:
        assert await watch.types(1) == [("ADDED", "a")]
        mark = await watch.next()
        assert mark["type"] == "BOOKMARK"
        assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert mark["object"]["metadata"]["resourceVersion"] == str(api.server.api.store.rv)
        await admin("POST", VMS, vm("b"))
        assert await watch.types(1) == [("ADDED", "b")]


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*(references(below) for below in node.values()))
    return set().union(*(references(below) for below in node)) if isinstance(node, list) else set()


async def test_every_openapi_document_is_whole(api):
    admin = api.client()
    index = (await admin("GET", "/openapi/v3")).body["paths"]
    assert {"api/v1", "apis/projectcalico.org/v3", "apis/kubevirt.io/v1", "apis/apps/v1"} & set(index) == {
        "api/v1",
        "apis/projectcalico.org/v3",
        "apis/kubevirt.io/v1",
    }
    for entry in index.values():
        document = (await admin("GET", entry["serverRelativeURL"])).body
        schemas = document["components"]["schemas"]
        assert {name.rpartition("/")[2] for name in references(document)} <= set(schemas)
        for path, item in document["paths"].items():
            for verb in ("post", "put", "patch"):
                if verb in item:
                    words = {parameter["name"] for parameter in item[verb]["parameters"]}
                    assert {"fieldValidation", "fieldManager", "dryRun"} <= words, path
    assert (await admin("GET", "/openapi/v2")).code == 404 and (await admin("GET", "/openapi/v3/apis/x/v1")).code == 404


def test_the_builtin_schemas_are_what_the_kubernetes_package_says():
    script = runpy.run_path(str(Path(__file__).resolve().parents[3] / "scripts" / "openapi_builtin.py"))
    assert script["generate"]() == script["OUT"].read_text()


async def test_openapi_follows_the_crds(api):
    admin = api.client()
    before = (await admin("GET", "/openapi/v3")).body["paths"]["apis/projectcalico.org/v3"]
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/networks.projectcalico.org"
    word = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/description"
    patch = [{"op": "add", "path": word, "value": "what a network is"}]
    assert (await admin("PATCH", path, patch, "application/json-patch+json")).code == 200
    after = (await admin("GET", "/openapi/v3")).body["paths"]["apis/projectcalico.org/v3"]
    assert after["serverRelativeURL"] != before["serverRelativeURL"]
    document = (await admin("GET", after["serverRelativeURL"])).body
    network = document["components"]["schemas"]["org.projectcalico.v3.Network"]
    assert network["properties"]["spec"]["description"] == "what a network is"
    assert network["x-kubernetes-group-version-kind"] == [
        {"group": "projectcalico.org", "version": "v3", "kind": "Network"}
    ]


async def test_both_forms_of_discovery_say_the_same(api):
    admin = api.client()
    kind, whole = await ask(api, "/apis", AGGREGATED)
    assert kind == AGGREGATED.split(",")[0]
    for group in whole["items"]:
        for version in group["versions"]:
            name = f"/apis/{group['metadata']['name']}/{version['version']}"
            listed = (await admin("GET", name)).body["resources"]
            plain = {entry["name"]: entry for entry in listed}
            for resource in version["resources"]:
                entry = plain.pop(resource["resource"])
                assert entry["verbs"] == resource["verbs"] and entry["kind"] == resource["responseKind"]["kind"]
                for part in resource.get("subresources", ()):
                    plain.pop(f"{resource['resource']}/{part['subresource']}")
            assert plain == {}
