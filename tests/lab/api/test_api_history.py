"""Random writes against the store and a plain model, with crashes in between.

What was acknowledged stays, versions only grow, and every watcher sees exactly the history, each crossing of its
selector's edge included.

A crash is the database as the dead process left it: its files copied while it was open, without a checkpoint.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bascule_lab.apiserver.builtin import BUILTIN
from bascule_lab.apiserver.listing import Lists
from bascule_lab.apiserver.options import ListOptions, WriteOptions
from bascule_lab.apiserver.pipeline import Pipeline
from bascule_lab.apiserver.selectors import parse
from bascule_lab.apiserver.status import ApiError
from bascule_lab.apiserver.store import Store
from bascule_lab.apiserver.watch import Hub

KIND = next(kind for kind in BUILTIN if kind.plural == "nodes")
NAMES, SIDES = st.sampled_from(["a", "b", "c"]), st.sampled_from(["left", "right"])
STEPS = st.lists(
    st.tuples(st.sampled_from(["create", "update", "patch", "delete", "stale"]), NAMES, SIDES, st.integers(0, 2))
    | st.just(("crash", "", "", 0)),
    max_size=25,
)
Seen = tuple[str, str, int]


@dataclass
class Model:
    """What should be: objects by name, and the history since the beginning as (type, name, version, sides)."""

    objects: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    history: list[tuple[str, str, int, str, str]] = field(default_factory=list)

    def put(self, name: str, side: str, number: int, version: int) -> None:
        before = self.objects.get(name)
        self.objects[name] = (side, number, version)
        self.history.append(("MODIFIED" if before else "ADDED", name, version, before[0] if before else "", side))

    def drop(self, name: str, version: int) -> None:
        side = self.objects.pop(name)[0]
        self.history.append(("DELETED", name, version, side, ""))

    def seen_by(self, side: str) -> list[Seen]:
        """The history through a selector on `side` ("" selects everything)."""
        if not side:
            return [(kind, name, version) for kind, name, version, _, _ in self.history]
        edges = {(False, True): "ADDED", (True, True): "MODIFIED", (True, False): "DELETED"}
        crossed = ((edges.get((was == side, now == side)), n, v) for _, n, v, was, now in self.history)
        return [(kind, name, version) for kind, name, version in crossed if kind]


class Watching:
    """One watcher, which resumes at the last version it saw."""

    def __init__(self, side: str) -> None:
        self.side, self.seen, self.version = side, list[Seen](), 0
        self.task: asyncio.Task[None] | None = None

    def start(self, store: Store, hub: Hub, first: int) -> None:
        selector = parse(f"side={self.side}" if self.side else "", "", KIND.selectable)
        options = ListOptions(selector, version=self.version or first)
        self.task = asyncio.create_task(self._read(hub.stream(KIND, "", options, Lists(store))))

    async def _read(self, stream: AsyncGenerator[bytes, None]) -> None:
        async for chunk in stream:
            for line in chunk.splitlines():
                event = json.loads(line)
                meta = event["object"]["metadata"]
                self.version = int(meta["resourceVersion"])
                self.seen.append((event["type"], meta["name"], self.version))

    async def stop(self) -> None:
        assert self.task is not None
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


def node(name: str, side: str, number: int) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"side": side}}, "spec": {"podCIDR": str(number)}}


def write(store: Store, step: tuple[str, str, str, int], model: Model) -> None:
    """One step on the API's pipeline and, when it was acknowledged, on the model."""
    word, name, side, number = step
    pipeline, before = Pipeline(store), store.rv
    try:
        if word == "create":
            pipeline.create(KIND, "", node(name, side, number), WriteOptions())
        else:
            record = pipeline.read(KIND, "", name)
            if word == "delete":
                pipeline.delete(KIND, record)
            elif word == "patch":
                pipeline.patch(KIND, record, lambda old: {**old, **node(name, side, number)}, WriteOptions())
            else:
                body = node(name, side, number)
                body["metadata"]["resourceVersion"] = str(record.rv - (word == "stale"))
                pipeline.update(KIND, record, body, WriteOptions())
    except ApiError as error:
        wanted = {"create": "AlreadyExists", "stale": "Conflict"}.get(word, "NotFound")
        assert error.reason in (wanted, "NotFound") and store.rv == before
        assert (word == "create") == (name in model.objects) or word == "stale"
        return
    assert word != "stale"
    same = model.objects.get(name, ("", -1, 0))[:2] == (side, number)
    if word == "delete":
        assert store.rv == before + 1
        model.drop(name, store.rv)
    elif same:
        assert store.rv == before, "a write that changes nothing is none"
    else:
        assert store.rv == before + 1
        model.put(name, side, number, store.rv)


def check(store: Store, model: Model) -> None:
    found = {}
    for (_, name), record in store.items("nodes").items():
        document = record.document()
        number = int(document["spec"]["podCIDR"])
        found[name] = (document["metadata"]["labels"]["side"], number, record.rv)
        assert document["metadata"]["resourceVersion"] == str(record.rv)
    assert found == model.objects


async def play(steps: list[tuple[str, str, str, int]], place: Path) -> None:
    model, lives = Model(), 0
    store = Store(place / "api0.db")
    Pipeline(store).create(KIND, "", node("zero", "none", 0), WriteOptions())
    first = store.rv
    model.objects["zero"] = ("none", 0, first)
    watchers, hub = [Watching(""), Watching("left"), Watching("right")], Hub(store)
    for watcher in watchers:
        watcher.start(store, hub, first)
    try:
        for step in steps:
            if step[0] != "crash":
                write(store, step, model)
                if step[3]:
                    await asyncio.sleep(0)
                continue
            lives += 1
            version = store.rv
            for suffix in ("", "-wal"):
                shutil.copy(place / f"api{lives - 1}.db{suffix}", place / f"api{lives}.db{suffix}")
            for watcher in watchers:
                await watcher.stop()
            store.close()
            store = Store(place / f"api{lives}.db")
            hub = Hub(store)
            assert store.rv == version, "no version goes back, none is lost"
            check(store, model)
            for watcher in watchers:
                watcher.start(store, hub, first)
        for _ in range(4):
            await asyncio.sleep(0)
        check(store, model)
        for watcher in watchers:
            assert watcher.seen == model.seen_by(watcher.side)
    finally:
        for watcher in watchers:
            await watcher.stop()
        store.close()


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_writes_watches_and_crashes_agree_with_a_plain_model(steps):
    with tempfile.TemporaryDirectory(prefix="h9-history-") as place:
        asyncio.run(play(steps, Path(place)))
