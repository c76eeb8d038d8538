"""The bed of the segment contract: two nodes on a dumb wire, built by real plans, once for each way to have segments.

The ways are the parameters of `way`: both drivers, and vlan_aware in another owner's bridge. A kernel that does not
filter VLANs skips the last two; the kernel tier runs all three (docs/design/kernel-tier.md). Whatever a way is, the
tests are the same functions. The wire is a hub, so isolation is the nodes' work alone.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.agent.conftest import FORWARDING, Witness, echo, until

from bascule.hostplan import vlan_aware
from bascule.hostplan.desired import Desired, Need, desire
from bascule.hostplan.observed import Observed
from bascule.hostplan.owned import Owned
from bascule.hostplan.plan import plan
from bascule.hostplan.steps import Step
from bascule.resources.network import Network
from bascule_agent.bpf import layout
from bascule_agent.bpf.objects import Objects, ensure, mount_bpffs, unmount_bpffs
from bascule_agent.netlink import (
    Netlink,
    NetlinkError,
    create_netns,
    delete_netns,
    in_netns,
    list_netns,
    quiet_sysctls,
)
from bascule_agent.ports import PortManager, PortSpec
from bascule_agent.segments import Segments

NATIVE, VLANS, HOST_VLAN = 100, (100, 110, 120), 99
PER_VLAN, VLAN_AWARE, EXISTING = "per_vlan", "vlan_aware", "existingBridge"
WAYS = (PER_VLAN, VLAN_AWARE, EXISTING)
TABLES = ("ports", "macs", "trunks", "native", "stubs", "trunk_drops")
COUNTS: dict[str, dict[str, int]] = {way: {} for way in WAYS}


@functools.cache
def filters_vlans() -> bool:
    """Does this kernel's bridge keep VLANs apart?"""
    create_netns("h11-probe")
    try:
        with Netlink("h11-probe") as netlink:
            made = netlink.add_bridge("br0", "02:b5:00:00:00:01", vlan_filtering=True)
            return bool(made.bridge and made.bridge.vlan_filtering)
    except NetlinkError:
        return False
    finally:
        delete_netns("h11-probe")


def network_of(way: str) -> Network:
    """The Network dc1 as this way has it."""
    bridge: dict[str, Any] = {"existingBridge": {"name": "br0"}} if way == EXISTING else {"managedBridge": {}}
    trunk = {"trunkPort": {"interface": {"name": "trunk0"}, "nativeVLAN": NATIVE}}
    spec = {
        "hostConfig": [{"nodeSelector": "", "bridge": bridge, "hostConnections": [trunk]}],
        "vlans": [{"vlan": {"id": vid}} for vid in (*VLANS, 130)],
    }
    meta = {"name": "dc1", "annotations": {"bascule.dev/driver": VLAN_AWARE} if way == VLAN_AWARE else {}}
    return Network.of({"metadata": meta, "spec": {"l2Bridge": spec}})


@dataclass
class Node:
    """One node: its namespace, netlink, pins, drivers and ports."""

    netns: str
    way: str
    netlink: Netlink
    objects: Objects
    segments: Segments
    ports: PortManager

    def desired(self, *vids: int, observed: Observed | None = None) -> Desired:
        """What the node should look like with ports in these VLANs."""
        needs = {Need("dc1", vid) for vid in vids}
        return desire([network_of(self.way)], self.netns, {}, needs, observed or self.segments.observe())

    def plan(self, *vids: int) -> tuple[Step, ...]:
        """The steps that lead there from what is now."""
        observed = self.segments.observe()
        return plan(self.desired(*vids, observed=observed), observed)

    def apply(self, *vids: int) -> tuple[Step, ...]:
        """Plan and carry out."""
        steps = self.plan(*vids)
        self.segments.run(steps)
        return steps

    def bridge(self, vid: int) -> int:
        """The bridge that ports of this VLAN belong to."""
        observed = self.segments.observe()
        found = {key: link.index for key, link in Owned.of(observed).bridges.items()}
        found |= vlan_aware.bridges_by_vlan(self.desired(vid, observed=observed).bridges, observed)
        return found["dc1", vid]

    def close(self) -> None:
        self.netlink.close()
        self.objects.close()


