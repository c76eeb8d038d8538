"""A cluster as the console sees it, built from API objects and FlowBatch messages of the real shapes.

The flow batches are encoded as an agent encodes them and decoded by the console's own client code, so that a test of
a screen runs the path a packet's record takes.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests_clock import StoppedClock
from tests_keyring import memory as memory
from tests_verbs import verb
from textual._context import active_app

from bascule.continuity import Change, Nic, Probe, Record
from bascule.flows.ledger import Ledger
from bascule.flows.names import PortId
from bascule.flows.record import RECORD
from bascule.protocol.gen import agent_pb2
from bascule_agent.flows.hub import Drain, Hub
from bascule_agent.flows.recorder import Recorder
from bascule_agent.server.auth import Gate
from bascule_agent.server.listen import Listener, listen
from bascule_agent.server.service import Parts, Service
from bascule_console.app import BasculeApp
from bascule_console.screens import base
from bascule_console.services.agents import decode_batch
from bascule_console.store.nodes import AgentTarget
from bascule_console.store.store import Store
from bascule_console.widgets.keyturns import quiet
from bascule_kube import Cluster
from bascule_kube.kinds import KNOWN, VMIM
from bascule_lab.apiserver.kubeconfig import write_kubeconfig
from bascule_lab.apiserver.server import ApiServer, prepare

# A shell that starts the tests in the background ignores SIGINT, and so would every child that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
NOON_NS = 1_795_435_200_000_000_000  # 2026-11-23 12:00:00 UTC
VLANS = {"web": 110, "db": 120, "legacy": 100}


def node(number: int, *, agent: bool = True) -> dict[str, Any]:
    name = f"node{number}"
    published = json.dumps({"target": f"unix:/run/x/{name}.sock", "caHash": "", "mode": "manage", "version": "0.1.0"})
    return {
        "metadata": {
            "name": name,
            "labels": {"kubernetes.io/hostname": name},
            "annotations": {"bascule.dev/agent": published} if agent else {},
        },
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


def nad(vlan: int) -> dict[str, Any]:
    config = {"cniVersion": "0.3.1", "type": "calico", "network": "dc1", "vlan": vlan, "ipam": {"type": "calico-ipam"}}
    return {"metadata": {"name": f"vlan-{vlan}", "namespace": "vms"}, "spec": {"config": json.dumps(config)}}


def address(name: str) -> tuple[int, str, str]:
    """(VLAN, IP, MAC) of a VM by the lab's scheme (contracts.md section 1)."""
    kind, number = name.rsplit("-", 1)
    vlan = VLANS[kind]
    return vlan, f"10.{vlan}.0.{10 + int(number)}", f"52:54:00:00:{vlan:02x}:{int(number):02x}"


def vm(name: str) -> dict[str, Any]:
    vlan, ip, mac = address(name)
    return {
        "metadata": {"name": name, "namespace": "vms"},
        "spec": {
            "template": {
                "metadata": {"annotations": {"cni.projectcalico.org/net-0.ipAddrs": json.dumps([ip])}},
                "spec": {
                    "domain": {"devices": {"interfaces": [{"name": "net-0", "bridge": {}, "macAddress": mac}]}},
                    "networks": [{"name": "net-0", "multus": {"networkName": f"vms/vlan-{vlan}"}}],
                },
            }
        },
    }


def vmi(name: str, node_name: str, phase: str = "Running") -> dict[str, Any]:
    _, ip, mac = address(name)
    return {
        "metadata": {"name": name, "namespace": "vms"},
        "spec": {"domain": {"devices": {}}},
        "status": {
            "phase": phase,
            "nodeName": node_name,
            "interfaces": [{"name": "net-0", "ipAddress": ip, "mac": mac}],
            "conditions": [{"type": "LiveMigratable", "status": "True"}, {"type": "Ready", "status": "True"}],
        },
    }


