"""A bed of real frames: two nodes on a dumb wire, guests with a stack of their own, sockets that watch.

The wire is a bridge that learns nothing, so a hub: it knows no VLANs and no MACs, everything reaches everybody, and
isolation is the nodes' work alone. Guests are namespaces with a veth; witnesses are AF_PACKET sockets.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bascule.flows.reasons import Reason
from bascule.hostplan.desired import Desired, Segment, TrunkUse
from bascule.hostplan.names import bridge_mac, link_name
from bascule.hostplan.plan import plan
from bascule_agent.bpf import layout
from bascule_agent.bpf.flows_map import swap_and_drain
from bascule_agent.bpf.objects import Objects, ensure, mount_bpffs, unmount_bpffs
from bascule_agent.netlink import Netlink, create_netns, delete_netns, in_netns, list_netns, quiet_sysctls
from bascule_agent.ports import PortManager, PortSpec
from bascule_agent.segments import PerVlan

FORWARDING = 3  # BR_STATE_FORWARDING
NATIVE, VLANS = 100, (100, 110, 120)
BROADCAST = "ff:ff:ff:ff:ff:ff"
MARK = b"h4-witness"


def mac_raw(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def frame(dst: str, src: str, body: bytes) -> bytes:
    """dst, src, then everything from the EtherType (or tag) on."""
    return mac_raw(dst) + mac_raw(src) + body


def ipv4(src: str, dst: str, payload: bytes = MARK, proto: int = 1) -> bytes:
    """EtherType, IPv4 header with checksum, payload: ICMP of no known kind, which a kernel ignores in silence."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, proto, 0)
    head += socket.inet_aton(src) + socket.inet_aton(dst)
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    check = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return b"\x08\x00" + head[:10] + struct.pack("!H", check) + head[12:] + payload


def arp(sender_mac: str, sender: str, target: str, op: int = 1, target_mac: str = "00:00:00:00:00:00") -> bytes:
    """EtherType and ARP (RARP for op 3), marked behind."""
    kind = b"\x80\x35" if op == 3 else b"\x08\x06"
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, op)
    ends = mac_raw(sender_mac) + socket.inet_aton(sender) + mac_raw(target_mac) + socket.inet_aton(target)
    return kind + head + ends + MARK


def tag(vid: int, proto: int = 0x8100) -> bytes:
    return struct.pack("!HH", proto, vid)


def echo(ip: str, count: int) -> int:
    """Send ICMP echo requests one by one; how many were answered within 0.4 s. The kernels do ARP and the answering."""
    answered = 0
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        for seq in range(1, count + 1):
            body = struct.pack("!BBHHH", 8, 0, 0xF7FF - 0x4834 - seq, 0x4834, seq)  # the checksum of what follows
            try:
                sock.sendto(body, (ip, 0))
            except OSError:
                continue  # no neighbour: the kernel reports EHOSTUNREACH of the one before
            answered += _answered(sock, seq)
    return answered


