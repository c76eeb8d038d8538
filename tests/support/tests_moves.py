"""Witnesses and plants for moves that are not Bascule: a tap on every trunk port of the fabric, a program that drops a
VM's announcements behind its port, and the API as KubeVirt's own client would use it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from tests_lab import PREFIX, STATE

from bascule_agent.bpf import raw
from bascule_agent.netlink import Netlink, in_netns
from bascule_kube import Cluster
from bascule_kube.kinds import POD, VMIM

T = TypeVar("T")
SO_TIMESTAMPNS, OUTGOING = 35, 4


def ask(call: Callable[[Cluster], Awaitable[T]]) -> T:
    """One call of the API as admin."""

    async def act() -> T:
        async with await Cluster.open(STATE / "kubeconfig") as cluster:
            return await call(cluster)

    return asyncio.run(act())


def start_move(vm: str, target: str) -> str:
    """Create a migration without the console; its name."""
    name = f"{vm}-{secrets.token_hex(3)}"
    spec = {"vmiName": vm, "addedNodeSelector": {"kubernetes.io/hostname": target}}
    ask(lambda cluster: cluster.create(VMIM.of(name, "vms") | {"spec": spec}))
    return name


def status_of(name: str) -> dict[str, Any]:
    """The status of a migration."""
    found: dict[str, Any] = ask(lambda cluster: cluster.get(VMIM, name, "vms")).get("status") or {}
    return found


def hold_pod(vm: str, hold: bool) -> None:
    """Keep the VM's running launcher pod from going when it is deleted (a finalizer), or let it go."""

    async def act(cluster: Cluster) -> None:
        for pod in await cluster.list(POD, namespace="vms"):
            if pod["metadata"]["labels"].get("vm.kubevirt.io/name") == vm:
                marks = ["bascule.dev/test"] if hold else None
                patch = {"metadata": {"finalizers": marks}}
                await cluster.merge_patch(POD, pod["metadata"]["name"], patch, namespace="vms")

    ask(act)


@dataclass
class Tap:
    """What came into the fabric from each node with one source MAC: (kernel's time in ns, node, EtherType)."""

    mac: bytes
    seen: list[tuple[int, str, int]] = field(default_factory=list)

    def from_node(self, node: str) -> list[int]:
        """Times of the frames that a node's trunk brought, oldest first."""
        return sorted(at for at, name, _ in self.seen if name == node)


@contextlib.contextmanager
def fabric_tap(mac: str) -> Iterator[Tap]:
    """Listen on the fabric's side of every trunk while the block runs."""
    tap, stop = Tap(bytes.fromhex(mac.replace(":", ""))), threading.Event()
    threads = []
    for node in ("node1", "node2", "node3"):
        sock = in_netns(f"{PREFIX}-fabric", lambda node=node: _open(f"t-{node}"))
        threads.append(threading.Thread(target=_listen, args=(sock, node, tap, stop), daemon=True))
    for thread in threads:
        thread.start()
    try:
        yield tap
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _open(link: str) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.bind((link, 3))
    sock.settimeout(0.1)
    return sock


def _listen(sock: socket.socket, node: str, tap: Tap, stop: threading.Event) -> None:
    with sock:
        while not stop.is_set():
            try:
                data, control, _, address = sock.recvmsg(64, 64)
            except TimeoutError:
                continue
            if address[2] != OUTGOING and data[6:12] == tap.mac:
                seconds, nanoseconds = struct.unpack_from("@qq", control[0][2])
                tap.seen.append((seconds * 10**9 + nanoseconds, node, int.from_bytes(data[12:14], "big")))


def _op(code: int, dst: int = 0, src: int = 0, jump: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhi", code, dst | src << 4, jump, value)


def announcement_filter() -> bytes:
    """Drop RARP and gratuitous ARP that was forwarded; let pass what this node itself sends (ingress_ifindex 0)."""
    return b"".join(
        (
            _op(0xBF, 6, 1),  # 0: r6 = ctx, which LD_ABS wants
            _op(0x61, 2, 6, 36),  # 1: r2 = ingress_ifindex
            _op(0x15, 2, 0, 10, 0),  # 2: 0, pass
            _op(0x61, 2, 6, 16),  # 3: r2 = protocol, network order
            _op(0x15, 2, 0, 6, 0x3580),  # 4: RARP, drop
            _op(0x55, 2, 0, 7, 0x0608),  # 5: not ARP, pass
            _op(0x20, value=28),  # 6: r0 = the sender's address
            _op(0xBF, 7, 0),  # 7
            _op(0x20, value=38),  # 8: r0 = the address that is asked for
            _op(0x1D, 0, 7, 1),  # 9: the same, drop
            _op(0x05, jump=2),  # 10: pass
            _op(0xB7, 0, value=2),  # 11: TC_ACT_SHOT
            _op(0x95),  # 12
            _op(0xB7, 0, value=-1),  # 13: TC_ACT_UNSPEC
            _op(0x95),  # 14
        )
    )


@contextlib.contextmanager
def announcements_dropped(node: str) -> Iterator[None]:
    """No RARP or gratuitous ARP of any guest leaves this node while the block runs; the agent's own frames do."""
    program = raw.prog_load(announcement_filter(), "test_mute")
    with Netlink(f"{PREFIX}-{node}") as links:
        index = links.link("trunk0").index
        links.attach_bpf(index, "egress", program, "test_mute")
        try:
            yield
        finally:
            links.detach_bpf(index, "egress", "test_mute")
            os.close(program)
