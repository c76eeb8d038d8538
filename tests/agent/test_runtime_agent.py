"""The real agent as a process in a node's namespace, against the lab's API, with a pod's interface and a trunk.

Witnesses: iproute2 for what the node looks like, raw sockets at both ends for what passes, the API for what is told.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import grpc
import grpc.aio
import numpy as np
import pytest

from bascule.flows.record import RECORD
from bascule.protocol.gen import agent_pb2 as pb
from bascule.protocol.gen import agent_pb2_grpc as rpc
from bascule.resources.kubevirt import pod_interface_name
from bascule.resources.node import network_condition_type
from bascule_agent.bpf import layout
from bascule_agent.bpf.objects import ensure, mount_bpffs, unmount_bpffs
from bascule_agent.netlink import Netlink, NetnsThread, create_netns, delete_netns, in_netns, quiet_sysctls
from bascule_kube.cluster import Cluster
from bascule_kube.kinds import EVENT, LEASE, NAMESPACE, NETWORK, NODE, POD, VMI, VMIM
from bascule_lab.apiserver.kubeconfig import write_kubeconfig
from bascule_lab.apiserver.server import ApiServer, prepare

pytestmark = pytest.mark.root
NODE_NS, FABRIC, POD_NS = "h6-node", "h6-fab", "h6-p1"
MAC, IP, VLAN = "52:54:00:00:6e:01", "10.110.0.11", 110
OTHER_MAC, PEER_MAC = "52:54:00:00:6e:99", "52:54:00:00:00:fe"
INTERFACE = pod_interface_name("net-0")
NETWORK_DOCUMENT = NETWORK.of("dc1") | {
    "spec": {
        "l2Bridge": {
            "hostConfig": [
                {
                    "nodeSelector": "",
                    "bridge": {"managedBridge": {}},
                    "hostConnections": [{"trunkPort": {"interface": {"name": "trunk0"}, "nativeVLAN": 100}}],
                }
            ],
            "vlans": [{"vlan": {"id": 110}}, {"vlan": {"id": 120}}, {"vlan": {"id": 100}}],
        }
    }
}


def pod(name: str, migration: str = "") -> dict:
    labels = {"kubevirt.io": "virt-launcher", "vm.kubevirt.io/name": "web-1"}
    if migration:
        labels["kubevirt.io/migrationJobUID"] = migration
    networks = [{"name": "vlan-110", "namespace": "vms", "interface": INTERFACE, "mac": MAC}]
    status = [{"name": "vms/vlan-110", "interface": INTERFACE, "ips": [IP], "mac": MAC}]
    annotations = {
        "k8s.v1.cni.cncf.io/networks": json.dumps(networks),
        "k8s.v1.cni.cncf.io/network-status": json.dumps(status),
        f"cni.projectcalico.org/{INTERFACE}.network-status": json.dumps({"name": "dc1", "mac": MAC, "vlan": VLAN}),
        "cni.projectcalico.org/podNetns": f"/run/netns/{POD_NS}",
    }
    metadata = {"name": name, "namespace": "vms", "labels": labels, "annotations": annotations}
    spec = {"nodeName": "node1", "containers": [{"name": "compute", "image": "i"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def vmi() -> dict:
    interface = {"name": "net-0", "bridge": {}, "macAddress": MAC}
    network = {"name": "net-0", "multus": {"networkName": "vms/vlan-110"}}
    domain = {"devices": {"interfaces": [interface]}}
    return VMI.of("web-1", "vms") | {"spec": {"domain": domain, "networks": [network]}}


def mac_raw(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def udp(src: str = MAC, src_ip: str = IP, dst: str = PEER_MAC, dst_ip: str = "10.110.0.1") -> bytes:
    payload = struct.pack(">HHHH", 4000, 53, 8 + 4, 0) + b"data"
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, 17, 0)
    header = mac_raw(dst) + mac_raw(src) + b"\x08\x00"
    return header + ip + socket.inet_aton(src_ip) + socket.inet_aton(dst_ip) + payload


def rarp() -> bytes:
    body = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 3) + mac_raw(MAC) + b"\0" * 4 + mac_raw(MAC) + b"\0" * 4
    return b"\xff" * 6 + mac_raw(MAC) + b"\x80\x35" + body + b"\0" * 18


def tagged(frame: bytes, vlan: int = VLAN) -> bytes:
    return frame[:12] + struct.pack(">HH", 0x8100, vlan) + frame[12:]


class Wire:
    """A raw socket on one link: sends frames, and counts the tagged ones it receives by VLAN."""

    def __init__(self, netns: str, link: str) -> None:
        def open_() -> socket.socket:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            sock.bind((link, 3))
            sock.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA
            sock.setblocking(False)
            return sock

        self.sock = in_netns(netns, open_)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, *frames: bytes) -> None:
        for frame in frames:
            self.sock.send(frame)

    def received(self, src: str) -> dict[int, int]:
        """Frames from that MAC since the last call, by VLAN (0: untagged)."""
        found: dict[int, int] = {}
        while True:
            try:
                data, ancillary, _, address = self.sock.recvmsg(2048, 128)
            except BlockingIOError:
                return found
            if data[6:12] != mac_raw(src) or address[2] == socket.PACKET_OUTGOING:
                continue
            status, *_, tci, _ = struct.unpack("IIIHHHH", ancillary[0][2][:20])
            vlan = tci & 0xFFF if status & 0x10 else 0
            found[vlan] = found.get(vlan, 0) + 1


async def until(probe, seconds: float = 12.0):
    """The first true answer of an async probe."""
    end = time.monotonic() + seconds
    while True:
        answer = await probe()
        if answer:
            return answer
        assert time.monotonic() < end, f"not within {seconds} s; last answer {answer!r}"
        await asyncio.sleep(0.05)


class Rig:
    """One node's namespaces, API and agent."""

    def __init__(self, state: Path) -> None:
        self.state, self.socket = state, state / "agent" / "agent.sock"
        self.bpf = Path("/run/h6-rt")
        self.log = state / "agent.log"
        self.agent: subprocess.Popen[bytes] | None = None

    def build(self) -> None:
        for name in (NODE_NS, FABRIC, POD_NS):
            create_netns(name)
            quiet_sysctls(name)
        with Netlink(NODE_NS) as node, Netlink(FABRIC) as fabric, Netlink(POD_NS) as inside:
            node.set(node.link("lo").index, up=True)
            trunk = node.add_veth("trunk0", "fab0", peer_netns=FABRIC)
            node.set(trunk.index, up=True)
            fabric.set(fabric.link("fab0").index, up=True)
            node.add_veth("h6host0", INTERFACE, peer_netns=POD_NS)
            inside.set(inside.link(INTERFACE).index, up=True)
        mount_bpffs(self.bpf)

    async def serve(self) -> None:
        credentials = prepare(self.state / "api", ["node1"])
        self.tokens = credentials.tokens
        listeners = [in_netns(None, _listen), in_netns(NODE_NS, _listen)]
        self.api = ApiServer(self.state / "api")
        await self.api.start(listeners)
        for path, user, listener in (("admin", "admin", listeners[0]), ("node", "agent:node1", listeners[1])):
            url = f"https://127.0.0.1:{listener.getsockname()[1]}"
            write_kubeconfig(self.state / path, url, credentials.ca_pem, {user: credentials.tokens[user]}, user)
        self.cluster = await Cluster.open(self.state / "admin")
        for name in ("bascule-system", "vms", "default"):
            if name not in {n["metadata"]["name"] for n in await self.cluster.list(NAMESPACE)}:
                await self.cluster.create(NAMESPACE.of(name))
        await self.cluster.create(NODE.of("node1"))
        await self.cluster.create(NETWORK_DOCUMENT)
        await self.cluster.create(vmi())

    def start(self, mode: str = "manage") -> None:
        command = [sys.executable, "-m", "bascule_agent.cli", "run", "--node=node1", f"--mode={mode}"]
        command += [f"--kubeconfig={self.state / 'node'}", f"--socket={self.socket}", f"--pin-root={self.bpf}"]
        thread = NetnsThread(NODE_NS)
        with self.log.open("ab") as log:
            self.agent = thread.run(lambda: subprocess.Popen(command, stdout=log, stderr=log))
        thread.close()

    def end(self, number: int = signal.SIGKILL) -> int:
        assert self.agent is not None
        self.agent.send_signal(number)
        return self.agent.wait(10)

    def rss_mib(self) -> float:
        assert self.agent is not None
        status = Path(f"/proc/{self.agent.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))

    async def call(self, what, user: str = "viewer"):
        metadata = (("authorization", f"Bearer {self.tokens[user]}"),)
        async with grpc.aio.insecure_channel(f"unix:{self.socket}") as channel:
            return await what(rpc.AgentStub(channel), metadata)

    async def report(self) -> dict:
        try:
            answer = await self.call(lambda stub, metadata: stub.Node(pb.NodeRequest(), metadata=metadata))
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE, error
            return {}
        return json.loads(answer.json)

    async def flows(self, history: float = 60) -> tuple[np.ndarray, list[pb.FlowBatch]]:
        async def read(stub, metadata):
            return [b async for b in stub.Flows(pb.FlowsRequest(history_seconds=history), metadata=metadata)]

        batches = await self.call(read)
        return np.concatenate([np.frombuffer(b.records, RECORD) for b in batches]), batches

    async def port_is(self, state: str) -> dict:
        async def probe():
            report = await self.report()
            return report if [p["state"] for p in report.get("ports", [])] == [state] else None

        return await until(probe)

    async def close(self) -> None:
        if self.agent and self.agent.poll() is None:
            self.end()
        if hasattr(self, "cluster"):
            await self.cluster.close()
            await self.api.stop()
        for name in (NODE_NS, FABRIC, POD_NS):
            delete_netns(name)
        unmount_bpffs(self.bpf)


def _listen() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener


def ip_json(*arguments: str) -> list[dict]:
    return json.loads(subprocess.check_output(["ip", "-n", NODE_NS, "-d", "-j", *arguments]) or b"[]")


def programs(link: str) -> list[tuple[str, int]]:
    """What tc says is attached: (side, program id)."""
    found = []
    for side in ("ingress", "egress"):
        text = subprocess.check_output(["tc", "-n", NODE_NS, "-j", "filter", "show", "dev", link, side])
        found += [(side, f["options"]["prog"]["id"]) for f in json.loads(text) if "prog" in f.get("options", {})]
    return found


def host_link() -> dict:
    (link,) = [link for link in ip_json("link") if link["ifname"] == "h6host0"]
    return link


@pytest.fixture
async def rig(tmp_path):
    made = Rig(tmp_path)
    try:
        made.build()
        await made.serve()
        yield made
    finally:
        text = made.log.read_text() if made.log.exists() else ""
        print(text)
        await made.close()
    assert "Traceback" not in text


async def condition(rig: Rig, network: str = "dc1") -> dict | None:
    node = await rig.cluster.get(NODE, "node1")
    kind = network_condition_type(network)
    return next((c for c in (node.get("status") or {}).get("conditions") or [] if c["type"] == kind), None)


async def frames_counted(rig: Rig, frames: int):
    """Records and batches once that many frames are in them."""

    async def probe():
        records, batches = await rig.flows()
        return (records, batches) if int(records["packets"].sum()) >= frames else None

    records, batches = await until(probe)
    assert int(records["packets"].sum()) == frames
    ledger = batches[-1].ledger
    assert ledger.seen == ledger.sent + sum(ledger.lost.values()) == frames
    return records, batches


async def test_a_pod_becomes_a_port_survives_kill_and_goes(rig):
    rig.start()
    assert (await until(lambda: condition(rig)))["status"] == "True"  # Ready without any VLAN needed here
    assert not [link for link in ip_json("link") if link.get("linkinfo", {}).get("info_kind") == "bridge"]
    await rig.cluster.create(pod("virt-launcher-web-1-a"))
    report = await rig.port_is("live")
    (port,), (bridge,) = report["ports"], report["bridges"]
    assert (port["vm"], port["nic"], port["vlan"], port["mac"], port["ip"]) == ("web-1", "net-0", VLAN, MAC, IP)
    assert (report["trunk"]["name"], report["trunk"]["vlans"]) == ("trunk0", [VLAN])
    link = host_link()
    assert link["master"] == bridge["name"] and "UP" in link["flags"] and link["ifindex"] == port["ifindex"]
    assert link["linkinfo"]["info_slave_data"]["locked"] and not link["linkinfo"]["info_slave_data"]["learning"]
    attached = programs("h6host0") + programs("trunk0")
    assert len(attached) == 3

    with Wire(POD_NS, INTERFACE) as guest, Wire(FABRIC, "fab0") as fabric:
        guest.send(*[udp()] * 7, *[udp(src=OTHER_MAC)] * 3, *[tagged(udp(), 120)] * 2)
        records, batches = await frames_counted(rig, 12)
        assert fabric.received(MAC) == {VLAN: 7} and fabric.received(OTHER_MAC) == {}
        by_verdict = sorted(zip(records["verdict"].tolist(), records["packets"].tolist(), strict=True))
        assert by_verdict == [(1, 7), (3, 2), (3, 3)]
        assert [p.vm for p in batches[-1].ports] == ["web-1"]
        assert abs(int(records["last"].max()) - time.time_ns()) < 10**10
        assert rig.rss_mib() < 100

        rig.end()
        guest.send(udp())
        await asyncio.sleep(0.1)
        assert fabric.received(MAC) == {VLAN: 1}, "a dead agent must not stop the data plane"
    rig.start()
    report = await rig.port_is("live")
    assert report["agent"]["adopted"] == 1 and report["agent"]["changes"] == 0
    assert "adopted 1 ports, 0 changes" in rig.log.read_text()
    assert programs("h6host0") + programs("trunk0") == attached
    await frames_counted(rig, 1)  # what came while no agent ran is drained by the next

    await rig.cluster.delete(POD, "virt-launcher-web-1-a", "vms")

    async def gone():
        report = await rig.report()
        return report and not report["ports"] and not report["bridges"]

    await until(gone)
    assert not programs("h6host0")
    assert "master" not in host_link() and "UP" not in host_link()["flags"]
    assert rig.end(signal.SIGTERM) == 0


async def migration(rig: Rig, name: str) -> str:
    made = await rig.cluster.create(VMIM.of(name, "vms") | {"spec": {"vmiName": "web-1"}})
    await rig.cluster.merge_patch(VMIM, name, {"status": {"phase": "Running"}}, "vms", subresource="status")
    return made["metadata"]["uid"]


async def test_a_target_is_held_until_the_first_frame_and_a_source_lets_go(rig):
    rig.start()
    uid = await migration(rig, "move-1")
    await rig.cluster.create(pod("virt-launcher-web-1-b", uid))
    await rig.port_is("held")
    with Wire(POD_NS, INTERFACE) as guest, Wire(FABRIC, "fab0") as fabric:
        fabric.send(tagged(udp(PEER_MAC, "10.110.0.1", MAC, IP)))
        await asyncio.sleep(0.2)
        assert guest.received(PEER_MAC) == {}, "a held port let a frame to the guest"
        sent_at = time.time_ns()
        guest.send(rarp())
        await rig.port_is("live")
        assert fabric.received(MAC) == {VLAN: 1}
        assert host_link()["linkinfo"]["info_slave_data"]["locked"]
        fabric.send(tagged(udp(PEER_MAC, "10.110.0.1", MAC, IP)))
        await asyncio.sleep(0.05)
        assert guest.received(PEER_MAC) == {0: 1}

        async def record():
            call = lambda stub, metadata: anext(aiter(stub.Moves(pb.MovesRequest(), metadata=metadata)))  # noqa: E731
            found = json.loads((await rig.call(call)).json)
            return found if found["announcements"] and found.get("held_frames", 1) else None

        found = await until(record)
        (announced,) = found["announcements"]
        assert (found["migration_uid"], announced["kind"], announced["port"]) == (uid, "rarp", "h6host0")
        assert 0 <= announced["at"] - sent_at < 50_000_000

        await rig.cluster.merge_patch(VMIM, "move-1", {"status": {"phase": "Succeeded"}}, "vms", subresource="status")
        back = await migration(rig, "move-2")
        fabric.send(tagged(rarp()))  # the VM speaks from elsewhere
        await rig.port_is("moved")
        fabric.send(*[tagged(udp(PEER_MAC, "10.110.0.1", MAC, IP))] * 4)

        async def half():
            call = lambda stub, md: stub.SourceHalf(pb.SourceHalfRequest(migration_uid=back), metadata=md)  # noqa: E731
            found = json.loads((await rig.call(call)).json)
            return found if found["dropped_after"] else None

        found = await until(half)
        assert guest.received(PEER_MAC) == {}
    assert found["dropped_after"].get("moved", 0) >= 4
    (nic,) = found["nics"]
    assert nic["mac"] == MAC and any(MAC in entry for entry in nic["entries_removed"])
    static = subprocess.check_output(["bridge", "-n", NODE_NS, "fdb", "show"], text=True)
    assert not [line for line in static.splitlines() if MAC in line and "static" in line]


async def test_access_is_what_the_cluster_says(rig):
    rig.start()
    await until(rig.report)

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


async def test_what_is_wrong_with_one_network_or_port_stays_there_and_is_told(rig):
    bad = json.loads(json.dumps(NETWORK_DOCUMENT)) | {"metadata": {"name": "bad"}}
    bad["spec"]["l2Bridge"]["hostConfig"][0]["hostConnections"][0]["trunkPort"]["interface"]["name"] = "nope0"
    await rig.cluster.create(bad)
    with Netlink(NODE_NS) as node:
        foreign = node.add_bridge("foreign0", "02:00:00:00:00:01").index
        node.set(node.link("h6host0").index, master=foreign)
    broken = pod("virt-launcher-broken")
    broken["metadata"]["annotations"][f"cni.projectcalico.org/{INTERFACE}.network-status"] = "{not json"
    await rig.cluster.create(broken)
    await rig.cluster.create(pod("virt-launcher-web-1-c"))
    rig.start()
    missing = await until(lambda: condition(rig, "bad"))
    assert (missing["status"], missing["reason"]) == ("False", "TrunkMissing") and "nope0" in missing["message"]

    async def reason(wanted: str):
        found = await condition(rig)
        return found if found and found["reason"] == wanted else None

    failed = await until(lambda: reason("PortFailed"))
    assert "foreign0" in failed["message"] and "web-1" in failed["message"]
    assert host_link()["master"] == "foreign0", "another owner's port was touched"
    reasons = {e["reason"] for e in await rig.cluster.list(EVENT)}
    assert {"TrunkMissing", "PortFailed", "PodContract"} <= reasons
    with Netlink(NODE_NS) as node:
        node.set(node.link("h6host0").index, master=0)
    assert (await until(lambda: reason("Ready")))["status"] == "True"
    await rig.port_is("live")


async def test_observe_changes_nothing(rig):
    await rig.cluster.create(pod("virt-launcher-web-1-d"))
    before = ip_json("link")
    rig.start("observe")
    report = await until(rig.report)
    await until(lambda: rig.cluster.get(NODE, "node1"))
    await asyncio.sleep(0.5)
    after = ip_json("link")
    assert [(link["ifname"], link["flags"]) for link in after] == [(link["ifname"], link["flags"]) for link in before]
    assert report["agent"]["mode"] == "observe" and not programs("trunk0") and not (rig.bpf / "node1").exists()


async def test_a_second_agent_on_a_node_is_refused(rig):
    rig.start()
    await until(rig.report)
    first = rig.agent
    rig.start()
    assert await asyncio.to_thread(rig.agent.wait, 10) == 4
    rig.agent = first
    assert f"pid {first.pid} holds" in rig.log.read_text()


async def test_plan_and_status_tell_and_change_nothing_and_old_pins_go(rig):
    def verb(*arguments: str) -> str:
        command = [sys.executable, "-m", "bascule_agent.cli", *arguments, "--node=node1", f"--pin-root={rig.bpf}"]
        thread = NetnsThread(NODE_NS)
        try:
            return thread.run(lambda: subprocess.run(command, check=True, capture_output=True, text=True)).stdout
        finally:
            thread.close()

    async def plan() -> str:
        return await asyncio.to_thread(verb, "plan", f"--kubeconfig={rig.state / 'node'}")

    await rig.cluster.create(pod("virt-launcher-web-1-e"))
    before = ip_json("link")
    planned = await plan()
    assert "type bridge alias bascule:b:dc1/110" in planned
    assert "port h6host0: bring up for vms/web-1 on dc1/110" in planned
    assert ip_json("link") == before
    old = await asyncio.to_thread(ensure, layout.SOURCE, rig.bpf / "node1", layout.defines(flow_entries=64))
    old.close()
    rig.start()
    await rig.port_is("live")
    await until(lambda: asyncio.to_thread(lambda: not old.pin_dir.exists()))
    assert await plan() == ""
    shown = await asyncio.to_thread(verb, "status")
    for line in ("program port_in on h6host0 ingress", "port h6host0 live vlan 110", "program demux_in on trunk0"):
        assert line in shown
