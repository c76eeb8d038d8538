"""The informer against a server that ends its watches in every way a real one does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bascule.errors import BasculeError
from bascule_kube import Cluster, Informer
from bascule_kube.kinds import NODE


def seen(informer: Informer) -> dict[str, str]:
    return {name: obj["metadata"]["resourceVersion"] for (_, name), obj in informer.cache.items()}


async def until(condition: Any, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
def changes() -> list[tuple[str, str]]:
    return []


@pytest.fixture
async def informer(cluster: Cluster, changes: list[tuple[str, str]]) -> Any:
    made = Informer(cluster, NODE, on_change=lambda kind, obj: changes.append((kind, obj["metadata"]["name"])))
    yield made
    await made.stop()


def event(kind: str, obj: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": obj}


GONE = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}


async def test_follows_adds_changes_and_deletions(server: Any, informer: Informer, changes: Any) -> None:
    s = server
    s.script = [
        s.objects(5, s.node("a", 1), s.node("b", 2)),
        s.stream(
            event("ADDED", s.node("c", 6)),
            event("MODIFIED", s.node("a", 7)),
            event("DELETED", s.node("b", 8)),
            hang=True,
        ),
    ]
    informer.start()
    await until(lambda: seen(informer) == {"a": "7", "c": "6"})
    assert informer.synced.is_set()
    assert changes == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c"), ("MODIFIED", "a"), ("DELETED", "b")]
    query = s.requests[1].query
    assert (query["resourceVersion"], query["allowWatchBookmarks"], query["timeoutSeconds"]) == ("5", "true", "240")
    assert s.requests[0].headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize("reset", [False, True], ids=["eof", "reset"])
async def test_a_broken_watch_goes_on_from_the_bookmark(server: Any, informer: Informer, reset: bool) -> None:
    s = server
    s.script = [
        s.objects(5, s.node("a", 1)),
        s.stream(event("BOOKMARK", {"kind": "Node", "metadata": {"resourceVersion": "9"}}), reset=reset),
        s.stream(event("ADDED", s.node("b", 10)), hang=True),
    ]
    informer.start()
    await until(lambda: "b" in seen(informer))
    assert [request.query.get("resourceVersion") for request in s.requests] == [None, "5", "9"]


@pytest.mark.parametrize("how", ["in stream", "http"])
async def test_410_lists_again_and_sees_what_was_deleted(
    server: Any, informer: Informer, changes: Any, how: str
) -> None:
    s = server
    s.script = [
        s.objects(5, s.node("a", 1), s.node("b", 2)),
        s.stream(GONE) if how == "in stream" else s.failure(410, "Expired"),
        s.objects(20, s.node("b", 2)),
        s.stream(hang=True),
    ]
    informer.start()
    await until(lambda: seen(informer) == {"b": "2"})
    assert changes[-1] == ("DELETED", "a")
    await until(lambda: len(s.requests) == 4)
    assert s.requests[3].query["resourceVersion"] == "20"


async def test_a_broken_line_and_a_refused_list_end_in_a_fresh_list(server: Any, informer: Informer) -> None:
    s = server
    s.script = [
        s.failure(503, "ServiceUnavailable"),
        s.objects(5, s.node("a", 1)),
        s.stream(b'{"type": "ADDED", "obj\n'),
        s.stream(b"[]\n"),
        s.failure(403, "Forbidden"),
        s.objects(6, s.node("b", 6)),
        s.stream(hang=True),
    ]
    informer.start()
    await until(lambda: seen(informer) == {"b": "6"})


async def test_pages_and_an_expired_continue_token(server: Any, informer: Informer) -> None:
    s = server
    first = {"metadata": {"resourceVersion": "5", "continue": "tok"}, "items": [s.node("a", 1)]}
    s.script = [
        s.reply(first),
        s.failure(410, "Expired"),
        s.reply(first),
        s.objects(5, s.node("b", 2)),
        s.stream(hang=True),
    ]
    informer.start()
    await until(lambda: seen(informer) == {"a": "1", "b": "2"})
    assert [request.query.get("continue") for request in s.requests[:4]] == [None, "tok", None, "tok"]


async def test_trouble_is_told_and_the_cache_stays(server: Any, informer: Informer) -> None:
    s = server
    s.script = [s.objects(5, s.node("a", 1)), s.failure(403, "Forbidden", "nodes is forbidden")]
    informer.start()
    await until(lambda: informer.error is not None)
    assert "forbidden" in str(informer.error) and seen(informer) == {"a": "1"}


async def test_events_begin_with_the_cache_and_end_at_stop(server: Any, informer: Informer) -> None:
    s = server
    s.script = [s.objects(5, s.node("a", 1)), s.stream(event("ADDED", s.node("b", 6)), hang=True)]
    informer.start()
    await informer.synced.wait()
    got = []
    async for delta in informer.events():
        got.append((delta.type, delta.key[1]))
        if len(got) == 2:
            await informer.stop()
    assert got == [("ADDED", "a"), ("ADDED", "b")]


async def test_a_long_line_passes(server: Any, informer: Informer) -> None:
    s = server
    s.script = [s.objects(5), s.stream(event("ADDED", s.node("big", 6, text="x" * 5_000_000)), hang=True)]
    informer.start()
    await until(lambda: "big" in seen(informer))


async def test_a_callback_that_fails_is_told_and_ends_nothing(server: Any, cluster: Cluster) -> None:
    s = server
    s.script = [s.objects(5, s.node("a", 1)), s.stream(event("ADDED", s.node("b", 6)), hang=True)]
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    def broken(kind: str, obj: Any) -> None:
        raise BasculeError(f"cannot digest {obj['metadata']['name']}")

    informer = Informer(cluster, NODE, on_change=broken)
    informer.start()
    await until(lambda: "b" in seen(informer))
    await informer.stop()
    assert [str(context["exception"]) for context in told] == ["cannot digest a", "cannot digest b"]
    assert len(s.requests) == 2 and informer.error is None
