"""A bench for the port programs: policy maps of their own, packets through BPF_PROG_TEST_RUN.

What is run is ifindex 1, this namespace's loopback: only the maps know that there is a port, no link is touched.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from bascule.policy.endpoints import Endpoint
from bascule.policy.flow import Flow
from bascule.policy.model import PolicySet
from bascule_agent.bpf import layout, raw
from bascule_agent.bpf.flows_map import swap_and_drain
from bascule_agent.bpf.objects import Objects, ensure, mount_bpffs, unmount_bpffs
from bascule_agent.policy.enforce import Enforcer
from bascule_agent.policy.maps import PolicyMaps
from bascule_agent.policy.memory import Memory

PORT, BRIDGE, VLAN = 1, 2, 110
MAC, PEER = bytes.fromhex("525400006e01"), bytes.fromhex("5254000000fe")
PASS, DROP = 0, 2
SYN, ACK, FIN, RST = 2, 16, 1, 4


def ip4(src: str, dst: str, proto: int, body: bytes, frag: int = 0, ident: int = 1) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), ident, frag, 64, proto, 0)
    return head + socket.inet_aton(src) + socket.inet_aton(dst) + body


def tcp(sport: int, dport: int, flags: int = SYN) -> bytes:
    return struct.pack("!HHIIBBHHH", sport, dport, 1, 1, 0x50, flags, 1000, 0, 0)


def udp(sport: int, dport: int, data: bytes = b"data") -> bytes:
    return struct.pack("!HHHH", sport, dport, 8 + len(data), 0) + data


def icmp(kind: int, code: int = 0, ident: int = 7, data: bytes = b"") -> bytes:
    return struct.pack("!BBHHH", kind, code, 0, ident, 1) + data


def l4(proto: int, sport: int, dport: int, flags: int = SYN, kind: tuple[int, int] = (8, 0)) -> bytes:
    if proto == 6:
        return tcp(sport, dport, flags)
    if proto == 1:
        return icmp(*kind)
    return udp(sport, dport) if proto == 17 else struct.pack("!HH", sport, dport) + bytes(16)


@dataclass
class Bench:
    """One port at ifindex 1 with `ip`; `send` is what the guest says, `receive` what comes to it."""

    objects: Objects
    maps: PolicyMaps
    ip: str = ""
    slot: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)

    def port(self, ip: str) -> None:
        self.ip = ip
        self.slot = self.slot or self.maps.take_slot()
        address = tuple(socket.inet_aton(ip))
        self.objects.put("ports", (PORT,), (tuple(MAC), VLAN, address, 0, BRIDGE, self.slot, 0, 0))

    def send(self, dst: str, proto: int, body: bytes, frag: int = 0, ident: int = 1) -> int:
        frame = PEER + MAC + b"\x08\x00" + ip4(self.ip, dst, proto, body, frag, ident)
        return raw.test_run(self.objects.programs["port_in"], frame.ljust(60, b"\0"))[0]

    def receive(self, src: str, proto: int, body: bytes, frag: int = 0, ident: int = 1) -> int:
        frame = MAC + PEER + b"\x08\x00" + ip4(src, self.ip, proto, body, frag, ident)
        return raw.test_run(self.objects.programs["port_out"], frame.ljust(60, b"\0"))[0]

    def run(self, flow: Flow, egress: bool) -> int:
        """One packet of a flow at this port, from a clean table."""
        self.forget()
        peer = socket.inet_ntoa(struct.pack("!I", flow.destination if egress else flow.source))
        body = l4(flow.protocol, flow.source_port, flow.destination_port, kind=flow.icmp or (8, 0))
        return (self.send if egress else self.receive)(peer, flow.protocol, body)

    def forget(self) -> None:
        self.objects.rows("conntrack", remove=True)

    def records(self) -> np.ndarray:
        """What was counted since the last call."""
        return swap_and_drain(self.objects).records

    def torn(self) -> int:
        return int((self.records()["reason"] == 19).sum())


def clean(objects: Objects) -> None:
    for table in ("ports", "conntrack", "hits"):
        objects.rows(table, remove=True)
    for name in ("blocks", "sets"):
        info = objects.info(name)
        for key, _ in raw.entries(objects.maps[name], info.key_size, info.value_size):
            raw.delete(objects.maps[name], key)
    for slot in range(8):
        objects.put("slots", (slot,), (0, 0, 0))
    swap_and_drain(objects)
    swap_and_drain(objects)


@pytest.fixture(scope="session")
def policy_pins(tmp_path_factory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("h5-bpf")
    mount_bpffs(root)
    yield root
    unmount_bpffs(root)


@pytest.fixture
def bench(policy_pins) -> Iterator[Bench]:
    with ensure(layout.SOURCE, policy_pins / "bench", layout.defines(), layout.LAYOUT) as objects:
        clean(objects)
        found = Bench(objects, PolicyMaps(objects))
        yield found
        found.maps.close()


@pytest.fixture
def enforcer(bench, tmp_path) -> Enforcer:
    return Enforcer(bench.maps, Memory(tmp_path / "policy.json"))


def put_in_force(bench: Bench, enforcer: Enforcer, documents: list, endpoints: list[Endpoint], at: Endpoint) -> None:
    """The documents are the cluster's, `at` is the NIC of the bench."""
    enforcer.load(PolicySet.of(documents), endpoints)
    if at.key not in enforcer.nics:
        bench.port(at.ips[0])
        nic = enforcer.bind(at.key, bench.slot)
        assert not isinstance(nic, str), nic
