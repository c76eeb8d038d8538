"""Viewers over a real socket: a filter is applied at the node, a history is answered, who does not read is dropped."""

import asyncio
import time

import grpc
import grpc.aio
import numpy as np
import pytest

from bascule.flows.filter import read_filter
from bascule.flows.ledger import Ledger
from bascule.flows.names import PortId
from bascule.flows.record import RECORD
from bascule.protocol.gen import agent_pb2 as pb
from bascule.protocol.gen import agent_pb2_grpc as rpc
from bascule_agent.flows.hub import Drain, Hub, Sieve
from bascule_agent.flows.recorder import Recorder
from bascule_agent.server import flows as served_flows
from bascule_agent.server.auth import Gate
from bascule_agent.server.listen import listen
from bascule_agent.server.service import Parts, Service

ALLOWED = (("authorization", "Bearer x"),)
PORT = PortId("node1", 7, "web-1", "vms", "net-0", "dc1", 110, "52:54:00:00:6e:01", "10.110.0.11", (("app", "web"),))


async def review(_document):
    return {"status": {"authenticated": True, "user": {"username": "a"}, "allowed": True}}


def drains():
    """Drains of two flows of 2 frames each, one of them dropped; the ledger grows with them."""
    seen = 0
    while True:
        records = np.zeros(2, RECORD)
        records["ifindex"], records["packets"], records["verdict"], records["ethertype"] = 7, 2, (1, 3), 0x800
        records["first"] = records["last"] = time.time_ns()
        seen += 4
        yield Drain(time.time_ns(), records, (PORT,), Ledger(seen, seen))


@pytest.fixture
async def served(tmp_path):
    hub, recorder = Hub(node="node1"), Recorder(tmp_path / "flows.sqlite", "node1")
    service = Service(Parts("node1", flows=hub, history=recorder), Gate("node1", review))
    listener = await listen(service, tmp_path / "h6" / "agent.sock")

    def dial():
        options = [("grpc.use_local_subchannel_pool", 1)]
        return grpc.aio.insecure_channel(listener.target, options=options)

    yield dial, hub, recorder
    await listener.stop()
    recorder.close()


def frames(batch):
    return int(np.frombuffer(batch.records, RECORD)["packets"].sum())


async def test_a_filter_is_applied_at_the_node_and_the_ledger_tells_what_it_left(served):
    dial, hub, _ = served
    made = drains()
    hub.publish(next(made))
    async with dial() as channel:
        request = pb.FlowsRequest(history_seconds=60, follow=True, filter="vlan:110 and verdict:drop label:app=web")
        stream = rpc.AgentStub(channel).Flows(request, metadata=ALLOWED)
        got = [await stream.read()]
        for _ in range(3):
            hub.publish(next(made))
            got.append(await stream.read())
    for number, batch in enumerate(got, 1):
        assert frames(batch) == 2
        assert (batch.ledger.seen, batch.ledger.sent, batch.ledger.filtered) == (4 * number, 2 * number, 2 * number)
        assert dict(batch.ports[0].labels) == {"app": "web"}


async def test_a_filter_that_does_not_parse_is_refused_with_its_character(served):
    dial, _, _ = served
    async with dial() as channel:
        stream = rpc.AgentStub(channel).Flows(pb.FlowsRequest(filter="vlna:1"), metadata=ALLOWED)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await anext(aiter(stream))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "no field 'vlna', at character 1" in caught.value.details()


async def test_the_history_answers_what_the_memory_has_forgotten(served):
    dial, _, recorder = served
    made, began = drains(), time.time_ns()
    for _ in range(5):
        recorder.record(next(made))
    async with dial() as channel:
        request = pb.FlowsRequest(since_ns=began, filter="verdict:drop")
        got = [batch async for batch in rpc.AgentStub(channel).Flows(request, metadata=ALLOWED)]
    (batch,) = got
    assert frames(batch) == 10 and len(batch.records) == RECORD.itemsize
    assert (batch.ledger.seen, batch.ledger.sent, batch.ledger.filtered) == (20, 10, 10)
    assert batch.HasField("history") and batch.history.oldest_ns >= began


async def test_who_does_not_read_is_dropped_with_a_message_and_nobody_else_notices(served, monkeypatch):
    dial, hub, _ = served
    monkeypatch.setattr(served_flows.deliver, "__defaults__", (1.0,))
    heavy = np.zeros(16_000, RECORD)
    heavy["packets"] = 1
    async with dial() as first, dial() as second:
        slow = rpc.AgentStub(first).Flows(pb.FlowsRequest(follow=True), metadata=ALLOWED)
        good = rpc.AgentStub(second).Flows(pb.FlowsRequest(follow=True), metadata=ALLOWED)
        await slow.read()
        await good.read()
        number, delivered = 0, 0
        async with asyncio.timeout(60):
            while hub.viewers == 2:
                number += 1
                hub.publish(Drain(number, heavy, (), Ledger(number * 16_000, number * 16_000)))
                delivered += frames(await good.read())
                await asyncio.sleep(0.05)
        assert hub.viewers == 1 and delivered == number * 16_000
        hub.publish(Drain(number + 1, heavy, (), Ledger((number + 1) * 16_000, (number + 1) * 16_000)))
        assert frames(await good.read()) == 16_000
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            while await slow.read() != grpc.aio.EOF:
                pass
            raise grpc.aio.AioRpcError(await slow.code(), (), (), await slow.details())
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "has read nothing for 1 s" in caught.value.details()


async def test_a_history_that_cannot_be_written_is_counted_not_raised(tmp_path):
    recorder = Recorder(tmp_path / "flows.sqlite", "node1")
    made, began = drains(), time.time_ns()
    recorder.record(next(made))
    pieces = [drain async for drain, _ in recorder.read(began, read_filter(""))]
    assert pieces[-1].ledger.seen == 4
    recorder._history._db.execute("PRAGMA query_only = 1")
    recorder.record(next(made))
    await asyncio.sleep(0.1)
    recorder._history._db.execute("PRAGMA query_only = 0")
    recorder.record(next(made))
    pieces = [drain async for drain, _ in recorder.read(began, read_filter(""))]
    ledger = pieces[-1].ledger
    recorder.close()
    assert (ledger.seen, ledger.sent, dict(ledger.lost)) == (12, 8, {"not-recorded": 4})


def test_a_sieve_without_a_filter_is_no_work():
    drain = next(drains())
    assert Sieve("node1", read_filter(""))(drain) is drain
