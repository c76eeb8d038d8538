"""A cluster as the console sees it, built from API objects and FlowBatch messages of the real shapes.

The flow batches are encoded as an agent encodes them and decoded by the console's own client code, so that a test of
a screen runs the path a packet's record takes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from bascule.flows.record import RECORD
from bascule.protocol.gen import agent_pb2
from bascule_console.services.agents import decode_batch
from bascule_console.store.nodes import AgentTarget
from bascule_console.store.store import Store

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
        ledger = agent_pb2.Ledger(
            seen=self.sent[node_name] + sum(lost.values()), sent=self.sent[node_name], lost=lost
        )
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


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The developer's own terminal must not change what a snapshot shows."""
    for name in ("NO_COLOR", "SSH_CONNECTION", "TEXTUAL_THEME", "TEXTUAL_COLOR_SYSTEM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    yield
    assert os.environ.get("TEXTUAL_ANIMATIONS") == "none"
