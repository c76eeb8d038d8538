"""The list-watch machine against a model of an API server that breaks in every way, in any order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bascule.watch import (
    Action,
    Backoff,
    Delta,
    Eof,
    Failed,
    Input,
    Line,
    ListRequest,
    ListWatch,
    Page,
    Sleep,
    Start,
    Synced,
    Timer,
    WatchRequest,
)

NAMES = ("a", "b", "c", "d")
GONE = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}


@dataclass
class Server:
    """Objects, a log of changes that can be compacted, and list snapshots by continue token."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    log: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    version: int = 1
    compacted: int = 0
    snapshots: dict[str, tuple[list[dict[str, Any]], int]] = field(default_factory=dict)

    def change(self, name: str, how: int) -> None:
        self.version += 1
        old = self.objects.get(name)
        if old is not None and how == 0:
            del self.objects[name]
            metadata = old["metadata"] | {"resourceVersion": str(self.version)}
            self.log.append((self.version, {"type": "DELETED", "object": old | {"metadata": metadata}}))
            return
        uid = old["metadata"]["uid"] if old else f"{name}-{self.version}"
        obj = {"metadata": {"name": name, "namespace": "x", "uid": uid, "resourceVersion": str(self.version)}}
        self.objects[name] = obj
        self.log.append((self.version, {"type": "MODIFIED" if old else "ADDED", "object": obj}))

    def page(self, request: ListRequest, size: int) -> Page:
        items, version = self.snapshots.pop(request.continue_token, (list(self.objects.values()), self.version))
        token = f"t{len(self.snapshots)}-{self.version}-{len(items)}" if len(items) > size else ""
        if token:
            self.snapshots[token] = (items[size:], version)
        return Page(items[:size], str(version), token)

    def after(self, version: int) -> list[tuple[int, dict[str, Any]]]:
        return [entry for entry in self.log if entry[0] > version]


class Driver:
    """Carries out what the machine asks of the model, with a behaviour for each step."""

    def __init__(self, jitter: float) -> None:
        self.now = 0.0
        self.server = Server()
        self.machine = ListWatch(lambda: jitter, lambda: self.now)
        self.pending: Action = ListRequest()
        self.position = 0
        self.synced = 0
        self.replayed: dict[tuple[str, str], Any] = {}
        self.take(Start())

    def take(self, happened: Input) -> None:
        for action in self.machine.step(happened):
            if isinstance(action, Delta):
                self.replay(action)
            elif isinstance(action, Synced):
                self.synced += 1
            else:
                self.pending = action
                if isinstance(action, WatchRequest):
                    self.position = int(action.resource_version)

    def replay(self, delta: Delta) -> None:
        assert (delta.key in self.replayed) == (delta.type != "ADDED")
        if delta.type == "DELETED":
            del self.replayed[delta.key]
        else:
            self.replayed[delta.key] = delta.object

    def advance(self, behaviour: str, count: int) -> None:
        match self.pending:
            case Sleep(seconds):
                assert 0 < seconds <= 15
                self.now += seconds
                self.take(Timer())
            case ListRequest():
                self.list(self.pending, behaviour, count)
            case WatchRequest():
                self.watch(behaviour, count)

    def list(self, request: ListRequest, behaviour: str, count: int) -> None:
        if request.continue_token and request.continue_token not in self.server.snapshots:
            self.take(Failed(410))
        elif behaviour in STATUSES:
            self.take(Failed(STATUSES[behaviour], 2.0 if behaviour == "busy" else None))
        elif behaviour == "nameless":
            self.take(Page([{"metadata": {}}], str(self.server.version)))
        else:
            self.take(self.server.page(request, count + 1))

    def watch(self, behaviour: str, count: int) -> None:
        watched = self.pending
        if self.position < self.server.compacted:
            self.take(Failed(410) if behaviour == "gone" else Line(GONE))
            return
        for version, event in self.server.after(self.position)[:count]:
            self.position = version
            self.take(Line(event))
        self.now += count
        match behaviour:
            case "ok":
                pass
            case "bookmark":
                event = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(self.position)}}}
                self.take(Line(event))
            case "eof":
                self.take(Eof())
            case "nameless":
                self.take(Line({"type": "ADDED", "object": {"spec": 1}}))
            case "junk":
                self.take(Line([1]))
            case "in-stream 500":
                self.take(Line({"type": "ERROR", "object": {"code": 500, "reason": "InternalError"}}))
            case "in-stream gone":
                self.take(Line(GONE))
            case _:
                self.take(Failed(STATUSES[behaviour], 2.0 if behaviour == "busy" else None))
        assert behaviour in ("ok", "bookmark") or self.pending is not watched


