"""ARP heartbeats, the watch on the trunk and the agent's own announcement, on real links. Witness: tcpdump's place is
taken by a plain packet socket at the other end, and by the kernel's own ARP answers."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from bascule_agent.moves import FabricWatch, FdbLog, FdbView
from bascule_agent.netlink import FdbEntry, in_netns
from bascule_agent.probes import ArpProber, IcmpProber, ProbeError, ProbeSocketError, Way

pytestmark = pytest.mark.root

HERE, THERE = "h8-here", "h8-there"
MAC, VM_MAC, IP = "52:54:00:00:08:02", "52:54:00:00:08:99", "10.78.8.2"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def link() -> Iterator[None]:
    """A trunk between two namespaces: untagged 10.78.8.0/24, and VLAN 110 with 10.78.9.0/24 at the far end."""
    for name in (HERE, THERE):
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
    try:
        for name in (HERE, THERE):
            ip("netns", "add", name)
        ip("-n", HERE, "link", "add", "t0", "type", "veth", "peer", "name", "t1", "netns", THERE)
        ip("-n", THERE, "link", "set", "t1", "address", MAC, "up")
        ip("-n", HERE, "link", "set", "t0", "up")
        ip("-n", HERE, "address", "add", "10.78.8.1/24", "dev", "t0")
        ip("-n", THERE, "address", "add", f"{IP}/24", "dev", "t1")
        yield
    finally:
        for name in (HERE, THERE):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def asked(prober: ArpProber | IcmpProber, seconds: float = 0.4) -> tuple[int, int, str]:
    """(sent, lost, neighbour) of a prober that ran for a while."""
    prober.start()
    time.sleep(seconds)
    prober.stop_sending()
    time.sleep(0.2)
    drained = prober.drain()
    prober.stop()
    return len(drained.seq), sum(rx == 0 for rx in drained.rx_ns), drained.neighbour


def test_a_host_answers_from_a_link_without_an_address(link: None) -> None:
    before = neighbours()
    sent, lost, _ = asked(in_netns(HERE, lambda: ArpProber(IP, 5, Way("t0"), MAC)))
    assert sent > 20 and lost == 0
    assert neighbours() == before, "a probe must not enter anybody's ARP table"


def neighbours() -> str:
    shown = subprocess.run(["ip", "-n", THERE, "neigh"], check=True, capture_output=True, text=True)
    return shown.stdout


def test_the_link_is_found_by_the_route_and_a_wrong_mac_is_not_answered(link: None) -> None:
    assert asked(in_netns(HERE, lambda: ArpProber(IP, 5)))[1] == 0
    sent, lost, _ = asked(in_netns(HERE, lambda: ArpProber(IP, 5, None, "52:54:00:00:08:77")))
    assert sent == lost > 20


def test_icmp_tells_whom_this_side_takes_the_address_for(link: None) -> None:
    assert asked(in_netns(HERE, lambda: IcmpProber(IP, 5)))[2] == MAC


@pytest.mark.parametrize(
    ("address", "way", "mac", "error"),
    [
        ("192.0.2.1", None, "", ProbeError),
        (IP, Way("none0"), "", ProbeSocketError),
        (IP, Way("t0"), "zz", ProbeError),
    ],
)
def test_what_cannot_be_asked_is_said(link: None, address: str, way: Way | None, mac: str, error: type) -> None:
    with pytest.raises(error):
        in_netns(HERE, lambda: ArpProber(address, 5, way, mac))


def test_an_outage_is_lost_and_its_place_is_right(link: None) -> None:
    prober = in_netns(HERE, lambda: ArpProber(IP, 5, Way("t0"), MAC))
    prober.start()
    time.sleep(0.3)
    ip("-n", THERE, "link", "set", "t1", "arp", "off")
    began = time.time_ns()
    time.sleep(0.2)
    ended = time.time_ns()
    ip("-n", THERE, "link", "set", "t1", "arp", "on")
    time.sleep(0.3)
    prober.stop_sending()
    time.sleep(0.2)
    drained = prober.drain()
    prober.stop()
    lost = [tx for tx, rx in zip(drained.tx_ns, drained.rx_ns, strict=True) if not rx]
    slack = 100_000_000  # `ip` takes its time to start
    assert len(lost) > 10
    assert all(began - slack <= tx <= ended + slack for tx in lost)


def watch(speak: bool = True, tag: int | None = None) -> FabricWatch:
    found: FabricWatch = in_netns(HERE, lambda: FabricWatch("t0", tag, VM_MAC, "10.78.8.99", speak))
    return found


def frame(kind: int, mac: str = VM_MAC, spa: bytes = b"\x0a\x4e\x08\x63", tpa: bytes = b"\x0a\x4e\x08\x63") -> bytes:
    source = bytes.fromhex(mac.replace(":", ""))
    body = b"\0\1\x08\0\x06\x04\0\1" + source + spa + b"\0" * 6 + tpa
    return b"\xff" * 6 + source + kind.to_bytes(2, "big") + body.ljust(46, b"\0")


def send(netns: str, name: str, data: bytes) -> None:
    def act() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sock:
            sock.bind((name, 0))
            sock.send(data)

    in_netns(netns, act)


def listener() -> socket.socket:
    def make() -> socket.socket:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        sock.bind(("t1", 0x0003))
        sock.settimeout(1)
        return sock

    found: socket.socket = in_netns(THERE, make)
    return found


def test_a_vm_that_announced_itself_is_left_alone(link: None) -> None:
    trunk = watch()
    try:
        send(HERE, "t0", frame(0x8035))
        send(HERE, "t0", frame(0x0806))
        time.sleep(0.1)
        assert trunk.announce() is None
        told = trunk.told(110, 1)
        assert [each["kind"] for each in told["spoken"]] == ["rarp", "garp"]
        assert (told["announced_by"], told["announced_kind"]) == ("guest", "rarp")
        assert told["first_out_ns"] == told["announced_ns"]
    finally:
        trunk.close()


def test_a_silent_vm_is_announced_and_the_far_end_hears_it(link: None) -> None:
    trunk, far = watch(), listener()
    try:
        first = time.time_ns()
        send(HERE, "t0", frame(0x0806, tpa=b"\x0a\x4e\x08\x01"))  # an ordinary ARP question is no announcement
        time.sleep(0.05)
        sent = trunk.announce()
        assert sent is not None and trunk.told(0, first)["announced_by"] == "agent"
        ours = frame(0x0806)[:42]
        heard = [far.recv(64)[:42] for _ in range(2)]
        while ours not in heard and len(heard) < 50:  # the link's own IPv6 comes in between
            heard.append(far.recv(64)[:42])
        assert ours in heard
    finally:
        trunk.close()
        far.close()


def test_where_the_data_plane_is_anothers_nothing_is_said(link: None) -> None:
    trunk = watch(speak=False)
    try:
        assert trunk.announce() is None
    finally:
        trunk.close()


def test_a_second_speaker_is_noted_only_after_the_vm_spoke_here(link: None) -> None:
    trunk = watch()
    try:
        send(THERE, "t1", frame(0x0806))
        time.sleep(0.05)
        assert trunk.told(0, None)["foreign"] == []
        send(HERE, "t0", frame(0x8035))
        time.sleep(0.05)
        send(THERE, "t1", frame(0x0806))
        time.sleep(0.15)
        assert [f["kind"] for f in trunk.told(0, None)["foreign"]] == ["garp"]
    finally:
        trunk.close()


def test_the_fdb_log_is_bounded_and_keeps_the_last() -> None:
    log = FdbLog()
    for number in range(100):
        log.note(FdbEntry(MAC, number, 7, False, False, False), False, number)
    log.note(FdbEntry(MAC, 1, 7, False, True, False), False, 1000)  # local: the bridge's own
    assert [change.port for change in log.of(MAC, 7)] == list(range(68, 100))
    assert log.of(MAC, 8) == [] and log.of(VM_MAC, 7) == []


def test_a_node_without_a_bridge_says_so() -> None:
    from bascule.hostplan.observed import Observed

    view = FdbView(FdbLog(), lambda bridge: [], Observed).look(MAC, "dc1", 110)
    assert (view["bridge"], view["trunk_side"]) == (None, None)
