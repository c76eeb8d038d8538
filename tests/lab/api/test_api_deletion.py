"""What a deletion takes with it: foreground, orphans, namespaces; and what keeps it waiting."""

from __future__ import annotations

import asyncio
from typing import Any

CMS = "/api/v1/namespaces/vms/configmaps"
HELD = "bascule.dev/held"


async def make(client: Any, name: str, owner: dict[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
    own: dict[str, Any] = {"name": name, **meta}
    if owner is not None:
        uid = owner["metadata"]["uid"]
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"], "uid": uid}
        own["ownerReferences"] = [{**reference, "blockOwnerDeletion": True}]
    answer = await client("POST", CMS, {"metadata": own})
    assert answer.code == 201, answer.body
    return dict(answer.body)


async def names(client: Any) -> list[str]:
    return [item["metadata"]["name"] for item in (await client("GET", CMS)).body["items"]]


async def until(client: Any, wanted: list[str]) -> None:
    for _ in range(100):
        if await names(client) == wanted:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{await names(client)}, not {wanted}")


async def test_foreground_waits_for_the_dependents_over_two_generations(api):
    admin = api.client()
    top = await make(admin, "a-top")
    middle = await make(admin, "b-middle", top)
    await make(admin, "c-leaf", middle, finalizers=[HELD])
    marked = await admin("DELETE", f"{CMS}/a-top", {"propagationPolicy": "Foreground"})
    assert marked.body["metadata"]["finalizers"] == ["foregroundDeletion"]
    await asyncio.sleep(0.1)
    assert await names(admin) == ["a-top", "b-middle", "c-leaf"], "the leaf is held, so all wait"
    leaf = (await admin("GET", f"{CMS}/c-leaf")).body
    assert leaf["metadata"]["deletionTimestamp"]
    await admin.merge(f"{CMS}/c-leaf", {"metadata": {"finalizers": None}})
    await until(admin, [])


async def test_orphans_stay_without_their_owner(api):
    admin = api.client()
    top = await make(admin, "a-top")
    await make(admin, "b-child", top)
    await admin("DELETE", f"{CMS}/a-top?propagationPolicy=Orphan")
    await until(admin, ["b-child"])
    assert "ownerReferences" not in (await admin("GET", f"{CMS}/b-child")).body["metadata"]


async def test_of_two_owners_the_last_one_counts(api):
    admin = api.client()
    one, two = await make(admin, "a"), await make(admin, "b")
    references = [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
        for owner in (one, two)
    ]
    await make(admin, "child", ownerReferences=references)
    await admin("DELETE", f"{CMS}/a")
    await asyncio.sleep(0.05)
    assert await names(admin) == ["b", "child"]
    await admin("DELETE", f"{CMS}/b")
    await until(admin, [])


async def test_a_foreground_deletion_goes_on_after_a_restart(tmp_path, restart_api):
    async with restart_api(tmp_path) as first:
        admin = first.client()
        await admin("POST", "/api/v1/namespaces", {"metadata": {"name": "vms"}})
        top = await make(admin, "a-top")
        await make(admin, "b-child", top, finalizers=[HELD])
        await admin("DELETE", f"{CMS}/a-top", {"propagationPolicy": "Foreground"})
    async with restart_api(tmp_path) as second:
        admin = second.client()
        assert await names(admin) == ["a-top", "b-child"]
        await admin.merge(f"{CMS}/b-child", {"metadata": {"finalizers": None}})
        await until(admin, [])


async def test_namespaces_that_stay_and_the_finalize_subresource(api):
    admin = api.client()
    kept = await admin("DELETE", "/api/v1/namespaces/default")
    assert kept.code == 403 and "this namespace may not be deleted" in kept.body["message"]
    await admin("POST", "/api/v1/namespaces", {"metadata": {"name": "mine"}})
    own = (await admin("GET", "/api/v1/namespaces/mine")).body
    own["spec"]["finalizers"].append("example.com/f")
    assert (await admin("PUT", "/api/v1/namespaces/mine/finalize", own)).code == 200
    await admin("DELETE", "/api/v1/namespaces/mine")
    await asyncio.sleep(0.05)
    waiting = (await admin("GET", "/api/v1/namespaces/mine")).body
    assert waiting["spec"]["finalizers"] == ["example.com/f"] and waiting["status"]["phase"] == "Terminating"
    waiting["spec"]["finalizers"] = []
    assert (await admin("PUT", "/api/v1/namespaces/mine/finalize", waiting)).code == 200
    assert (await admin("GET", "/api/v1/namespaces/mine")).code == 404
