"""Real QEMU guests on plain bridges: network, serial port, moves, failures. One template and one lab for all."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bascule_agent.netlink import in_netns
from bascule_lab import machine
from bascule_lab.bare.topology import BareLab
from bascule_lab.config import LabConfig, node_migration
from bascule_lab.faults.errors import FaultError
from bascule_lab.faults.process import kill_guest
from bascule_lab.guests import plumbing, template
from bascule_lab.guests.real import QemuGuest
from bascule_lab.guests.serial import SerialClient
from bascule_lab.guests.spec import GuestSpec

pytestmark = [pytest.mark.root, pytest.mark.qemu, pytest.mark.asyncio(loop_scope="module")]
WEB = GuestSpec("web-1", "52:54:00:00:6e:01", "10.110.0.11", gateway="10.110.0.1")
TALKER = GuestSpec(
    "web-2", "52:54:00:00:6e:02", "10.110.0.12", peers=("10.110.0.11:7", "10.110.0.11"), talk_every_s=0.5
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[BareLab]:
    # not tmp_path: a unix socket's path has room for 107 bytes
    state = Path(tempfile.mkdtemp(prefix="h5-"))
    config = LabConfig(prefix=f"h5-{os.getpid()}", state=state / "lab")
    machine.prepare(config)
    built = BareLab(config, await template.ensure())
    try:
        await built.start()
        await asyncio.gather(built.add_guest(WEB, "node1"), built.add_guest(TALKER, "node2"))
        yield built
    finally:
        await built.stop()
        assert machine.cleanup(config) == []
        shutil.rmtree(state)


async def gateway_runs(lab: BareLab, *command: str) -> tuple[int, str]:
    def run() -> subprocess.CompletedProcess[str]:
        return in_netns(lab.config.gateway, lambda: subprocess.run(command, capture_output=True, text=True))

    done = await asyncio.to_thread(run)
    return done.returncode, done.stdout


async def echo_line(lab: BareLab) -> socket.socket:
    """A TCP session from the gateway to the guest's echo port."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return await asyncio.to_thread(
                in_netns, lab.config.gateway, lambda: socket.create_connection((WEB.ip, 7), timeout=10)
            )
        except ConnectionRefusedError:  # a guest answers pings before its echo is up
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)


async def test_it_answers_ping_echo_and_http(lab: BareLab) -> None:
    assert (await gateway_runs(lab, "busybox", "ping", "-c", "2", "-W", "2", WEB.ip))[0] == 0
    with await echo_line(lab) as line:
        line.sendall(b"hello\n")
        assert line.recv(100) == b"hello\n"
    assert "lab guest" in (await gateway_runs(lab, "busybox", "wget", "-qO-", f"http://{WEB.ip}/"))[1]


async def test_exec_gives_bytes_and_exit_codes(lab: BareLab) -> None:
    guest = lab.guests["web-1"]
    assert await guest.exec("printf '\\000\\377\\n'; echo err >&2; exit 7") == (7, b"\x00\xff\nerr\n")
    assert await guest.exec("cat /sys/class/net/eth0/address") == (0, f"{WEB.mac}\n".encode())
    code, output = await guest.exec("head -c 20000 /dev/urandom | tee /run/random; true")
    assert code == 0 and len(output) == 20000


async def test_a_command_that_hangs_is_killed_and_the_next_one_runs(lab: BareLab) -> None:
    guest = lab.guests["web-1"]
    assert (await guest.exec("sleep 60", timeout=1))[0] == 137
    assert await guest.exec("echo next") == (0, b"next\n")


async def test_garbage_on_the_serial_port_does_not_stop_it(lab: BareLab) -> None:
    guest = lab.guests["web-1"]
    _, writer = await asyncio.open_unix_connection(guest.serial_path)
    writer.write(b"RUN\nRUN x\nRUN x y z\nCONF 1\n" + bytes(range(256)) + b"RUN broken 5 aGFsZi1hLWxpbm")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert await guest.exec("echo fine") == (0, b"fine\n")
    async with SerialClient(guest.serial_path) as port:
        await port.configure(TALKER.line())
    assert WEB.ip.encode() in (await guest.exec("ifconfig eth0"))[1], "a second configuration changes nothing"


async def test_the_hypervisor_is_asked_about_a_silent_guest(lab: BareLab) -> None:
    told = await lab.guests["web-1"].diagnose()
    assert told.startswith("guest running, CPU at 0xffffffff8"), "a healthy guest is not called a panic"