def _answered(sock: socket.socket, seq: int) -> bool:
    end = time.monotonic() + 0.4
    while (left := end - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            data = sock.recv(2048)
        except OSError:
            return False
        if data[20] == 0 and struct.unpack_from("!HH", data, 24) == (0x4834, seq):
            return True
    return False


class Witness:
    """A raw socket on a link that notes every frame holding MARK, with its tag as the wire had it."""

    def __init__(self, netns: str, link: str) -> None:
        self._sock = in_netns(netns, self._open)
        self._sock.bind((link, 0))
        self._sock.setblocking(False)

    @staticmethod
    def _open() -> socket.socket:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        sock.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA: the tag, which the kernel keeps beside the data
        return sock

    def seen(self, mark: bytes = MARK) -> list[tuple[bytes, int | None]]:
        """(frame, VID or None for untagged) of received frames with the mark since the last call."""
        found = []
        while True:
            try:
                data, extra, _, source = self._sock.recvmsg(70000, 200)
            except BlockingIOError:
                return found
            if mark not in data or source[2] == 4:  # PACKET_OUTGOING
                continue
            vid = None
            for _, kind, value in extra:
                status, tci = struct.unpack_from("I", value)[0], struct.unpack_from("H", value, 16)[0]
                if kind == 8 and status & 0x10:  # TP_STATUS_VLAN_VALID
                    vid = tci & 0xFFF
            found.append((data, vid))

    def close(self) -> None:
        self._sock.close()


@dataclass
class Node:
    """One node: its namespace, netlink, pins, driver and ports."""

    netns: str
    netlink: Netlink
    objects: Objects
    driver: PerVlan
    ports: PortManager

    def bridge(self, vid: int) -> int:
        return self.netlink.link(link_name("b", "dc1", vid)).index

    def stub(self, vid: int) -> int:
        return self.netlink.link(link_name("s", "dc1", vid)).index

    def desired(self, *vids: int) -> Desired:
        segments = tuple(Segment("dc1", vid, "trunk0", 1500, bridge_mac(self.netns, "dc1", vid)) for vid in vids)
        return Desired(segments, (TrunkUse("trunk0", NATIVE),) if vids else ())

    def apply(self, *vids: int) -> None:
        self.driver.run(plan(self.desired(*vids), self.driver.observe()))

    def close(self) -> None:
        self.netlink.close()
        self.objects.close()


@dataclass
class Guest:
    """A namespace that plays a VM; `ifindex` is the port in the node."""

    name: str
    node: Node
    vlan: int
    mac: str
    ip: str
    ifindex: int = 0

    @property
    def netns(self) -> str:
        return f"h4-{self.name}"

    def wait(self) -> None:
        """Until the kernel has handled the carrier events, which a busy machine may do later: only then frames pass."""
        assert until(lambda: self.node.netlink.brport(self.ifindex)["state"] == FORWARDING)
        with Netlink(self.netns) as inside:
            assert until(lambda: inside.link("eth0").carrier)

    def send(self, *frames: bytes) -> None:
        def go() -> None:
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
                sock.bind(("eth0", 0))
                for data in frames:
                    sock.send(data)

        in_netns(self.netns, go)

    def ping(self, ip: str, count: int = 1) -> int:
        """Answers of the other kernel to `count` echo requests."""
        return in_netns(self.netns, lambda: echo(ip, count))

    def witness(self) -> Witness:
        return Witness(self.netns, "eth0")

    def spec(self, held: bool = False) -> PortSpec:
        return PortSpec(self.ifindex, self.mac, self.ip, self.vlan, "dc1", held)


class Bed:
    """Two nodes, a wire, guests on demand."""

    def __init__(self, pins: Path) -> None:
        self.pins = pins
        create_netns("h4-wire")
        quiet_sysctls("h4-wire")
        self.wire = Netlink("h4-wire")
        hub = self.wire.add_bridge("hub", "02:00:00:00:00:ff")
        self.wire.set(hub.index, up=True)
        self.hub = hub.index
        self.nodes = [self._node(f"h4-n{k}", hub.index) for k in (1, 2)]
        self.guests: dict[str, Guest] = {}

    def _node(self, name: str, hub: int) -> Node:
        create_netns(name)
        quiet_sysctls(name)
        end = self.wire.add_veth(f"to-{name}", "trunk0", peer_netns=name)
        self.wire.set(end.index, master=hub, up=True)
        self.wire.set_brport(end.index, learning=0)
        netlink = Netlink(name)
        objects = ensure(layout.SOURCE, self.pins / name, layout.defines(), layout.LAYOUT)
        for table in ("ports", "macs", "trunks", "native", "stubs", "trunk_drops"):
            objects.rows(table, remove=True)  # what an earlier module's node of that name had
        return Node(name, netlink, objects, PerVlan(netlink, objects), PortManager(netlink, objects))

    def station(self) -> Witness:
        """A station plugged into the hub: sees the whole wire."""
        if self.wire.find("tap0") is None:
            end = self.wire.add_veth("tap0", "sta0")
            self.wire.set(end.index, master=self.hub, up=True)
            self.wire.set_brport(end.index, learning=0)
            self.wire.set(end.peer_index, up=True)
        return Witness("h4-wire", "sta0")

    def inject(self, *frames: bytes) -> None:
        """Put frames on the wire from the station."""

        def go() -> None:
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
                sock.bind(("sta0", 0))
                for data in frames:
                    sock.send(data)

        in_netns("h4-wire", go)

    def plug(self, name: str, node: int, vlan: int, mac: str, ip: str) -> Guest:
        """A guest whose port's host side is there, and down, as CNI leaves it."""
        guest = Guest(name, self.nodes[node], vlan, mac, ip)
        create_netns(guest.netns)
        quiet_sysctls(guest.netns)
        host = guest.node.netlink.add_veth(f"hv-{name}", "eth0", peer_netns=guest.netns, peer_mac=mac)
        guest.ifindex = host.index
        with Netlink(guest.netns) as inside:
            eth0 = inside.link("eth0").index
            inside.add_address(eth0, f"{ip}/24")
            inside.set(eth0, up=True)
        self.guests[name] = guest
        return guest

    def guest(self, name: str, node: int, vlan: int, mac: str, ip: str, held: bool = False) -> Guest:
        """A guest on a port that is up."""
        guest = self.plug(name, node, vlan, mac, ip)
        guest.node.ports.bring_up(guest.spec(held), guest.node.bridge(vlan))
        guest.wait()
        return guest

    def unplug(self, name: str) -> None:
        guest = self.guests.pop(name)
        guest.node.ports.take_down(guest.ifindex)
        guest.node.netlink.delete(guest.ifindex)
        delete_netns(guest.netns)

    def drain(self) -> None:
        """Forget what was counted so far."""
        for node in self.nodes:
            for _ in range(2):
                swap_and_drain(node.objects)
            node.objects.rows("trunk_drops", remove=True)

    def close(self) -> None:
        for node in self.nodes:
            node.close()
        self.wire.close()


def drops(node: Node, ifindex: int) -> dict[str, int]:
    """Packets that a port dropped since the last drain, by reason."""
    records = swap_and_drain(node.objects).records
    mine = records[(records["ifindex"] == ifindex) & (records["verdict"] == 3)]
    found: dict[str, int] = {}
    for row in mine:
        label = Reason(int(row["reason"])).label
        found[label] = found.get(label, 0) + int(row["packets"])
    return found


def until(check: Callable[[], object], seconds: float = 2.0) -> bool:
    """Poll `check` until it is true; False when it never was."""
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


@pytest.fixture(scope="session")
def pins() -> Iterator[Path]:
    """A bpffs of our own."""
    path = Path(f"/run/h4-bpf-{os.getpid()}")
    try:
        mount_bpffs(path)
        yield path
    finally:
        unmount_bpffs(path)


@pytest.fixture(scope="module")
def bed(pins: Path) -> Iterator[Bed]:
    """Two nodes with VLANs 100 (native), 110 and 120 built; no guests."""
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: [delete_netns(name) for name in list_netns("h4-")])
        made = Bed(pins)
        stack.callback(made.close)
        for node in made.nodes:
            node.apply(*VLANS)
        yield made


@pytest.fixture(scope="module")
def vms(bed: Bed) -> dict[str, Guest]:
    """a1, b1, c1 on node 1 and a2, b2, c2 on node 2, in VLAN 110, 120 and native 100."""
    for letter, vlan in (("a", 110), ("b", 120), ("c", 100)):
        for node in (1, 2):
            mac = f"52:54:00:00:{vlan:02x}:0{node}"
            bed.guest(f"{letter}{node}", node - 1, vlan, mac, f"10.{vlan}.0.1{node}")
    return dict(bed.guests)


@pytest.fixture
def namespaces() -> Iterator[Callable[[str], str]]:
    """Makes namespaces by name and removes them afterwards."""
    made: list[str] = []

    def make(name: str) -> str:
        create_netns(name)
        made.append(name)
        quiet_sysctls(name)
        return name

    yield make
    for name in made:
        delete_netns(name)
