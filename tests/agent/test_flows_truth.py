"""From a generator that knows the truth to the console's store: at every step seen = sent + lost, and nothing is twice.

The port's flow map, the agent's queues and the console's store are all made too small on purpose.
"""

from __future__ import annotations

import asyncio
import random
import struct

import pytest
from tests.agent.test_flows_corpus import GUEST, IP, LO, OTHER, PEER, ether, ip_bytes, ipv4, mac_bytes

from bascule.flows.ledger import AGENT_QUEUE, MAP_FULL, STORE_FULL
from bascule.flows.names import PortId
from bascule_agent.bpf import layout, raw
from bascule_agent.bpf.objects import ensure, mount_bpffs, unmount_bpffs
from bascule_agent.flows import hub as hubs
from bascule_agent.flows.collect import Collector
from bascule_agent.flows.hub import Hub
from bascule_agent.server.auth import Gate
from bascule_agent.server.listen import listen
from bascule_agent.server.service import Parts, Service
from bascule_console.services.agents import Agents
from bascule_console.store.flows import Flows
from bascule_console.store.nodes import AgentTarget
from bascule_console.store.topics import Topics

pytestmark = pytest.mark.root

ENTRIES, QUEUE, STORE = 64, 150, 100
PORT = PortId("node1", LO, "web-1", "vms", "net-0", "dc1", 110, GUEST, IP)


@pytest.fixture
def small(tmp_path):
    """The programs with room for few flows."""
    root = tmp_path / "bpf"
    mount_bpffs(root)
    try:
        with ensure(layout.SOURCE, root, layout.defines(flow_entries=ENTRIES), layout.LAYOUT) as found:
            names = layout.PORT.names or ()
            port = dict.fromkeys(names, 0) | {"mac": tuple(mac_bytes(GUEST)), "vlan": 110, "ip": tuple(ip_bytes(IP))}
            found.put("ports", (LO,), tuple(port[name] for name in names))
            yield found
    finally:
        unmount_bpffs(root)


async def review(_document):
    return {"status": {"authenticated": True, "user": {"username": "a"}, "allowed": True}}


async def token():
    return "x"


def burst(objects, source, flows, frames):
    """`frames` frames of `flows` flows, some of them bad; how many there were."""
    first = source.randrange(1024, 60000)
    for _ in range(frames):
        udp = struct.pack("!HHHH", first + source.randrange(flows), 53, 8, 0)
        lying = source.random() < 0.2
        data = ether(ipv4(udp, src=PEER if lying else IP), src=GUEST, dst=OTHER)
        raw.test_run(objects.programs["port_in"], data)
    return frames


async def test_every_frame_of_a_known_generator_is_in_the_store_or_lost_by_cause(small, tmp_path, monkeypatch):
    monkeypatch.setattr(hubs.Viewer.__init__, "__defaults__", (QUEUE,))
    hub, flows, source = Hub(node="node1"), Flows(Topics(), STORE), random.Random(7)
    collector = Collector(small, hub, lambda: (PORT,))
    listener = await listen(Service(Parts("node1", flows=hub), Gate("node1", review)), tmp_path / "s" / "a.sock")
    agents, stopped = Agents(token), asyncio.Event()

    async def follow():
        async for batch in agents.flows(AgentTarget("node1", listener.target), 0.0, follow=True):
            await stopped.wait()  # a console that is busy: the agent's queue for it runs over
            flows.add(batch)

    follower = asyncio.create_task(follow())
    while not hub.viewers:
        await asyncio.sleep(0.01)
    truth = 0
    for _ in range(30):
        truth += burst(small, source, flows=90, frames=200)
        await collector.drain()
    stopped.set()
    truth += burst(small, source, flows=5, frames=20)
    await collector.drain()
    truth_seen = hub.last.ledger.seen
    async with asyncio.timeout(20):
        while not flows.heard or flows.ledger.seen != truth_seen:
            await asyncio.sleep(0.02)
    follower.cancel()
    await asyncio.gather(follower, return_exceptions=True)
    await agents.close()
    await listener.stop()
    ledger = flows.ledger
    assert ledger.seen == truth == truth_seen
    assert ledger.balanced and hub.last.ledger.balanced
    shown = sum(line.packets for line in flows.rows().values())
    assert shown == ledger.sent, "what the rows add up to is what the ledger says was sent"
    assert ledger.lost[MAP_FULL] > 0 and ledger.lost[STORE_FULL] > 0
    assert set(ledger.lost) <= {MAP_FULL, STORE_FULL, AGENT_QUEUE}
    assert {line.row["reason"] for line in flows.rows().values()} <= {"", "spoofed-ip"}