@dataclass
class Guest:
    """A namespace that plays a VM; `ifindex` is its port in the node."""

    name: str
    node: Node
    vlan: int
    mac: str
    ip: str
    ifindex: int = 0

    @property
    def netns(self) -> str:
        return f"h11-{self.name}"

    def spec(self, held: bool = False) -> PortSpec:
        return PortSpec(self.ifindex, self.mac, self.ip, self.vlan, "dc1", held)

    def bring_up(self, held: bool = False) -> None:
        """As the agent does: the driver admits the link to its VLAN, the port manager does the rest."""
        bridge = self.node.bridge(self.vlan)
        self.node.segments.admit(self.ifindex, bridge, self.vlan)
        self.node.ports.bring_up(self.spec(held), bridge)

    def wait(self) -> None:
        """Until frames pass: carrier events are handled later on a busy machine."""
        assert until(lambda: self.node.netlink.brport(self.ifindex)["state"] == FORWARDING)
        with Netlink(self.netns) as inside:
            assert until(lambda: inside.link("eth0").carrier)

    def send(self, *frames: bytes) -> None:
        put(self.netns, "eth0", frames)

    def ping(self, ip: str, count: int = 1) -> int:
        """Answers of the other kernel to `count` echo requests."""
        return in_netns(self.netns, lambda: echo(ip, count))

    def witness(self) -> Witness:
        return Witness(self.netns, "eth0")


def put(netns: str, link: str, frames: tuple[bytes, ...]) -> None:
    """Send raw frames from a link."""

    def go() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
            sock.bind((link, 0))
            for data in frames:
                sock.send(data)

    in_netns(netns, go)


class Bed:
    """Two nodes, a wire with a station on it, guests on demand."""

    def __init__(self, way: str, pins: Path) -> None:
        self.way, self.pins = way, pins
        create_netns("h11-wire")
        quiet_sysctls("h11-wire")
        self.wire = Netlink("h11-wire")
        self.hub = self.wire.add_bridge("hub", "02:00:00:00:00:ff").index
        self.wire.set(self.hub, up=True)
        self.plug_in(self.wire.add_veth("tap0", "sta0").index)
        self.wire.set(self.wire.link("sta0").index, up=True)
        self.nodes = [self._node(f"h11-n{number}") for number in (1, 2)]
        self.guests: dict[str, Guest] = {}

    def plug_in(self, link: int) -> None:
        self.wire.set(link, master=self.hub, up=True)
        self.wire.set_brport(link, learning=0)

    def _node(self, name: str) -> Node:
        create_netns(name)
        quiet_sysctls(name)
        self.plug_in(self.wire.add_veth(f"to-{name}", "trunk0", peer_netns=name).index)
        return make_node(name, self.way, self.pins / name)

    def station(self) -> Witness:
        """Sees the whole wire."""
        return Witness("h11-wire", "sta0")

    def inject(self, *frames: bytes) -> None:
        """Put frames on the wire."""
        put("h11-wire", "sta0", frames)

    def guest(self, name: str, node: int, vlan: int, mac: str, ip: str, held: bool = False) -> Guest:
        """A guest on a port that is up."""
        guest = plug(name, self.nodes[node], vlan, mac, ip)
        self.guests[name] = guest
        guest.bring_up(held)
        guest.wait()
        return guest

    def unplug(self, name: str) -> None:
        guest = self.guests.pop(name)
        guest.node.ports.take_down(guest.ifindex)
        guest.node.netlink.delete(guest.ifindex)
        delete_netns(guest.netns)

    def close(self) -> None:
        for node in self.nodes:
            node.close()
        self.wire.close()


def make_node(name: str, way: str, pins: Path) -> Node:
    """The node in a namespace that is there; with EXISTING it has the operator's bridge br0, whose host is in VLAN 99
    and whose default PVID, as the kernel's own, is 1."""
    netlink = Netlink(name)
    objects = ensure(layout.SOURCE, pins, layout.defines(), layout.LAYOUT)
    for table in TABLES:
        objects.rows(table, remove=True)  # what an earlier node of that name had
    if way == EXISTING:
        shell(name, OPERATORS_BRIDGE)
    return Node(name, way, netlink, objects, Segments(netlink, objects), PortManager(netlink, objects))