def record(
    ifindex: int, src: str, dst: str, *, packets: int, proto: int = 6, ports: tuple[int, int] = (40000, 7), **more: Any
) -> Any:
    """One flow record of an IPv4 flow from VM `src` to VM `dst`, egress and allowed unless `more` says otherwise."""
    one = np.zeros(1, RECORD)
    fields: dict[str, Any] = {"direction": 1, "verdict": 1, "reason": 0, "age_s": 0, **more}
    one["ifindex"], one["proto"], one["ethertype"] = ifindex, proto, 0x0800
    for end, name, port in (("src", src, ports[0]), ("dst", dst, ports[1])):
        vlan, ip, mac = address(name)
        one[f"{end}_mac"] = list(bytes.fromhex(mac.replace(":", "")))
        one[f"{end}_ip"] = [int(part) for part in ip.split(".")]
        one[f"{end}_port"] = port
        one["vlan"] = vlan
    one["packets"], one["bytes"] = packets, packets * 98
    one["first"] = one["last"] = NOON_NS - fields.pop("age_s") * 1_000_000_000
    for key, value in fields.items():
        one[key] = value
    return one


class Scene:
    """A store that is filled step by step."""

    noon_ns = NOON_NS
    node = staticmethod(node)
    record = staticmethod(record)
    move_record = staticmethod(lambda *args, **more: move_record(*args, **more))

    def __init__(self) -> None:
        self.store = Store()
        self.placed: dict[str, str] = {}
        self.sent: dict[str, int] = {}

    def cluster(self, vms: int = 12, nodes: int = 3) -> Scene:
        """Nodes with agents, NADs, and VMs placed round robin, all running."""
        inventory = self.store.inventory
        for number in range(1, nodes + 1):
            inventory.put("nodes", node(number))
        for vlan in VLANS.values():
            inventory.put("network-attachment-definitions", nad(vlan))
        names = [f"{kind}-{n}" for n in range(1, 5) for kind in VLANS][:vms]
        for at, name in enumerate(names):
            self.run(name, f"node{at % nodes + 1}")
        for kind in ("nodes", "virtualmachines", "virtualmachineinstances"):
            inventory.mark_synced(kind)
        return self

    def run(self, name: str, node_name: str, phase: str = "Running") -> None:
        """Put a VM and its instance on a node."""
        self.placed[name] = node_name
        self.store.inventory.put("virtualmachines", vm(name))
        self.store.inventory.put("virtualmachineinstances", vmi(name, node_name, phase))

    def ifindex(self, name: str) -> int:
        """The port number a VM has on its node."""
        return 20 + list(self.placed).index(name)

    def send(self, node_name: str, *records: Any, lost: dict[str, int] | None = None, time_ns: int = NOON_NS) -> None:
        """One drain of one node, as its agent would send it."""
        # numpy's own concatenate would turn the fields that stand in network order into native ones.
        packed = np.frombuffer(b"".join(one.tobytes() for one in records), RECORD)
        here = [name for name, on in self.placed.items() if on == node_name]
        ports = []
        for name in here:
            vlan, ip, mac = address(name)
            where = {"ifindex": self.ifindex(name), "vm": name, "namespace": "vms", "nic": "net-0"}
            ports.append(agent_pb2.Port(**where, network="dc1", vlan=vlan, mac=mac, ip=ip))
        self.sent[node_name] = self.sent.get(node_name, 0) + int(packed["packets"].sum())
        lost = lost or {}
        ledger = agent_pb2.Ledger(seen=self.sent[node_name] + sum(lost.values()), sent=self.sent[node_name], lost=lost)
        message = agent_pb2.FlowBatch(
            node=node_name, time_ns=time_ns, records=packed.tobytes(), ports=ports, ledger=ledger
        )
        parsed = agent_pb2.FlowBatch.FromString(message.SerializeToString())
        self.store.add_flows(decode_batch(AgentTarget(node_name, f"unix:/{node_name}"), parsed))

    def talk(self) -> Scene:
        """Flows between neighbours on each VLAN, at both ends, one of them denied and one dropped."""
        by_node: dict[str, list[Any]] = {}

        def at(name: str, *args: Any, **more: Any) -> None:
            by_node.setdefault(self.placed[name], []).append(record(self.ifindex(name), *args, **more))

        for age, kind in enumerate(VLANS):
            for a, b in ((1, 2), (3, 4), (2, 4)):
                src, dst = f"{kind}-{a}", f"{kind}-{b}"
                packets = 120 * a + 7 * b
                at(src, src, dst, packets=packets, age_s=age)
                at(dst, src, dst, packets=packets, direction=0, age_s=age)
                at(dst, dst, src, packets=packets, ports=(7, 40000), age_s=age)
            src, dst = f"{kind}-1", f"{kind}-3"
            at(src, src, dst, packets=60, proto=1, ports=(0, 0), age_s=age)
        at("web-2", "web-2", "web-3", packets=9, verdict=2, ports=(51022, 22))
        at("db-4", "db-4", "db-1", packets=31, verdict=3, reason=2, ports=(40001, 7))
        for node_name, records in sorted(by_node.items()):
            self.send(node_name, *records)
        return self


