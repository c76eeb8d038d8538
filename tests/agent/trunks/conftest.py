"""Nodes for the real agent on the lab's real switch: gateway, trunks, API server, guests with a stack of their own.

Witnesses: a ping from the gateway's kernel to a guest's, captures on the switch's side of the wire, iproute2.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import grpc.aio
import pytest

from bascule.protocol.gen import agent_pb2 as pb
from bascule.protocol.gen import agent_pb2_grpc as rpc
from bascule.resources.kubevirt import pod_interface_name
from bascule.resources.node import network_condition_type
from bascule_agent.netlink import Netlink, NetnsThread, in_netns, list_netns
from bascule_kube.cluster import Cluster
from bascule_kube.kinds import NAMESPACE, NETWORK, NODE, POD
from bascule_lab import machine
from bascule_lab.apiserver.kubeconfig import write_kubeconfig
from bascule_lab.apiserver.server import ApiServer, prepare
from bascule_lab.config import LabConfig
from bascule_lab.fabric.fabric import Fabric
from bascule_lab.nodes import netns

INTERFACE = pod_interface_name("net-0")
NATIVE = 100
PREFIX = f"h10-{os.getpid()}"  # two sessions must not take each other's namespaces away


def network(trunk: str = "trunk0", native: int | None = NATIVE, vlans: tuple[int, ...] = (100, 110, 120), **meta):
    """The Network dc1 as examples/dc1.yaml has it."""
    port = {"interface": {"name": trunk}} | ({"nativeVLAN": native} if native else {})
    entry = {"nodeSelector": "", "bridge": {"managedBridge": {}}, "hostConnections": [{"trunkPort": port}]}

    def vlan(vid: int) -> dict:
        route = {"destination": "0.0.0.0/0", "action": {"nextHop": f"10.{vid}.0.1"}}
        return {"vlan": {"id": vid}, "subnets": [{"cidr": f"10.{vid}.0.0/24", "routes": [route]}]}

    document = NETWORK.of("dc1")
    document["metadata"] |= meta
    return document | {"spec": {"l2Bridge": {"hostConfig": [entry], "vlans": [vlan(vid) for vid in vlans]}}}


def pod(vm: str, node: str, vlan: int, mac: str, ip: str, namespace: str) -> dict:
    annotations = {
        "k8s.v1.cni.cncf.io/networks": json.dumps(
            [{"name": f"vlan-{vlan}", "namespace": "vms", "interface": INTERFACE, "mac": mac}]
        ),
        "k8s.v1.cni.cncf.io/network-status": json.dumps(
            [{"name": f"vms/vlan-{vlan}", "interface": INTERFACE, "ips": [ip], "mac": mac}]
        ),
        f"cni.projectcalico.org/{INTERFACE}.network-status": json.dumps({"name": "dc1", "mac": mac, "vlan": vlan}),
        "cni.projectcalico.org/podNetns": f"/run/netns/{namespace}",
    }
    labels = {"kubevirt.io": "virt-launcher", "vm.kubevirt.io/name": vm}
    metadata = {"name": f"virt-launcher-{vm}", "namespace": "vms", "labels": labels, "annotations": annotations}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"nodeName": node, "containers": [{"name": "compute", "image": "i"}]},
    }


async def until(probe, seconds: float = 60.0, every: float = 0.02):
    """The first true answer of a probe, async or not; the limit is for a machine that does ten other things."""
    end = time.monotonic() + seconds
    while True:
        answer = probe()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return answer
        assert time.monotonic() < end, f"not within {seconds} s; last answer {answer!r}"
        await asyncio.sleep(every)


class Flood:
    """Numbered ICMP echo requests from a namespace, 100 a second: which were answered is the witness."""

    def __init__(self, netns_name: str, ip: str, hertz: float = 100.0) -> None:
        self._socket = in_netns(netns_name, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
        self._socket.settimeout(0.05)
        self._ip, self._period = ip, 1 / hertz
        self._ident = struct.unpack("!H", os.urandom(2))[0]
        self.sent: dict[int, float] = {}
        self.got: dict[int, float] = {}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._send, self._receive)]

    def __enter__(self) -> Flood:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._socket.close()

    def _send(self) -> None:
        seq, due = 0, time.monotonic()
        while not self._stop.is_set():
            seq += 1
            head = struct.pack("!BBHHH", 8, 0, 0, self._ident, seq & 0xFFFF)
            total = sum(struct.unpack("!4H", head))
            check = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
            self.sent[seq] = time.monotonic()
            with contextlib.suppress(OSError):
                self._socket.sendto(head[:2] + struct.pack("!H", check) + head[4:], (self._ip, 0))
            due += self._period
            time.sleep(max(0.0, due - time.monotonic()))

    def _receive(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(OSError):
                data = self._socket.recv(256)
                kind, _, _, ident, seq = struct.unpack_from("!BBHHH", data, 20)
                if kind == 0 and ident == self._ident:
                    self.got.setdefault(seq, time.monotonic())

    def lost(self, since: float = 0.0, before: float = float("inf")) -> list[int]:
        """Numbers sent in that time (time.monotonic()) and not answered; what is younger than 0.2 s is left out."""
        end = min(before, time.monotonic() - 0.2)
        return [seq for seq, at in list(self.sent.items()) if since <= at < end and seq not in self.got]

    def last_lost(self) -> float:
        """When the last lost one was sent; 0 for none."""
        return max((self.sent[seq] for seq in self.lost()), default=0.0)


class Guest:
    """A namespace with an address in a VLAN, on a node's port."""

    def __init__(self, vm: str, node: str, vlan: int, number: int) -> None:
        self.vm, self.node, self.vlan = vm, node, vlan
        self.mac, self.ip = f"52:54:00:00:{vlan:02x}:{number:02x}", f"10.{vlan}.0.{10 + number}"
        self.netns, self.link = f"{PREFIX}-p-{vm}", f"hv-{vm}"


