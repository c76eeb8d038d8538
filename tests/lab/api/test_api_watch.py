"""Watches of the lab's API: order, versions, selectors, expiry, bookmarks, slow clients, restarts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bascule_lab.apiserver.store import Event, Index

CMS = "/api/v1/namespaces/vms/configmaps"
PODS = "/api/v1/namespaces/vms/pods"


def config_map(name: str, **labels: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}}


async def test_a_watch_without_version_begins_with_what_is_there(api):
    admin = api.client()
    await admin("POST", CMS, config_map("a"))
    async with admin.watch(f"{CMS}?watch=1") as watch:
        await admin.merge(f"{CMS}/a", {"data": {"x": "y"}})
        await admin("DELETE", f"{CMS}/a")
        assert await watch.types(3) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_a_watch_from_a_lists_version_misses_and_repeats_nothing(api):
    admin = api.client()
    await admin("POST", CMS, config_map("old"))
    version = (await admin("GET", CMS)).body["metadata"]["resourceVersion"]
    for number in range(50):
        await admin("POST", CMS, config_map(f"n{number:02}"))
    async with admin.watch(f"{CMS}?watch=true&resourceVersion={version}") as watch:
        await admin("POST", CMS, config_map("last"))
        events = [await watch.next() for _ in range(51)]
    assert [e["object"]["metadata"]["name"] for e in events] == [f"n{n:02}" for n in range(50)] + ["last"]
    versions = [int(e["object"]["metadata"]["resourceVersion"]) for e in events]
    assert versions == sorted(set(versions)) and versions[0] > int(version)


@pytest.mark.parametrize("replayed", [True, False])
async def test_crossing_a_selectors_edge_is_added_and_deleted(api, replayed):
    admin = api.client()
    version = (await admin("GET", CMS)).body["metadata"]["resourceVersion"]

    async def change() -> None:
        await admin("POST", CMS, config_map("a", side="left"))
        for side in ("right", "right-again", "left"):
            await admin.merge(f"{CMS}/a", {"metadata": {"labels": {"side": side}}})
        await admin("DELETE", f"{CMS}/a")

    if replayed:
        await change()
    selector = "labelSelector=side%20in%20(right,right-again)"
    async with admin.watch(f"{CMS}?watch=1&resourceVersion={version}&{selector}") as watch:
        if not replayed:
            await change()
        assert await watch.types(3) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
        await admin("POST", CMS, config_map("b", side="right"))
        assert await watch.types(1) == [("ADDED", "b")]


async def test_a_node_watches_only_its_own_pods(api):
    admin = api.client()
    agent = api.client("agent:node1")
    async with agent.watch("/api/v1/pods?watch=1&fieldSelector=spec.nodeName%3Dnode1") as watch:
        for name, node in (("a", "node2"), ("b", "node1")):
            body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"nodeName": node}}
            assert (await admin("POST", PODS, body)).code == 201
        assert await watch.types(1) == [("ADDED", "b")]
    wrong = await agent("GET", "/api/v1/pods?fieldSelector=spec.hostNetwork%3Dtrue")
    assert wrong.code == 400 and "field label not supported" in wrong.body["message"]


async def test_expired_and_unknown_versions_give_an_error_event(api):
    admin = api.client()
    store = api.server.api.store
    store.floor = store.rv
    await admin("POST", CMS, config_map("a"))
    for version in (store.floor - 1, store.rv + 1000):
        async with admin.watch(f"{CMS}?watch=1&resourceVersion={version}") as watch:
            event = await watch.next()
            assert event["type"] == "ERROR" and event["object"]["code"] == 410
            assert event["object"]["reason"] == "Expired" and await watch.next() is None


async def test_bookmarks_come_at_their_interval_and_before_the_timeout(api):
    api.server.api.hub._bookmark_seconds = 0.3
    admin = api.client()
    await admin("POST", CMS, config_map("a"))
    version = (await admin("GET", CMS)).body["metadata"]["resourceVersion"]
    path = f"{CMS}?watch=1&resourceVersion={version}&timeoutSeconds=1"
    async with admin.watch(f"{path}&allowWatchBookmarks=true") as watch:
        await admin("POST", "/api/v1/nodes", {"metadata": {"name": "n"}})
        events = []
        while (event := await watch.next()) is not None:
            events.append(event)
    assert {event["type"] for event in events} == {"BOOKMARK"} and 3 <= len(events) <= 5
    last = events[-1]["object"]
    assert last["kind"] == "ConfigMap" and last["metadata"]["resourceVersion"] == str(api.server.api.store.rv)
    async with admin.watch(path) as watch:
        assert await watch.next() is None


async def test_a_client_that_does_not_read_is_cut_off_and_others_are_not(api):
    hub = api.server.api.hub
    hub._bound = 4
    admin = api.client()
    async with admin.watch(f"{CMS}?watch=1") as slow, admin.watch(f"{CMS}?watch=1") as fast:
        watchers = list(hub._watchers["configmaps"])
        victim = watchers[0]
        old = Event("ADDED", 1, ("configmaps", "vms", "x"), b"{}", Index({}, {}), None)
        victim.queue.extend([("ADDED", old)] * 4)
        await admin("POST", CMS, config_map("a"))
        ends = await asyncio.gather(slow.next(), fast.next())
    assert victim.closed and [event is None for event in ends].count(True) == 1
    assert ("ADDED", "a") in [(e["type"], e["object"]["metadata"]["name"]) for e in ends if e]


async def test_a_client_that_leaves_is_forgotten(api):
    admin = api.client()
    async with admin.watch(f"{CMS}?watch=1") as watch:
        assert len(api.server.api.hub._watchers["configmaps"]) == 1
        watch.response.close()
    for _ in range(50):
        if not api.server.api.hub._watchers["configmaps"]:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the watcher is still there")


async def test_versions_objects_and_the_log_survive_a_restart(tmp_path, restart_api):
    async with restart_api(tmp_path) as first:
        admin = first.client()
        await admin("POST", "/api/v1/namespaces", {"metadata": {"name": "vms"}})
        version = (await admin("GET", CMS)).body["metadata"]["resourceVersion"]
        made = await admin("POST", CMS, config_map("a"))
        assert made.code == 201
    async with restart_api(tmp_path) as second:
        admin = second.client()
        assert (await admin("GET", f"{CMS}/a")).body == made.body
        async with admin.watch(f"{CMS}?watch=1&resourceVersion={version}") as watch:
            assert await watch.types(1) == [("ADDED", "a")]


async def test_pages_are_of_one_snapshot(api):
    admin = api.client()
    for number in range(7):
        await admin("POST", CMS, config_map(f"n{number}"))
    first = (await admin("GET", f"{CMS}?limit=3")).body
    assert first["metadata"]["remainingItemCount"] == 4
    await admin("DELETE", f"{CMS}/n4")
    names, page = [i["metadata"]["name"] for i in first["items"]], first
    while token := page["metadata"].get("continue"):
        page = (await admin("GET", f"{CMS}?limit=3&continue={token}")).body
        assert page["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        names += [i["metadata"]["name"] for i in page["items"]]
    assert names == [f"n{number}" for number in range(7)]
    old = await admin("GET", f"{CMS}?limit=3&continue={first['metadata']['continue']}")
    assert (old.code, old.reason) == (410, "Expired")
    rest = await admin("GET", f"{CMS}?limit=9&continue={old.body['metadata']['continue']}")
    assert [i["metadata"]["name"] for i in rest.body["items"]] == ["n3", "n5", "n6"], "the rest as it is now"
    assert int(rest.body["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    elsewhere = await admin("GET", f"{PODS}?continue={old.body['metadata']['continue']}")
    assert elsewhere.code == 400 and "belongs to another list" in elsewhere.body["message"]
    assert (await admin("GET", f"{CMS}?continue=nonsense")).code == 400


async def test_two_hundred_watches_lose_nothing(api):
    admin = api.client()
    version = (await admin("GET", CMS)).body["metadata"]["resourceVersion"]
    wanted = [("ADDED", f"n{number:02}") for number in range(25)]

    async def follow() -> list[tuple[str, str]]:
        async with admin.watch(f"{CMS}?watch=1&resourceVersion={version}") as watch:
            return await watch.types(len(wanted))

    following = [asyncio.create_task(follow()) for _ in range(200)]
    while len(api.server.api.hub._watchers.get("configmaps", ())) < 200:
        await asyncio.sleep(0.02)
    for _, name in wanted:
        await admin("POST", CMS, config_map(name))
    assert await asyncio.gather(*following) == [wanted] * 200
