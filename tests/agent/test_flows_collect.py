"""The collector on real kernel maps: what a program would have written comes out once, named, in real time, accounted.

The witness is the test itself: it writes known entries into the pinned maps through bpf(2) where port.c would.
"""

import asyncio
import errno
import time
from pathlib import Path

import pytest

from bascule.flows.names import PortId
from bascule_agent.bpf import layout
from bascule_agent.bpf.objects import ensure, mount_bpffs, unmount_bpffs
from bascule_agent.flows.collect import Collector
from bascule_agent.flows.hub import Hub

pytestmark = pytest.mark.root
PORT = PortId("node1", 7, "web-1", "vms", "net-0", "dc1", 110, "52:54:00:00:6e:01", "10.110.0.11")
MAC, IP = (0x52, 0x54, 0, 0, 0x6E, 1), (10, 110, 0, 11)


@pytest.fixture(scope="module")
def objects():
    root = Path("/run/h6-collect")
    try:
        mount_bpffs(root)
        with ensure(layout.SOURCE, root, layout.defines(), layout.LAYOUT) as opened:
            yield opened
    finally:
        unmount_bpffs(root)


@pytest.fixture
def collector(objects):
    hub = Hub()
    made = Collector(objects, hub, lambda: (PORT,))
    yield made, hub
    for name in ("flows0", "flows1", "counters0", "counters1"):
        objects.rows(name, remove=True)


def write_flow(objects, src_port, packets, now):
    current = int(objects.get("cur", 0))
    key = (7, 1, 1, 0, 17, MAC, MAC, 0x0800, 110, IP, IP, src_port, 53, 0)
    objects.put(f"flows{current}", key, (packets, packets * 100, now, now))


def write_count(objects, cause, packets):
    current = int(objects.get("cur", 0))
    objects.put(f"counters{current}", (7, 1, cause), (packets, packets * 100))


async def test_every_frame_comes_out_once_and_the_ledger_adds_up_at_each_swap(objects, collector):
    collector, hub = collector
    now = time.monotonic_ns()
    write_flow(objects, 1000, 3, now)
    write_flow(objects, 1001, 4, now)
    write_count(objects, 0, 9)
    write_count(objects, errno.E2BIG, 2)
    first = await collector.drain()
    assert sorted(first.records["packets"].tolist()) == [3, 4]
    assert (first.ledger.seen, first.ledger.sent, first.ledger.lost) == (9, 7, {"map-full": 2})
    write_flow(objects, 1000, 5, now)
    write_count(objects, 0, 5)
    second = await collector.drain()
    assert second.frames == 5 and second.ledger.seen == 14 and second.ledger.balanced
    third = await collector.drain()
    assert third.frames == 0 and third.ledger == second.ledger
    assert hub.last == third and third.ports == (PORT,)


async def test_times_leave_as_real_time(objects, collector):
    collector, _ = collector
    write_flow(objects, 1000, 1, time.monotonic_ns())
    before = time.time_ns()
    drain = await collector.drain()
    assert abs(int(drain.records["last"][0]) - before) < 50_000_000


async def test_what_an_earlier_agent_left_in_the_idle_maps_is_not_lost(objects, collector):
    collector, _ = collector
    write_flow(objects, 1000, 6, time.monotonic_ns())
    write_count(objects, 0, 6)
    current = int(objects.get("cur", 0))
    objects.put("cur", (0,), (1 - current,))  # the earlier agent died between its swap and its read
    drains = [await collector.drain() for _ in range(2)]
    assert sum(d.frames for d in drains) == 6 and drains[-1].ledger.balanced


async def test_stop_publishes_the_drain_that_runs(objects, collector):
    collector, hub = collector
    task = asyncio.create_task(collector.run())
    await asyncio.sleep(0.05)
    write_flow(objects, 1000, 1, time.monotonic_ns())
    write_count(objects, 0, 1)
    async with asyncio.timeout(3):
        while hub.last.ledger.seen < 1:
            await asyncio.sleep(0.02)
    collector.stop()
    await asyncio.wait_for(task, 2)
