"""The stand-in guest behind the guests' interface, on bare plumbing: ICMP, TCP echo, exec, move, kill."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from bascule_agent.netlink import in_netns, list_netns
from bascule_lab import machine
from bascule_lab.config import LabConfig
from bascule_lab.guests import plumbing
from bascule_lab.guests.errors import GuestError
from bascule_lab.guests.plumbing import PodPort
from bascule_lab.guests.spec import GuestSpec
from bascule_lab.guests.standin import StandInGuest, rarp
from bascule_lab.nodes import netns

pytestmark = pytest.mark.root
SPEC = GuestSpec("web-1", "52:54:00:00:6e:01", "10.110.0.11")


@pytest_asyncio.fixture
async def lab(tmp_path: Path) -> AsyncIterator[LabConfig]:
    """One node with a bridge that has the address 10.110.0.1."""
    config = LabConfig(prefix=f"h5-{os.getpid()}", state=tmp_path / "lab")
    machine.prepare(config)

    def build() -> None:
        node = netns.make(config.node("node1"))
        bridge = node.add_bridge("br0", netns.fixed_mac(config.prefix))
        node.set(bridge.index, up=True)
        node.add_address(bridge.index, "10.110.0.1/24")

    await netns.net(build)
    try:
        yield config
    finally:
        await netns.net(lambda: [netns.remove(name) for name in list_netns(f"{config.prefix}-")])
        assert machine.cleanup(config) == []


async def attach(config: LabConfig, uid: str) -> PodPort:
    port = await plumbing.add(config, "node1", uid)

    def join() -> None:
        node = netns.link_in(port.node_netns)
        node.set(port.host_index, master=node.link("br0").index, up=True)

    assert not await plumbing.carrier(port), "CNI leaves the host side down"
    await netns.net(join)
    await plumbing.wait_carrier(port, 2)
    return port


def ping(config: LabConfig) -> bool:
    call = ["busybox", "ping", "-c", "1", "-W", "1", SPEC.ip]
    return in_netns(config.node("node1"), lambda: subprocess.run(call, capture_output=True)).returncode == 0


def echo(config: LabConfig, text: bytes) -> bytes:
    with in_netns(config.node("node1"), lambda: socket.create_connection((SPEC.ip, 7), 2)) as line:
        line.sendall(text)
        return line.recv(100)


async def test_the_interface_of_a_guest(lab: LabConfig) -> None:
    guest = StandInGuest(lab, SPEC, await attach(lab, "aaaa"))
    await guest.start_clone()
    try:
        assert guest.running and guest.pid > 0 and await guest.answers()
        assert ping(lab)
        assert echo(lab, b"hello") == b"hello"
        assert await guest.exec("printf 'a\\0b'; exit 3") == (3, b"a\0b")
        assert (await guest.exec("sleep 9", timeout=0.2))[0] == 137
    finally:
        await guest.kill()
    assert not guest.running
    assert not ping(lab), "a crashed guest does not answer"


async def test_a_move_of_configuration(lab: LabConfig) -> None:
    source = StandInGuest(lab, SPEC, await attach(lab, "aaaa"))
    target = StandInGuest(lab, SPEC, await attach(lab, "bbbb"))
    await source.start_clone()
    try:
        assert ping(lab)
        result = await source.migrate_to(target, await target.start_incoming("10.99.0.2"))
        assert result.ok and result.mode == "StandIn"
        assert result.stop_to_resume_ms is not None and 0 < result.stop_to_resume_ms < 1000
        assert [(e["side"], e["event"]) for e in result.document()["events"]][1:3] == [
            ("source", "STOP"),
            ("target", "RESUME"),
        ]
        assert ping(lab), "at the target"
        assert echo(lab, b"again") == b"again"
    finally:
        await source.quit()
        await target.quit()


async def test_a_port_that_nobody_raises(lab: LabConfig) -> None:
    port = await plumbing.add(lab, "node1", "cccc")
    with pytest.raises(GuestError, match="no carrier"):
        await plumbing.wait_carrier(port, 0.1)
    await plumbing.remove(port)
    await plumbing.remove(port)
    assert port.netns not in list_netns()


def test_names_are_kubevirts() -> None:
    # echo -n net-0 | sha256sum
    assert plumbing.interface_name("net-0") == "pod900d2c01c91"


def test_the_announcement_is_a_reverse_arp_of_itself() -> None:
    frame = rarp(SPEC.mac)
    own = bytes.fromhex(SPEC.mac.replace(":", ""))
    assert len(frame) == 60
    assert (frame[:6], frame[6:12], frame[12:14]) == (b"\xff" * 6, own, b"\x80\x35")
    assert (frame[20:22], frame[22:28], frame[32:38]) == (b"\0\3", own, own)
