"""The real agent in trouble and at rest: who may call; what fails stays where it failed; observe and plan only look."""

import asyncio
import json
import signal
import subprocess
import sys

import grpc
import grpc.aio
import pytest

from bascule.protocol.gen import agent_pb2 as pb
from bascule_agent.bpf import layout
from bascule_agent.bpf.objects import ensure
from bascule_agent.netlink import Netlink, NetnsThread
from bascule_kube.kinds import EVENT, LEASE, NODE

pytestmark = pytest.mark.root


async def test_access_is_what_the_cluster_says(rig, kit):
    rig.start()
    await kit.until(rig.report)

    async def status(user: str, method: str, request) -> grpc.StatusCode:
        async def call(stub, metadata):
            return await anext(aiter(getattr(stub, method)(request, metadata=metadata)))

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rig.call(call, user)
        return caught.value.code()

    probe = pb.ProbeRequest(address="127.0.0.1", seconds=0.1)
    assert await status("viewer", "Probe", probe) is grpc.StatusCode.PERMISSION_DENIED
    rig.tokens = dict(rig.tokens) | {"stranger": "no-such-token"}
    assert await status("stranger", "Flows", pb.FlowsRequest()) is grpc.StatusCode.UNAUTHENTICATED
    answered = await rig.call(lambda stub, metadata: anext(aiter(stub.Probe(probe, metadata=metadata))), "agent:node1")
    assert getattr(answered, "from") == "node1"
    lease = await rig.cluster.get(LEASE, "agent-node1", "bascule-system")
    assert lease["spec"]["holderIdentity"] == "node1"
    node = await rig.cluster.get(NODE, "node1")
    published = json.loads(node["metadata"]["annotations"]["bascule.dev/agent"])
    assert (published["target"], published["mode"]) == (f"unix:{rig.socket}", "manage")


async def test_what_is_wrong_with_one_network_or_port_stays_there_and_is_told(rig, kit):
    bad = json.loads(json.dumps(kit.NETWORK_DOCUMENT)) | {"metadata": {"name": "bad"}}
    bad["spec"]["l2Bridge"]["hostConfig"][0]["hostConnections"][0]["trunkPort"]["interface"]["name"] = "nope0"
    await rig.cluster.create(bad)
    with Netlink(kit.NODE_NS) as node:
        foreign = node.add_bridge("foreign0", "02:00:00:00:00:01").index
        node.set(node.link("h6host0").index, master=foreign)
    broken = kit.pod("virt-launcher-broken")
    broken["metadata"]["annotations"][f"cni.projectcalico.org/{kit.INTERFACE}.network-status"] = "{not json"
    await rig.cluster.create(broken)
    await rig.cluster.create(kit.pod("virt-launcher-web-1-c"))
    rig.start()
    missing = await kit.until(lambda: kit.condition(rig, "bad"))
    assert (missing["status"], missing["reason"]) == ("False", "TrunkMissing") and "nope0" in missing["message"]

    async def reason(wanted: str):
        found = await kit.condition(rig)
        return found if found and found["reason"] == wanted else None

    failed = await kit.until(lambda: reason("PortFailed"))
    assert "foreign0" in failed["message"] and "web-1" in failed["message"]
    assert kit.host_link()["master"] == "foreign0", "another owner's port was touched"

    async def told() -> bool:
        reasons = {e["reason"] for e in await rig.cluster.list(EVENT)}
        return {"TrunkMissing", "PortFailed", "PodContract"} <= reasons

    await kit.until(told)
    with Netlink(kit.NODE_NS) as node:
        node.set(node.link("h6host0").index, master=0)
    assert (await kit.until(lambda: reason("Ready")))["status"] == "True"
    await rig.port_is("live")


async def test_observe_changes_nothing(rig, kit):
    await rig.cluster.create(kit.pod("virt-launcher-web-1-d"))
    before = kit.ip_json("link")
    rig.start("observe")
    report = await kit.until(rig.report)
    await kit.until(lambda: rig.cluster.get(NODE, "node1"))
    await asyncio.sleep(0.5)
    after = kit.ip_json("link")
    assert [(link["ifname"], link["flags"]) for link in after] == [(link["ifname"], link["flags"]) for link in before]
    assert report["agent"]["mode"] == "observe" and not kit.programs("trunk0") and not (rig.bpf / "node1").exists()


async def test_a_second_agent_on_a_node_is_refused(rig, kit):
    rig.start()
    await kit.until(rig.report)
    first = rig.agent
    rig.start()
    assert await asyncio.to_thread(rig.agent.wait, 10) == 4
    rig.agent = first
    assert f"pid {first.pid} holds" in rig.log.read_text()


async def test_plan_and_status_tell_and_change_nothing_and_old_pins_go(rig, kit):
    def verb(*arguments: str) -> str:
        command = [sys.executable, "-m", "bascule_agent.cli", *arguments, "--node=node1", f"--pin-root={rig.bpf}"]
        thread = NetnsThread(kit.NODE_NS)
        try:
            return thread.run(lambda: subprocess.run(command, check=True, capture_output=True, text=True)).stdout
        finally:
            thread.close()

    async def plan() -> str:
        return await asyncio.to_thread(verb, "plan", f"--kubeconfig={rig.state / 'node'}")

    await rig.cluster.create(kit.pod("virt-launcher-web-1-e"))
    before = kit.ip_json("link")
    planned = await plan()
    assert "type bridge alias bascule:b:dc1/110" in planned
    assert "port h6host0: bring up for vms/web-1 on dc1/110" in planned
    assert kit.ip_json("link") == before
    old = await asyncio.to_thread(ensure, layout.SOURCE, rig.bpf / "node1", layout.defines(flow_entries=64))
    old.close()
    rig.start()
    await rig.port_is("live")
    await kit.until(lambda: asyncio.to_thread(lambda: not old.pin_dir.exists()))
    assert await plan() == ""
    shown = await asyncio.to_thread(verb, "status")
    for line in ("program port_in on h6host0 ingress", "port h6host0 live vlan 110", "program demux_in on trunk0"):
        assert line in shown


async def test_a_probe_point_serves_probes_and_nothing_else(rig, kit):
    command = [sys.executable, "-m", "bascule_agent.cli", "probe-point", "--name=gateway"]
    command += [f"--kubeconfig={rig.state / 'node'}", f"--socket={rig.socket}"]
    thread = NetnsThread(kit.NODE_NS)
    with rig.log.open("ab") as log:
        rig.agent = thread.run(lambda: subprocess.Popen(command, stdout=log, stderr=log))
    thread.close()
    await kit.until(lambda: asyncio.to_thread(rig.socket.exists))

    async def probe(stub, metadata):
        request = pb.ProbeRequest(address="127.0.0.1", interval_ms=5, seconds=0.2)
        return [batch async for batch in stub.Probe(request, metadata=metadata)]

    batches = await rig.call(probe, "agent:node1")
    assert any(rx > 0 for batch in batches for rx in batch.rx_ns)
    assert {getattr(batch, "from") for batch in batches} == {"gateway"}
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await rig.call(lambda stub, metadata: stub.Node(pb.NodeRequest(), metadata=metadata))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert rig.end(signal.SIGTERM) == 0
    assert not rig.socket.exists()


async def test_the_api_goes_away_and_the_agent_works_on_when_it_is_back(rig, kit):
    rig.start()
    assert (await kit.until(lambda: kit.condition(rig)))["status"] == "True"
    await rig.api_gone(2.0)
    await rig.cluster.create(kit.pod("virt-launcher-web-1-b"))
    await rig.port_is("live")
