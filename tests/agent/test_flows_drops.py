"""What the kernel drops at a node's links, by reason: real drops in a namespace, witnessed by the kernel's counters."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time

import pytest

from bascule_agent.bpf import btf
from bascule_agent.bpf.errors import BpfError
from bascule_agent.bpf.objects import mount_bpffs, unmount_bpffs
from bascule_agent.flows import drops as under_test
from bascule_agent.flows.drops import Drops
from bascule_agent.netlink import Netlink, create_netns, delete_netns, in_netns

pytestmark = pytest.mark.root

NODE, ELSEWHERE = "hz7-drops", "hz7-other"


@pytest.fixture(scope="module")
def node():
    """Two namespaces with a link between them; `inside` is the one that is asked about."""
    create_netns(NODE)
    create_netns(ELSEWHERE)
    try:
        with Netlink(NODE) as here, Netlink(ELSEWHERE) as there:
            link = here.add_veth("out0", "in0", peer_netns=ELSEWHERE)
            for netlink, index, address in (
                (here, link.index, "192.0.2.1/24"),
                (there, there.link("in0").index, "192.0.2.2/24"),
            ):
                netlink.add_address(index, address)
                netlink.set(index, up=True)
                netlink.set(netlink.link("lo").index, up=True)
            yield here
    finally:
        delete_netns(NODE)
        delete_netns(ELSEWHERE)


@pytest.fixture(scope="module")
def counting(node, tmp_path_factory):
    root = tmp_path_factory.mktemp("hz7") / "bpf"
    mount_bpffs(root)
    found = Drops(time.time_ns())
    try:
        found.start(root / "node_drops", f"/run/netns/{NODE}")
        yield found
    finally:
        found.close()
        unmount_bpffs(root)


def told(node, counting):
    links = {link.index: link.name for link in node.links()}
    drops = counting.told(counting.read(), links, frozenset())
    assert not drops.absent, drops.absent
    return {(drop.link, drop.reason): drop for drop in drops.found}


def overflow(netns, address, frames=60):
    """Send datagrams to a socket that nobody reads, and the kernel's own count of those it dropped."""

    def sockets():
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        receiver.bind((address, 0))
        return receiver, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    before = counter(netns, "UdpRcvbufErrors")
    receiver, sender = in_netns(netns, sockets)
    with contextlib.closing(receiver), contextlib.closing(sender):
        for _ in range(frames):
            sender.sendto(bytes(900), receiver.getsockname())
    return counter(netns, "UdpRcvbufErrors") - before


def counter(netns, name):
    run = ["ip", "netns", "exec", netns, "nstat", "-asz", "--json", name]
    return json.loads(subprocess.run(run, capture_output=True, text=True, check=True).stdout)["kernel"][name]


def packets(found, *key):
    return found[key].packets if key in found else 0


def test_a_full_socket_buffer_is_counted_where_it_happened_and_nowhere_else(node, counting):
    before = told(node, counting)
    elsewhere = overflow(ELSEWHERE, "127.0.0.1")
    here = overflow(NODE, "127.0.0.1")
    after = told(node, counting)
    assert here > 40 and elsewhere > 40
    key = ("lo", "SOCKET_RCVBUFF")
    assert packets(after, *key) - packets(before, *key) == here, "the kernel's own counter is the witness"
    assert after[key].why == "the receiving socket's buffer is full"
    assert abs(after[key].last_ns - time.time_ns()) < 60 * 10**9


def test_frames_that_come_in_over_a_link_are_that_links(node, counting):
    before = told(node, counting)
    missing = counter(NODE, "UdpNoPorts")
    sender = in_netns(ELSEWHERE, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    with contextlib.closing(sender):
        for _ in range(7):
            sender.sendto(b"nobody listens", ("192.0.2.1", 9))
        deadline = time.monotonic() + 10
        while counter(NODE, "UdpNoPorts") - missing < 7 and time.monotonic() < deadline:
            time.sleep(0.05)
    after = told(node, counting)
    key = ("out0", "NO_SOCKET")
    assert packets(after, *key) - packets(before, *key) == counter(NODE, "UdpNoPorts") - missing == 7


def test_a_full_queue_is_counted_as_the_qdisc_does(node, counting):
    run = ["ip", "netns", "exec", NODE, "tc"]
    made = subprocess.run([*run, "qdisc", "add", "dev", "out0", "root", *QUEUE.split()], capture_output=True, text=True)
    if "kind is unknown" in made.stderr:
        pytest.skip("this kernel has no tbf")
    assert not made.returncode, made.stderr
    try:
        before = told(node, counting)
        sender = in_netns(NODE, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        with contextlib.closing(sender):
            for _ in range(40):
                with contextlib.suppress(OSError):  # a drop is told to the sender
                    sender.sendto(bytes(1000), ("192.0.2.2", 9))
        shown = subprocess.run([*run, "-s", "-j", "qdisc", "show", "dev", "out0"], capture_output=True, check=True)
        (dropped,) = [each["drops"] for each in json.loads(shown.stdout) if each["kind"] == "tbf"]
        after = told(node, counting)
    finally:
        subprocess.run([*run, "qdisc", "del", "dev", "out0", "root"], check=True)
    grown = {key[1]: packets(after, *key) - packets(before, *key) for key in after if key[0] == "out0"}
    assert dropped > 10
    assert sum(frames for reason, frames in grown.items() if "QDISC" in reason) == dropped, grown


QUEUE = "tbf rate 8kbit burst 2000 limit 3000"


def test_drops_of_our_own_programs_are_left_to_the_records(node, counting):
    number = next(n for n, name in counting._reasons.items() if name.endswith("_TC_INGRESS"))
    kernel = counting.read().kernel
    keys, values = kernel[0][:1].copy(), kernel[1][:1].copy()
    keys["ifindex"], keys["reason"] = 77, number
    counted = under_test.Counted((keys, values), None)
    assert [d.reason for d in counting.told(counted, {77: "hv1"}, frozenset()).found] == ["TC_INGRESS"]
    assert counting.told(counted, {77: "hv1"}, frozenset({77})).found == ()


def test_a_kernel_without_btf_costs_the_numbers_and_says_so(tmp_path, monkeypatch):
    def none():
        raise BpfError("the kernel has no BTF", cause="No such file or directory")

    monkeypatch.setattr(btf, "read_layout", none)
    found = Drops(5)
    found.start(tmp_path)
    drops = found.told(found.read(), {}, frozenset())
    assert "the kernel has no BTF" in drops.absent and drops.found == () and drops.since_ns == 5
    found.close()


def test_a_broken_btf_is_one_clear_error():
    with pytest.raises(BpfError, match="cannot be read"):
        btf.Btf(bytes(64))
