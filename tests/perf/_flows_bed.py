"""One node with two guests on one VLAN, real ports, and a generator in C: what flow figures are taken on."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bascule.hostplan.desired import Desired, Segment, TrunkUse
from bascule.hostplan.names import bridge_mac, link_name
from bascule.hostplan.plan import plan
from bascule_agent.bpf import layout
from bascule_agent.bpf.objects import Objects, ensure, mount_bpffs, unmount_bpffs
from bascule_agent.netlink import Netlink, create_netns, delete_netns, in_netns, list_netns, quiet_sysctls
from bascule_agent.ports import PortManager, PortSpec
from bascule_agent.ports.hooks import PROGRAMS, Hooks
from bascule_agent.segments import PerVlan

PREFIX = "bp-"
VLAN, ENTRIES = 110, 65536
HERE = Path(__file__).parent
MACS = ("52:54:00:00:6e:01", "52:54:00:00:6e:02")
IPS = ("10.110.0.11", "10.110.0.12")


@dataclass(frozen=True)
class Sent:
    """What the generator did: frames, its CPU nanoseconds (the path's softirqs run in it), seconds."""

    frames: int
    cpu_ns: float
    seconds: float

    @property
    def ns_each(self) -> float:
        """CPU of one frame on its whole path."""
        return self.cpu_ns / max(1, self.frames)


@dataclass(frozen=True)
class Talk:
    """What a talk cost: `frames` arrived; CPU nanoseconds of the sender and of all that is between for each frame it
    sent, and of the receiver for each that it took. Divided apart: a frame for which the receiver had no room cost the
    path as much as any."""

    frames: int
    path_ns: float
    taken_ns: float

    @property
    def ns_each(self) -> float:
        """CPU of one frame from socket to socket."""
        return self.path_ns + self.taken_ns


class FlowBed:
    """`objects` are the node's; guest n has the port `ports[n]`."""

    def __init__(self, pins: Path, entries: int = ENTRIES) -> None:
        self.node = f"{PREFIX}node"
        create_netns(self.node)
        quiet_sysctls(self.node)
        self.netlink = Netlink(self.node)
        self.netlink.add_veth("trunk0", "peer0")
        defines = layout.defines(flow_entries=entries)
        self.objects: Objects = ensure(layout.SOURCE, pins, defines, layout.LAYOUT)
        driver = PerVlan(self.netlink, self.objects)
        segment = Segment("dc1", VLAN, "trunk0", 1500, bridge_mac(self.node, "dc1", VLAN))
        driver.run(plan(Desired((segment,), (TrunkUse("trunk0", None),)), driver.observe()))
        self.manager, self._hooks = PortManager(self.netlink, self.objects), Hooks(self.netlink)
        self.bridge = self.netlink.link(link_name("b", "dc1", VLAN)).index
        self.ports = [self._guest(at) for at in (0, 1)]
        self.generator = build_generator()

    def _guest(self, at: int) -> int:
        netns = f"{PREFIX}g{at}"
        create_netns(netns)
        quiet_sysctls(netns)
        host = self.netlink.add_veth(f"hv{at}", "eth0", peer_netns=netns, peer_mac=MACS[at])
        with Netlink(netns) as inside:
            eth0 = inside.link("eth0").index
            inside.add_address(eth0, f"{IPS[at]}/24")
            inside.set(eth0, up=True)
        self.manager.bring_up(PortSpec(host.index, MACS[at], IPS[at], VLAN, "dc1"), self.bridge)
        return host.index

    def send(self, seconds: float, rate: float = 0, *, fresh: bool, lying: bool = False) -> Sent:
        """From guest 0 to guest 1; `lying` with an address that its port drops."""
        frame = udp_frame("10.110.0.99" if lying else IPS[0])

        def go() -> str:
            index = socket.if_nametoindex("eth0")
            command = [str(self.generator), str(index), str(seconds), str(rate), str(int(fresh))]
            return subprocess.run(command, input=frame, capture_output=True, check=True).stdout.decode()

        frames, cpu, took = in_netns(f"{PREFIX}g0", go).split()
        return Sent(int(frames), float(cpu), float(took))

    def talk(self, seconds: float) -> Talk:
        """From guest 0's UDP socket to guest 1's, as much as goes; CPU of both and of everything between."""

        def start(*words: str) -> subprocess.Popen[str]:
            return subprocess.Popen([str(self.generator), *words], stdout=subprocess.PIPE, text=True)

        sink = in_netns(f"{PREFIX}g1", lambda: start("sink", str(seconds + 0.4), "0", "0"))
        source = in_netns(f"{PREFIX}g0", lambda: start("udp", str(seconds), "0", IPS[1]))
        told = [process.communicate()[0].split() for process in (source, sink)]
        (sent, sending), (taken, taking) = ((int(words[0]), float(words[1])) for words in told)
        return Talk(taken, sending / max(1, sent), taking / max(1, taken))

    def detach(self) -> None:
        """Take the programs off both ports, for the path without us."""
        for port in self.ports:
            for side in PROGRAMS:
                self._hooks.detach(port, side)

    def attach_empty(self, programs: Mapping[str, int]) -> None:
        """Programs with the names of ours in the same places."""
        for port in self.ports:
            for side, name in PROGRAMS.items():
                self._hooks.attach(port, side, programs[name])

    def attach(self) -> None:
        """Put them back."""
        for at, port in enumerate(self.ports):
            self.manager.bring_up(PortSpec(port, MACS[at], IPS[at], VLAN, "dc1"), self.bridge)

    def close(self) -> None:
        """Everything this made."""
        self.netlink.close()
        self.objects.close()


def udp_frame(source: str) -> bytes:
    """A UDP frame of 64 bytes of payload from guest 0 to guest 1."""
    head = bytes.fromhex((MACS[1] + MACS[0]).replace(":", "")) + b"\x08\x00"
    ip = (
        struct.pack("!BBHHHBBH", 0x45, 0, 92, 1, 0x4000, 64, 17, 0)
        + socket.inet_aton(source)
        + socket.inet_aton(IPS[1])
    )
    return head + ip + struct.pack("!HHHH", 40000, 53, 72, 0) + bytes(64)


def build_generator() -> Path:
    """The C generator, compiled once per source."""
    source, target = HERE / "_flows_gen.c", HERE.parents[1] / "build" / "flowgen"
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        target.parent.mkdir(exist_ok=True)
        subprocess.run(["cc", "-O2", "-o", str(target), str(source)], check=True)
    return target


@contextlib.contextmanager
def pins() -> Iterator[Path]:
    """A bpffs of our own."""
    path = Path(tempfile.mkdtemp(prefix="bascule-bench-")) / "bpf"
    mount_bpffs(path)
    try:
        yield path
    finally:
        unmount_bpffs(path)
        path.parent.rmdir()


@contextlib.contextmanager
def bed(entries: int = ENTRIES) -> Iterator[FlowBed]:
    """A bed, removed at the end."""
    if os.geteuid():
        sys.exit("flows: needs root")
    with pins() as path:
        made = None
        try:
            made = FlowBed(path, entries)
            yield made
        finally:
            if made is not None:
                made.close()
            for name in list_netns(PREFIX):
                delete_netns(name)