@pytest.fixture
def scene() -> Scene:
    """An empty store with the means to fill it."""
    return Scene()


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch, scene: Scene) -> Scene:
    """The scene at one moment, 0.4 s after the last news."""
    monkeypatch.setattr(base, "time", StoppedClock(scene.noon_ns + 400_000_000))
    return scene


@pytest.fixture
def still(stopped: Scene) -> Scene:
    """The lab as it looks after a minute: twelve guests, one killed, flows allowed, denied and dropped."""
    stopped.cluster().talk()
    stopped.run("db-2", "node2", "Failed")
    return stopped


class Agent:
    """A real agent's gRPC server with a report, flows and move records to give; no node behind it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.hub = Hub()
        self.records: list[Record] = []
        self.listener: Listener | None = None
        self.ports: tuple[PortId, ...] = ()
        self.recorder: Recorder | None = None
        self._sent = 0

    async def report(self) -> dict[str, Any]:
        port = {"vm": "web-1", "nic": "net-0", "vlan": 110, "mac": "52:54:00:00:6e:01", "ip": "10.110.0.11"}
        return {
            "name": self.name,
            "agent": {"version": "0.1.0", "mode": "manage", "seen": "2026-11-23T12:00:00Z"},
            "trunk": {"name": "trunk0", "carrier": True, "mtu": 1500, "vlans": [100, 110, 120]},
            "bridges": [{"name": "bsb-abcdefghij", "network": "dc1", "vlan": 110, "up": True, "ports": ["veth1"]}],
            "ports": [{**port, "state": "live", "reason": ""}],
        }

    def drain(self, *records: Any, lost: dict[str, int] | None = None) -> None:
        """Publish what the kernel's maps would have given."""
        packed = np.frombuffer(b"".join(one.tobytes() for one in records), RECORD)
        self._sent += int(packed["packets"].sum())
        ledger = Ledger(self._sent + sum((lost or {}).values()), self._sent, lost or {})
        drain = Drain(NOON_NS, packed, self.ports, ledger)
        self.hub.publish(drain)
        if self.recorder is not None:
            self.recorder.record(drain)

    async def stream(self, request: agent_pb2.MovesRequest) -> AsyncIterator[agent_pb2.MoveRecord]:
        """`bascule_agent.server.service.Moves`."""
        shown: set[str] = set()
        while True:
            for found in self.records:
                wanted = request.migration_uid in ("", found.migration_uid)
                if wanted and found.migration_uid not in shown:
                    shown.add(found.migration_uid)
                    document = json.dumps(found.to_json())
                    yield agent_pb2.MoveRecord(
                        json=document, complete=found.complete, migration_uid=found.migration_uid
                    )
            if not request.follow:
                return
            await asyncio.sleep(0.02)

    async def source_half(self, migration_uid: str) -> str:
        """`bascule_agent.server.service.Moves`."""
        raise AssertionError(f"the console never asks for {migration_uid}")


