"""The planted block is exactly as long as asked, both ways, and leaves nothing. Witness: numbered pings, tc."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from bascule_agent.netlink import NetlinkError, create_netns, delete_netns, in_netns, netns_path
from bascule_lab.faults import block
from bascule_lab.faults.errors import FaultError

pytestmark = pytest.mark.root
PERIOD_S = 0.002


@pytest.fixture
def pod() -> Iterator[str]:
    """A pod namespace with `pod0` at 10.9.9.2, whose peer in a second namespace is 10.9.9.1."""
    names = [f"h5-{os.getpid()}-{end}" for end in ("pod", "node")]
    for name in names:
        create_netns(name)
    commands = (
        f"ip -n {names[0]} link add pod0 type veth peer name host0 netns {names[1]}",
        f"ip -n {names[0]} address add 10.9.9.2/24 dev pod0",
        f"ip -n {names[1]} address add 10.9.9.1/24 dev host0",
        f"ip -n {names[0]} link set pod0 up",
        f"ip -n {names[1]} link set host0 up",
    )
    try:
        for command in commands:
            subprocess.run(command.split(), check=True)
        yield names[0]
    finally:
        for name in names:
            delete_netns(name)


class Sender(threading.Thread):
    """UDP datagrams with numbers from the node to the pod, one every PERIOD_S; `sent` holds (before, after) ns."""

    def __init__(self, pod: str) -> None:
        super().__init__()
        node = pod.replace("-pod", "-node")
        self.source = in_netns(node, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.sink = in_netns(pod, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.sink.bind(("10.9.9.2", 9999))
        self.sink.settimeout(0.2)
        self.sent: dict[int, tuple[int, int]] = {}
        self.done = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.done.wait(PERIOD_S):
            number += 1
            before = time.time_ns()
            self.source.sendto(struct.pack("I", number), ("10.9.9.2", 9999))
            self.sent[number] = before, time.time_ns()

    def finish(self) -> set[int]:
        self.done.set()
        self.join()
        heard = set()
        try:
            while True:
                heard.add(struct.unpack("I", self.sink.recv(100))[0])
        except TimeoutError:
            pass
        self.source.close()
        self.sink.close()
        return heard


@pytest.mark.parametrize("milliseconds", [50, 150])
async def test_a_block_is_as_long_as_asked(pod: str, milliseconds: int) -> None:
    sender = Sender(pod)
    sender.start()
    await asyncio.sleep(0.1)
    planted = await asyncio.to_thread(block.block_port, pod, "pod0", milliseconds)
    await asyncio.sleep(0.1)
    heard = sender.finish()
    assert planted.milliseconds == pytest.approx(milliseconds, abs=0.001)
    # a frame crosses the veth between the two stamps, unless the softirq was put off: hence a little slack
    begin, end, slack = planted.started_ns, planted.ended_ns, 1_000_000
    inside = {n for n, (before, after) in sender.sent.items() if before > begin + slack and after < end - slack}
    outside = {n for n, (before, after) in sender.sent.items() if after < begin - slack or before > end + slack}
    assert inside and not inside & heard, "nothing passes inside"
    assert outside <= heard, "everything passes outside, also while the program is attached"
    shown = subprocess.run(["tc", "-n", pod, "qdisc", "show", "dev", "pod0"], capture_output=True, text=True)
    assert "clsact" not in shown.stdout, "nothing stays"


def test_a_second_block_is_refused(pod: str) -> None:
    first = threading.Thread(target=block.block_port, args=(pod, "pod0", 200))
    first.start()
    try:
        time.sleep(0.06)
        with pytest.raises(FaultError, match="already carries a program"):
            block.block_port(pod, "pod0", 10)
    finally:
        first.join()


def test_an_absent_port_is_named(pod: str) -> None:
    assert netns_path(pod).exists()
    with pytest.raises(NetlinkError, match="pod7"):
        block.block_port(pod, "pod7", 10)
