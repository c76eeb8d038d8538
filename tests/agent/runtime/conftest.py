"""A node for the real agent: namespaces with a trunk and a pod's interface, the lab's API, and the agent as a process.

Witnesses: iproute2 for what the node looks like, raw sockets at both ends for what passes, the API for what is told.
Tests take `rig`, and everything else of this module through `kit`.
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
from bascule_agent.bpf import tcx
from bascule_agent.bpf.objects import mount_bpffs, unmount_bpffs
from bascule_agent.netlink import Netlink, NetnsThread, create_netns, delete_netns, in_netns, quiet_sysctls
from bascule_kube.cluster import Cluster
from bascule_kube.kinds import NAMESPACE, NETWORK, NODE, VMI, VMIM
from bascule_lab.apiserver.kubeconfig import write_kubeconfig
from bascule_lab.apiserver.server import ApiServer, prepare

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


async def until(probe, seconds: float = 20.0):
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
        self.ports = [listener.getsockname()[1] for listener in listeners]
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

    async def api_gone(self, seconds: float) -> None:
        """Stop the API server, and after a while start another on the same database and ports."""
        await self.api.stop()
        await asyncio.sleep(seconds)
        near, far = self.ports
        listeners = [in_netns(None, lambda: _listen(near)), in_netns(NODE_NS, lambda: _listen(far))]
        self.api = ApiServer(self.state / "api")
        await self.api.start(listeners)

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


def _listen(port: int = 0) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener


def ip_json(*arguments: str) -> list[dict]:
    return json.loads(subprocess.check_output(["ip", "-n", NODE_NS, "-d", "-j", *arguments]) or b"[]")


def programs(link: str) -> list[tuple[str, int]]:
    """What is attached, on tcx and as tc says: (side, program id)."""
    found = []
    for side in ("ingress", "egress"):
        index = next(each["ifindex"] for each in ip_json("link") if each["ifname"] == link)
        ids = in_netns(NODE_NS, lambda index=index, side=side: tcx.programs(index, side))  # type: ignore[misc]
        found += [(side, number) for number in ids]
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


@pytest.fixture
def kit():
    return sys.modules[__name__]


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


async def migration(rig: Rig, name: str) -> str:
    made = await rig.cluster.create(VMIM.of(name, "vms") | {"spec": {"vmiName": "web-1"}})
    await rig.cluster.merge_patch(VMIM, name, {"status": {"phase": "Running"}}, "vms", subresource="status")
    return made["metadata"]["uid"]