STATUSES = {"reset": 0, "busy": 429, "broken": 503, "forbidden": 403, "gone": 410, "missing": 404}
BEHAVIOURS = ("ok", "bookmark", "eof", "nameless", "junk", "in-stream 500", "in-stream gone", *STATUSES)
CHANGES = st.tuples(st.just("change"), st.sampled_from(NAMES), st.integers(0, 3))
COMPACTIONS = st.tuples(st.just("compact"), st.booleans(), st.just(0))
ADVANCES = st.tuples(st.just("advance"), st.sampled_from(BEHAVIOURS), st.integers(0, 3))


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(CHANGES, ADVANCES, ADVANCES, COMPACTIONS), max_size=60), st.floats(0, 0.999))
def test_the_cache_converges_whatever_the_server_does(script: list[tuple[str, Any, int]], jitter: float) -> None:
    driver = Driver(jitter)
    server = driver.server
    for what, which, count in script:
        if what == "change":
            server.change(which, count)
        elif what == "advance":
            driver.advance(which, count)
        else:
            server.compacted = server.version
            server.log.clear()
            if which:
                server.snapshots.clear()
    for _ in range(50):
        driver.advance("ok", 3)
    expected = {("x", name): obj for name, obj in server.objects.items()}
    assert driver.machine.cache == expected == driver.replayed
    assert driver.synced and isinstance(driver.pending, WatchRequest)


@pytest.mark.parametrize("behaviour", [b for b in BEHAVIOURS if b not in ("ok", "bookmark")])
def test_a_server_that_always_breaks_is_asked_ever_more_slowly(behaviour: str) -> None:
    driver = Driver(0.0)
    asked = 0
    while driver.now < 600:
        asked += not isinstance(driver.pending, Sleep)
        driver.advance(behaviour, 0)
    assert asked <= 300


def test_a_watch_that_lived_is_reopened_at_once_from_the_last_version() -> None:
    driver = Driver(0.5)
    driver.advance("ok", 9)
    driver.server.change("a", 1)
    driver.advance("eof", 1)
    assert driver.pending == WatchRequest("2")


def test_a_deletion_in_the_gap_is_seen_and_a_reborn_object_is_another() -> None:
    driver = Driver(0.5)
    driver.server.change("a", 1)
    driver.server.change("b", 1)
    driver.advance("ok", 9)
    first = driver.machine.cache[("x", "a")]
    driver.server.change("a", 0)
    driver.server.change("a", 1)
    driver.server.change("b", 0)
    driver.server.log.clear()
    driver.server.compacted = driver.server.version
    got: list[Delta] = []
    driver.replay = got.append  # type: ignore[method-assign]
    for _ in range(4):
        driver.advance("ok", 9)
    assert [(delta.type, delta.key[1]) for delta in got] == [("DELETED", "b"), ("DELETED", "a"), ("ADDED", "a")]
    assert got[1].object is first


def test_a_broken_page_is_asked_again_with_its_token() -> None:
    driver = Driver(0.5)
    for name in NAMES:
        driver.server.change(name, 1)
    driver.advance("ok", 1)
    asked = driver.pending
    assert isinstance(asked, ListRequest) and asked.continue_token
    driver.advance("reset", 0)
    driver.advance("ok", 0)
    assert driver.pending == asked


@given(st.floats(0, 0.999), st.integers(0, 60))
def test_backoff_doubles_to_its_cap_within_its_jitter(jitter: float, failures: int) -> None:
    backoff = Backoff(lambda: jitter, base=0.2, cap=15.0, failures=failures)
    whole = min(15.0, 0.2 * 2.0**failures)
    assert whole / 2 <= backoff.next() <= whole