class Rig:
    """The machine park: `await build()`, agents by `start`, guests by `guest`."""

    def __init__(self, state: Path, nodes: int) -> None:
        self.state = state
        self.config = LabConfig(prefix=PREFIX, state=state / "lab")
        self.nodes = [f"node{n}" for n in range(1, nodes + 1)]
        self.fabric = Fabric(self.config, self.nodes)
        self.agents: dict[str, subprocess.Popen[bytes]] = {}
        self.guests: dict[str, Guest] = {}

    def ns(self, node: str) -> str:
        return self.config.node(node)

    async def build(self) -> None:
        machine.prepare(self.config)
        await self.fabric.start()
        credentials = prepare(self.state / "api", self.nodes)
        self.tokens = credentials.tokens
        places = [None, *(self.ns(node) for node in self.nodes)]
        listeners = [in_netns(place, _listen) for place in places]
        self.api = ApiServer(self.state / "api")
        await self.api.start(listeners)
        users = ["admin", *(f"agent:{node}" for node in self.nodes)]
        for name, user, listener in zip(["admin", *self.nodes], users, listeners, strict=True):
            url = f"https://127.0.0.1:{listener.getsockname()[1]}"
            write_kubeconfig(self.state / name, url, credentials.ca_pem, {user: credentials.tokens[user]}, user)
        self.cluster = await Cluster.open(self.state / "admin")
        for name in ("bascule-system", "vms", "default"):
            if name not in {n["metadata"]["name"] for n in await self.cluster.list(NAMESPACE)}:
                await self.cluster.create(NAMESPACE.of(name))
        for name in self.nodes:
            document = NODE.of(name)
            document["metadata"]["labels"] = {"kubernetes.io/hostname": name}
            await self.cluster.create(document)

    def socket(self, node: str) -> Path:
        return self.state / f"run-{node}" / "agent.sock"

    def log(self, node: str) -> Path:
        return self.state / f"{node}.log"

    def start(
        self, node: str = "node1", mode: str = "manage", env: dict[str, str] | None = None, words: tuple[str, ...] = ()
    ) -> None:
        command = [sys.executable, "-m", "bascule_agent.cli", "run", f"--node={node}", f"--mode={mode}"]
        command += [f"--kubeconfig={self.state / node}", f"--socket={self.socket(node)}"]
        command += [f"--pin-root={self.config.bpffs / 'agents'}", *words]
        thread = NetnsThread(self.ns(node))
        with self.log(node).open("ab") as log:
            environment = os.environ | (env or {})
            self.agents[node] = thread.run(lambda: subprocess.Popen(command, stdout=log, stderr=log, env=environment))
        thread.close()

    def end(self, node: str = "node1", number: int = signal.SIGKILL) -> int:
        self.agents[node].send_signal(number)
        return self.agents[node].wait(10)

    async def guest(self, vm: str, vlan: int, number: int, node: str = "node1") -> Guest:
        """Make the pod and its guest; the agent does the rest."""
        made = self.guests[vm] = Guest(vm, node, vlan, number)

        def build() -> None:
            inside = netns.make(made.netns)
            netns.link_in(self.ns(node)).add_veth(made.link, INTERFACE, peer_netns=made.netns, peer_mac=made.mac)
            link = inside.link(INTERFACE).index
            inside.add_address(link, f"{made.ip}/24")
            inside.set(link, up=True)

        await netns.net(build)
        await self.cluster.create(pod(vm, node, vlan, made.mac, made.ip, made.netns))
        return made

    async def call(self, what, node: str = "node1", user: str = "admin"):
        metadata = (("authorization", f"Bearer {self.tokens[user]}"),)
        async with grpc.aio.insecure_channel(f"unix:{self.socket(node)}") as channel:
            return await what(rpc.AgentStub(channel), metadata)

    async def report(self, node: str = "node1") -> dict:
        try:
            answer = await self.call(lambda stub, md: stub.Node(pb.NodeRequest(), metadata=md), node)
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE, error
            return {}
        return json.loads(answer.json)

    async def live(self, count: int, node: str = "node1") -> dict:
        """The report once that many ports are live."""

        async def probe():
            report = await self.report(node)
            return report if [p["state"] for p in report.get("ports", [])] == ["live"] * count else None

        return await until(probe, every=0.05)

    async def proof(self, node: str = "node1", **request) -> list[dict]:
        call = lambda stub, md: stub.TrunkProof(pb.TrunkProofRequest(**request), metadata=md)  # noqa: E731
        return json.loads((await self.call(call, node)).json)

    async def condition(self, node: str = "node1", name: str = "dc1") -> dict:
        found = await self.cluster.get(NODE, node)
        kind = network_condition_type(name)
        return next((c for c in (found.get("status") or {}).get("conditions") or [] if c["type"] == kind), {})

    async def put_network(self, document: dict) -> None:
        await self.cluster.apply(document)

    def iproute(self, tool: str, *words: str, node: str = "node1") -> str:
        return subprocess.check_output([tool, "-n", self.ns(node), *words], text=True)

    def shape(self, node: str = "node1") -> list[tuple]:
        """The node's links as `ip` sees them, without what changes by itself (timers, carrier)."""
        shown = json.loads(self.iproute("ip", "-d", "-j", "link", node=node))
        keys = ("ifindex", "ifname", "master", "mtu", "address", "ifalias")
        return sorted((*(str(link.get(key)) for key in keys), "UP" in link["flags"]) for link in shown)

    def ping(self, guest: Guest, count: int = 1) -> bool:
        """From the gateway's kernel to the guest's."""
        command = ["ping", "-c", str(count), "-i", "0.1", "-W", "1", guest.ip]
        return in_netns(self.config.gateway, lambda: subprocess.run(command, capture_output=True).returncode) == 0

    def flood(self, guest: Guest, hertz: float = 100.0) -> Flood:
        return Flood(self.config.gateway, guest.ip, hertz)

    async def close(self) -> None:
        for agent in self.agents.values():
            if agent.poll() is None:
                agent.kill()
                agent.wait()
        if hasattr(self, "cluster"):
            await self.cluster.close()
            await self.api.stop()
        for guest in self.guests.values():
            await netns.net(netns.remove, guest.netns)
        await self.fabric.stop()
        machine.cleanup(self.config)
        for name in list_netns(f"{PREFIX}-"):
            await netns.net(netns.remove, name)


def _listen() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener


@pytest.fixture
def kit():
    return sys.modules[__name__]


@pytest.fixture
async def park(tmp_path, request):
    """One node, or as many as the test's parameter says."""
    made = Rig(tmp_path, getattr(request, "param", 1))
    try:
        await made.build()
        await made.cluster.apply(network())
        yield made
    finally:
        logs = {node: made.log(node).read_text() for node in made.nodes if made.log(node).exists()}
        for node, text in logs.items():
            print(f"--- {node}\n{text[-20000:]}")
        await made.close()
    assert not any("Traceback" in text for text in logs.values())


__all__ = ["POD", "Flood", "Guest", "Netlink", "Rig", "network", "until"]
