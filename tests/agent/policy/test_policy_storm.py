"""Ten thousand label changes in ten seconds: flows are drained, the loop answers, and the end is right."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import replace

import pytest
from tests.agent.policy.conftest import PASS, udp
from tests.perf.policy import cluster

from bascule.flows.names import PortId
from bascule.policy.compile import Compiler
from bascule.policy.model import PolicySet
from bascule_agent.flows.collect import Collector
from bascule_agent.flows.hub import Hub
from bascule_agent.policy.policies import Policies
from bascule_agent.policy.watch import Piece

pytestmark = [pytest.mark.root, pytest.mark.long]

CHANGES, SECONDS = 10_000, 10.0


class Storm:
    """The watch of a cluster whose labels do not rest: what PolicyWatch gives to Policies."""

    def __init__(self, policies: int) -> None:
        documents, endpoints = cluster(policies)
        self.set = PolicySet.of(documents)
        self.now = {endpoint.key: endpoint for endpoint in endpoints}
        self._piece, self._ready, self._source = Piece(whole=True), asyncio.Event(), random.Random(1)
        self._ready.set()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def next(self) -> Piece:
        await self._ready.wait()
        await asyncio.sleep(0.01)
        self._ready.clear()
        piece, self._piece = self._piece, Piece()
        return piece

    def policies(self) -> PolicySet:
        return self.set

    def endpoints(self) -> list:
        return list(self.now.values())

    def changes(self, pods) -> tuple[list, list]:
        return [self.now[key] for key in self.now if key[:2] in pods], []

    def change(self) -> None:
        key = self._source.choice(list(self.now))
        labels = {**self.now[key].labels, "app": f"app-{self._source.randrange(40)}"}
        self.now[key] = replace(self.now[key], labels=labels)
        self._piece.pods.add(key[:2])
        self._ready.set()


async def test_a_storm_of_label_changes_starves_nobody(bench, tmp_path):
    bench.maps.close()
    storm = Storm(200)
    policies = Policies(bench.objects, storm, tmp_path / "policy.json", lambda *_: None, lambda: None)
    hub = Hub()
    port = PortId("node1", 1, "vm", "vms", "net-0", "dc1", 110)
    collector = Collector(bench.objects, hub, lambda: (port,), lambda drain: drained.append(time.monotonic()))
    drained: list[float] = []
    tasks = [asyncio.create_task(policies.run()), asyncio.create_task(collector.run())]
    bench.port("10.110.0.1")
    bench.objects.put("ports", (1,), (tuple(b"RT\0\0n\x01"), 110, (10, 110, 0, 1), 0, 2, 0, 0, 0))
    late, began = [0.0], time.monotonic()
    for number in range(CHANGES):
        storm.change()
        if number % 50 == 49:
            due = began + (number + 1) / CHANGES * SECONDS
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            late.append(time.monotonic() - max(due, 0.0))
            assert bench.receive("10.110.0.12", 17, udp(number, 53)) == PASS
    gaps = [two - one for one, two in zip([began, *drained], drained, strict=False)]
    assert len(drained) > 8 and max(gaps) < 4.0, gaps
    fresh = Compiler()
    fresh.load(storm.set, storm.endpoints())
    end = time.monotonic() + 30
    while storm._ready.is_set() or storm._piece.pods:
        assert time.monotonic() < end
        await asyncio.sleep(0.1)
    await policies._in_thread(lambda: None)
    mine = policies._enforcer.enforced.programs
    assert {key: (len(one.ingress), len(one.egress)) for key, one in mine.items()} == {
        key: (len(one.ingress), len(one.egress)) for key, one in fresh.programs.items()
    }
    print(f"longest drain gap {max(gaps):.2f} s, loop at most {max(late):.2f} s late, {len(drained)} drains")
    collector.stop()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    policies._logs.start()
    await policies.close()
    bench.maps = type(bench.maps)(bench.objects)