def move_record(uid: str, *, lost: int = 3, source: str = "node1", target: str = "node2", vm: str = "web-1") -> Record:
    """A complete record as a target's agent builds it: 400 probes 5 ms apart, `lost` of them around the cut-over."""
    start, step = NOON_NS, 5_000_000
    series = [[n, start + n * step, None if 200 <= n < 200 + lost else start + n * step + 400_000] for n in range(400)]
    echoes = [[n, start + n * 4 * step, start + n * 4 * step + 500_000] for n in range(100)]
    cut = start + 200 * step
    vlan, ip, mac = address(vm)
    half = {"nic": "net-0", "port": "veth3", "vlan": vlan, "mac": mac, "ip": ip, "moved_ns": cut, "entries_removed": []}
    qemu = {"downtime_ms": 4, "total_ms": 92, "mode": "PostCopy", "stop_ns": cut - 9_000_000, "resume_ns": cut}
    return Record(
        migration_uid=uid,
        migration=f"{vm}-aaaa",
        vm=vm,
        namespace="vms",
        source=source,
        target=target,
        started="2026-11-23T12:00:00.000Z",
        ended="2026-11-23T12:00:01.400Z",
        phases=[{"phase": p, "at": "2026-11-23T12:00:00Z"} for p in ("Pending", "Scheduled", "Running", "Succeeded")],
        nics=[Nic("net-0", "dc1", "pod900d2c01c91", Change(ip, ip), Change(mac, mac), Change(vlan, vlan))],
        qemu={**qemu, "stop_to_resume_ms": 9.0},
        probes=[
            Probe("icmp", "gateway", ip, 5.0, series),
            Probe("tcp-echo", "gateway", ip, 20.0, echoes),
        ],
        announcements=[{"kind": "rarp", "at": cut + 100_000, "node": target, "port": "veth7"}],
        source_half={"node": source, "nics": [half], "dropped_after": {}},
        complete=True,
    )