async def test_two_clients_take_turns(lab: BareLab) -> None:
    guest = lab.guests["web-1"]

    async def other() -> tuple[int, bytes]:
        async with SerialClient(guest.serial_path) as port:
            return await port.exec("sleep 0.3; echo one")

    assert await asyncio.gather(other(), guest.exec("echo two")) == [(0, b"one\n"), (0, b"two\n")]


async def test_guests_talk_and_can_be_silenced(lab: BareLab) -> None:
    async def heard() -> int:
        return int((await lab.guests["web-1"].exec("cat /sys/class/net/eth0/statistics/rx_packets"))[1])

    first = await heard()
    await asyncio.sleep(1.2)
    assert await heard() > first
    assert (await lab.guests["web-2"].exec("touch /run/quiet"))[0] == 0
    await asyncio.sleep(0.8)
    quiet = await heard()
    await asyncio.sleep(0.7)
    assert await heard() - quiet <= 2, "nothing but an ARP probe"


async def test_guest_counters_are_the_wires(lab: BareLab) -> None:
    guest = lab.guests["web-1"]
    port = guest.port
    names = ("rx_packets", "rx_bytes", "tx_packets", "tx_bytes")

    async def inside() -> list[int]:
        files = " ".join(f"/sys/class/net/eth0/statistics/{name}" for name in names)
        return [int(word) for word in (await guest.exec(f"cat {files}"))[1].split()]

    async def outside() -> list[int]:
        """The host veth's counters as the guest sees them: what the veth transmits, the guest receives."""
        shown = await asyncio.to_thread(in_netns, port.node_netns, Path("/proc/thread-self/net/dev").read_text)
        fields = next(line for line in shown.splitlines() if port.host_interface in line).partition(":")[2].split()
        rx_bytes, rx_packets, tx_bytes, tx_packets = (int(fields[place]) for place in (0, 1, 8, 9))
        return [tx_packets, tx_bytes, rx_packets, rx_bytes]

    before = (await inside(), await outside())
    with await echo_line(lab) as line:
        for _ in range(20):
            line.sendall(b"x" * 10000)
            got = 0
            while got < 10000:
                got += len(line.recv(65536))
    await asyncio.sleep(0.3)
    after = (await inside(), await outside())
    grown = [[b - a for a, b in zip(old, new, strict=True)] for old, new in zip(before, after, strict=True)]
    assert grown[0] == grown[1]
    assert grown[0][1] > 200_000


async def test_moves_keep_memory_address_and_tcp(lab: BareLab) -> None:
    await lab.guests["web-1"].exec("echo kept >/run/note")
    with await echo_line(lab) as line:
        for round_, node in enumerate(("node2", "node1", "node2")):
            result = await lab.move("web-1", node)
            assert (result.ok, result.failure, result.silent) == (True, "", "")
            assert result.mode == "PostCopy"
            assert result.stop_ns and result.resume_ns and 0 < result.resume_ns - result.stop_ns < 5e9
            assert result.total_ms and result.downtime_ms is not None
            line.sendall(f"round {round_}\n".encode())
            assert line.recv(100) == f"round {round_}\n".encode(), "the TCP session goes on"
    guest = lab.guests["web-1"]
    assert guest.port.node_netns == lab.config.node("node2")
    assert await guest.exec("cat /run/note /sys/class/net/eth0/address") == (0, f"kept\n{WEB.mac}\n".encode())


async def test_a_target_that_dies_leaves_the_guest_at_the_source(lab: BareLab) -> None:
    source = lab.guests["web-1"]
    port = await plumbing.add(lab.config, "node1", "deadbeef")
    target = QemuGuest(lab.config, WEB, port, await template.ensure())
    uri = await target.start_incoming(node_migration("node1"))
    await target.kill()
    result = await source.migrate_to(target, uri)
    await plumbing.remove(port)
    assert not result.ok and result.failure
    assert result.source_runs
    assert await source.exec("echo here") == (0, b"here\n")
    assert (await lab.move("web-1", "node1")).ok, "and it can still move"


async def test_a_killed_guest_is_seen(lab: BareLab) -> None:
    guest = await lab.add_guest(GuestSpec("db-9", "52:54:00:00:6e:09", "10.110.0.19"), "node1")
    with pytest.raises(FaultError, match="no guest"):
        kill_guest(os.getpid())
    kill_guest(guest.pid)
    deadline = time.monotonic() + 5
    while guest.running and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    assert not guest.running
    assert not await guest.answers(0.2)