OPERATORS_BRIDGE = (
    "ip link add br0 address 02:00:00:00:00:77 type bridge vlan_filtering 1 forward_delay 0 mcast_snooping 0 && "
    "bridge vlan add dev br0 vid 99 self"
)


def shell(netns: str, command: str) -> str:
    """What an operator would type in a namespace; its output."""
    argv = ["sh", "-ec", command]
    done = in_netns(netns, lambda: subprocess.run(argv, capture_output=True, text=True))
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def plug(name: str, node: Node, vlan: int, mac: str, ip: str) -> Guest:
    """A guest whose port's host side is there, and down, as CNI leaves it."""
    guest = Guest(name, node, vlan, mac, ip)
    create_netns(guest.netns)
    quiet_sysctls(guest.netns)
    guest.ifindex = node.netlink.add_veth(f"hv-{name}", "eth0", peer_netns=guest.netns, peer_mac=mac).index
    with Netlink(guest.netns) as inside:
        eth0 = inside.link("eth0").index
        inside.add_address(eth0, f"{ip}/24")
        inside.set(eth0, up=True)
    return guest


@pytest.fixture(scope="session")
def segment_pins() -> Iterator[Path]:
    """A bpffs of our own."""
    path = Path(f"/run/h11-bpf-{os.getpid()}")
    try:
        mount_bpffs(path)
        yield path
    finally:
        unmount_bpffs(path)


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """One of the ways to have segments."""
    if request.param != PER_VLAN and not filters_vlans():
        pytest.skip("this kernel's bridge does not filter VLANs: the kernel tier runs it")
    return str(request.param)


@pytest.fixture(scope="module")
def bed(way: str, segment_pins: Path) -> Iterator[Bed]:
    """Two nodes with VLANs 100 (native), 110 and 120; no guests."""
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: [delete_netns(name) for name in list_netns("h11-")])
        made = Bed(way, segment_pins)
        stack.callback(made.close)
        for node in made.nodes:
            node.apply(*VLANS)
        yield made


@pytest.fixture(scope="module")
def vms(bed: Bed) -> dict[str, Guest]:
    """a1, b1, c1 on node 1 and a2, b2, c2 on node 2, in VLAN 110, 120 and native 100."""
    for letter, vlan in (("a", 110), ("b", 120), ("c", 100)):
        for number in (1, 2):
            mac = f"52:54:00:00:{vlan:02x}:0{number}"
            bed.guest(f"{letter}{number}", number - 1, vlan, mac, f"10.{vlan}.0.1{number}")
    return dict(bed.guests)


@pytest.fixture
def node(way: str, segment_pins: Path) -> Iterator[Node]:
    """One node with a trunk whose other end is beside it, and nothing built."""
    create_netns("h11-one")
    try:
        quiet_sysctls("h11-one")
        made = make_node("h11-one", way, segment_pins / "h11-n1")
        made.netlink.add_veth("trunk0", "far0")
        try:
            yield made
        finally:
            made.close()
    finally:
        delete_netns("h11-one")


def show(node: Node, steps: tuple[Step, ...]) -> None:
    """Write what iproute2 says of a node beside the plan that made it into the kernel tier's log, if this is it."""
    log = os.environ.get("BASCULE_TIER_LOG")
    if log:
        commands = ("bridge -d vlan show", "ip -d link show", "bridge fdb show")
        parts = [("the plan", "\n".join(str(step) for step in steps))]
        parts += [(command, shell(node.netns, command)) for command in commands]
        with Path(log).open("a") as stream:
            stream.writelines(f"--- {node.way}: {what}\n{words.rstrip()}\n" for what, words in parts)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count what ran and what was skipped, for each way."""
    way = next((each for each in WAYS if f"[{each}" in report.nodeid), None)
    if way and (report.when == "call" or (report.when == "setup" and report.outcome != "passed")):
        COUNTS[way][report.outcome] = COUNTS[way].get(report.outcome, 0) + 1


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line with the counts of each way; what was skipped is said even when it is nothing."""
    told = {
        way: ", ".join(f"{number} {outcome}" for outcome, number in sorted({"skipped": 0, **counts}.items()))
        for way, counts in COUNTS.items()
        if counts
    }
    if told:
        terminalreporter.write_line("segment contract: " + "; ".join(f"{way}: {words}" for way, words in told.items()))