class Live:
    """The lab's API server and real agent servers: everything but nodes and guests."""

    def __init__(self, folder: Path) -> None:
        self.kubeconfig = folder / "kubeconfig"
        self.agents: dict[str, Agent] = {}
        self._folder = folder
        self._server = ApiServer(folder / "api")
        self._socket = socket.socket()

    async def start(self, nodes: int = 3, silent: tuple[str, ...] = ()) -> None:
        names = [f"node{n}" for n in range(1, nodes + 1)]
        credentials = prepare(self._folder / "api", names)
        self._socket.bind(("127.0.0.1", 0))
        await self._server.start([self._socket])
        url = f"https://127.0.0.1:{self._socket.getsockname()[1]}"
        contexts = {"lab-admin": credentials.tokens["admin"], "lab-viewer": credentials.tokens["viewer"]}
        write_kubeconfig(self.kubeconfig, url, credentials.ca_pem, contexts, "lab-admin")
        self.cluster = await Cluster.open(self.kubeconfig)
        for number, name in enumerate(names, 1):
            await self.put({"apiVersion": "v1", "kind": "Node", **node(number, agent=False)}, status=True)
            if name not in silent:
                await self.agent(name)
        await self.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "vms"}})
        for vlan in VLANS.values():
            await self.put({"apiVersion": "k8s.cni.cncf.io/v1", "kind": "NetworkAttachmentDefinition", **nad(vlan)})

    async def agent(self, name: str) -> Agent:
        """A server on a unix socket, published on its Node."""
        agent = self.agents[name] = Agent(name)
        agent.recorder = Recorder(self._folder / f"{name}.sqlite", name)
        parts = Parts(name, agent.report, agent.hub, agent, history=agent.recorder)
        service = Service(parts, Gate(name, self.cluster.create))
        agent.listener = await listen(service, self._folder / f"{name}.sock")
        published = {"target": agent.listener.target, "caHash": "", "mode": "manage", "version": "0.1.0"}
        patch = {"metadata": {"annotations": {"bascule.dev/agent": json.dumps(published)}}}
        from bascule_kube.kinds import NODE

        await self.cluster.merge_patch(NODE, name, patch)
        return agent

    async def put(self, obj: dict[str, Any], *, status: bool = False) -> dict[str, Any]:
        """Create an object, then its status."""
        created = await self.cluster.create({key: value for key, value in obj.items() if key != "status"})
        if not status:
            return created
        return await self.cluster.replace({**created, "status": obj["status"]}, subresource="status")

    async def run(self, name: str, node_name: str, phase: str = "Running") -> None:
        """A VM with its instance, and its port at the node's agent."""
        await self.put({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", **vm(name)})
        instance = vmi(name, node_name, phase)
        await self.put({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", **instance}, status=True)
        agent = self.agents.get(node_name)
        if agent is not None:
            vlan, ip, mac = address(name)
            port = PortId(node_name, 20 + len(agent.ports), name, "vms", "net-0", "dc1", vlan, mac, ip)
            agent.ports = (*agent.ports, port)

    async def play_move(self, lost: int = 3, pace: float = 0.05) -> None:
        """Act as KubeVirt for the next migration, a phase every `pace` s; then the target's agent has a record."""
        while not (found := await self.cluster.list(VMIM)):
            await asyncio.sleep(0.05)
        current = found[-1]
        target = current["spec"]["addedNodeSelector"]["kubernetes.io/hostname"]
        for phase in ("Scheduling", "Running", "Succeeded"):
            status = {"phase": phase, "migrationState": {"targetNode": target}}
            current = await self.cluster.replace({**current, "status": status}, subresource="status")
            await asyncio.sleep(pace)
        if target in self.agents:
            name = current["spec"]["vmiName"]
            uid = current["metadata"]["uid"]
            self.agents[target].records.append(move_record(uid, lost=lost, target=target, vm=name))

    async def versions(self) -> dict[str, str]:
        """Every object's resourceVersion, but those that agents and leases renew by themselves."""
        found = {}
        for kind in KNOWN.values():
            if kind.plural.endswith(("reviews", "requests")) or kind.plural in ("leases", "events"):
                continue
            for item in await self.cluster.list(kind):
                meta = item["metadata"]
                found[f"{kind.plural}/{meta.get('namespace', '')}/{meta['name']}"] = meta["resourceVersion"]
        return found

    async def bascule(self, *arguments: str) -> tuple[int, str, str]:
        """Run the command: (exit code, stdout, stderr)."""
        return await verb("--kubeconfig", str(self.kubeconfig), *arguments)

    async def stop(self) -> None:
        for agent in self.agents.values():
            if agent.listener is not None:
                await agent.listener.stop()
            if agent.recorder is not None:
                agent.recorder.close()
        if hasattr(self, "cluster"):
            await self.cluster.close()
        await self._server.stop()
        self._socket.close()


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    """A cluster that is not started yet; `await live.start()`."""
    cluster = Live(tmp_path)
    try:
        yield cluster
    finally:
        await cluster.stop()


async def settled(*_: float) -> None:
    """Until the keys that were pressed have done their work: what a pilot waits for after each.

    Textual's own waits until the process has been idle for 20 ms, which beside an API server and agents in the same
    process takes up to a second for every key, and longer the busier the machine is.
    """
    app = active_app.get()
    while app.is_running:
        await quiet(app)
        if not isinstance(app, BasculeApp) or app.turns.resting:
            return
        await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def _place(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test writes the developer's own journal, nor the wizard's answers."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("xdg-state")))


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The developer's own terminal must not change what a snapshot shows."""
    for name in ("NO_COLOR", "SSH_CONNECTION", "TEXTUAL_THEME", "TEXTUAL_COLOR_SYSTEM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    for module in ("app", "pilot"):
        monkeypatch.setattr(f"textual.{module}.wait_for_idle", settled)
    yield
    assert os.environ.get("TEXTUAL_ANIMATIONS") == "none"
