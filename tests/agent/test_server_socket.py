"""The service on a real unix socket, called by a real gRPC client; only the cluster's two reviews are scripted."""

import json
import stat

import grpc
import grpc.aio
import numpy as np
import pytest

from bascule.errors import UsageError
from bascule.flows.ledger import Ledger
from bascule.flows.names import PortId
from bascule.flows.record import RECORD
from bascule.protocol.gen import agent_pb2 as pb
from bascule.protocol.gen import agent_pb2_grpc as rpc
from bascule_agent.flows.hub import BATCH_RECORDS, Drain, Hub
from bascule_agent.server.auth import Gate
from bascule_agent.server.listen import listen
from bascule_agent.server.service import Parts, Service

ADMIN = (("authorization", "Bearer t-admin"),)
VIEWER = (("authorization", "Bearer t-viewer"),)


async def review(document):
    spec = document["spec"]
    if document["kind"] == "TokenReview":
        name = {"t-viewer": "viewer", "t-admin": "admin"}.get(spec["token"])
        return {"status": {"authenticated": bool(name), "user": {"username": name}}}
    return {"status": {"allowed": spec["user"] == "admin" or spec["resourceAttributes"]["verb"] == "get"}}


async def report():
    return {"name": "node1", "ports": []}


@pytest.fixture
async def served(tmp_path):
    hub = Hub()
    path = tmp_path / "h6" / "agent.sock"
    service = Service(Parts("node1", report=report, flows=hub), Gate("node1", review))
    listener = await listen(service, path)
    async with grpc.aio.insecure_channel(listener.target) as channel:
        yield rpc.AgentStub(channel), hub, path
    await listener.stop()
    assert not path.exists()


async def code(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details()


async def test_node_is_json_for_who_may_read(served):
    stub, _, path = served
    answer = await stub.Node(pb.NodeRequest(), metadata=VIEWER)
    assert json.loads(answer.json)["name"] == "node1"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_no_token_and_wrong_token_are_unauthenticated(served):
    stub, _, _ = served
    for metadata in ((), (("authorization", "Bearer nobody"),)):
        status, details = await code(stub.Node(pb.NodeRequest(), metadata=metadata))
        assert status is grpc.StatusCode.UNAUTHENTICATED and "fix:" in details


async def test_a_right_that_is_missing_is_permission_denied_also_on_a_stream(served):
    stub, _, _ = served
    stream = stub.Probe(pb.ProbeRequest(address="10.0.0.1"), metadata=VIEWER)
    status, details = await code(anext(aiter(stream)))
    assert status is grpc.StatusCode.PERMISSION_DENIED and "create agents/probe" in details


async def test_what_this_process_lacks_is_unimplemented(served):
    stub, _, _ = served
    status, details = await code(anext(aiter(stub.Moves(pb.MovesRequest(), metadata=ADMIN))))
    assert status is grpc.StatusCode.UNIMPLEMENTED and "node1" in details


async def test_flows_come_in_pieces_that_fit_and_add_up(served):
    stub, hub, _ = served
    records = np.zeros(BATCH_RECORDS * 4 + 7, RECORD)
    records["packets"], records["last"] = 2, 5
    port = PortId("node1", 7, "web-1", "vms", "net-0", "dc1", 110, "52:54:00:00:6e:01", "10.110.0.11")
    frames = 2 * len(records)
    hub.publish(Drain(9, records, (port,), Ledger(frames + 3, frames, {"map-full": 3})))
    stream = stub.Flows(pb.FlowsRequest(history_seconds=60), metadata=VIEWER)
    batches = [batch async for batch in stream]
    assert len(batches) == 5
    assert b"".join(b.records for b in batches) == records.tobytes()
    sent = 0
    for batch in batches:
        sent += int(np.frombuffer(batch.records, RECORD)["packets"].sum())
        assert batch.ledger.sent == sent
        assert batch.ledger.seen == batch.ledger.sent + sum(batch.ledger.lost.values())
        assert [p.vm for p in batch.ports] == ["web-1"]
        assert batch.clock.source.startswith("kernel:")


async def test_follow_delivers_what_is_published_later(served):
    stub, hub, _ = served
    stream = aiter(stub.Flows(pb.FlowsRequest(follow=True), metadata=VIEWER))
    assert (await anext(stream)).records == b""
    one = np.zeros(1, RECORD)
    one["packets"] = 1
    hub.publish(Drain(1, one, (), Ledger(1, 1)))
    assert len((await anext(stream)).records) == RECORD.itemsize


async def test_the_socket_of_a_dead_agent_is_replaced(tmp_path):
    import socket

    path = tmp_path / "agent.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(path))
    dead.close()
    listener = await listen(Service(Parts("node1", report=report), Gate("node1", review)), path)
    async with grpc.aio.insecure_channel(listener.target) as channel:
        assert (await rpc.AgentStub(channel).Node(pb.NodeRequest(), metadata=ADMIN)).json
    await listener.stop()


async def test_paths_no_socket_can_have_are_refused(tmp_path):
    service = Service(Parts("node1"), Gate("node1", review))
    with pytest.raises(UsageError, match="too long"):
        await listen(service, tmp_path / ("x" * 120))
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="no socket"):
        await listen(service, tmp_path / "file")
    assert (tmp_path / "file").exists()
