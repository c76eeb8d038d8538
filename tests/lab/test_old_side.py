"""The old side on a fabric of its own: reached per VLAN, stopped, read, taken down; also after it was killed.

Witnesses: busybox's ping and arping in the gateway, virsh, ip, /proc/mounts and ps.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import libvirt
import pytest

from bascule_agent.netlink import in_netns
from bascule_lab import machine
from bascule_lab.config import LabConfig
from bascule_lab.fabric.fabric import Fabric
from bascule_lab.fabric.switch import PortCount, Switch
from bascule_lab.guests import disk, template
from bascule_lab.guests.serial import SerialClient
from bascule_lab.hypervisor import look, side
from bascule_lab.hypervisor.estate import estate
from bascule_lab.nodes import netns

pytestmark = [pytest.mark.root, pytest.mark.qemu]
T = TypeVar("T")
SHOP, LEDGER = "10.110.0.31", "10.120.0.31"


def net(fn: Callable[..., T], *arguments: Any) -> T:
    """As the lab does: everything of netlink in one thread."""
    return asyncio.run(netns.net(fn, *arguments))


@pytest.fixture(scope="module")
def config() -> Iterator[LabConfig]:
    state = Path(tempfile.mkdtemp(prefix="hz1-", dir="/run"))
    made = LabConfig(prefix=f"hz1-{os.getpid()}", state=state / "lab")
    machine.prepare(made)
    fabric = Fabric(made, [])
    try:
        asyncio.run(fabric.start())
        yield made
    finally:
        asyncio.run(fabric.stop())
        assert net(machine.cleanup, made) == []
        assert traces(made) == []
        shutil.rmtree(state)


def bring_up(config: LabConfig, vms: int) -> subprocess.Popen[bytes]:
    return net(side.up, config, asyncio.run(template.ensure()), estate(vms, False), lambda line: None)


def status(config: LabConfig) -> dict[str, Any]:
    found = look.status(config)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def old(config: LabConfig) -> Iterator[dict[str, Any]]:
    libvirtd = bring_up(config, 2)
    yield status(config)
    libvirtd.wait()


def traces(config: LabConfig) -> list[str]:
    """What of the old side the machine shows, by tools that are not ours."""
    spaces = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout.splitlines()
    mounts = Path("/proc/mounts").read_text().splitlines()
    shown = subprocess.run(
        ["ps", "-ww", "-eo", "stat,args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    running = [line for line in shown if f"{config.state}/old" in line and not line.startswith("Z")]
    places = [str(path) for path in (Path("/var/lib/libvirt"), Path("/run/libvirt"), config.state / "old")]
    left = [line for line in spaces if config.old in line]
    left += [line for line in mounts if str(config.state / "old") in line]
    return left + running + [place for place in places if Path(place).exists()]


def in_gateway(config: LabConfig, *command: str) -> int:
    line = ["ip", "netns", "exec", config.gateway, "busybox", *command]
    return subprocess.run(line, capture_output=True, check=False, timeout=30).returncode


def heard(config: LabConfig, vlan: int, ip: str, seconds: int = 2) -> bool:
    """Whether anybody answers ARP for `ip` in a VLAN."""
    how = ("-f", "-q", "-c", str(seconds), "-w", str(seconds), "-I", f"vlan{vlan}", "-s", f"10.{vlan}.0.1")
    return in_gateway(config, "arping", *how, ip) == 0


def virsh(uri: str, *words: str) -> str:
    return subprocess.run(["virsh", "-c", uri, *words], capture_output=True, text=True, check=True, timeout=60).stdout


def until(what: str, probe: Callable[[], bool], timeout: float = 30.0) -> None:
    deadline = time.monotonic() + timeout
    while not probe():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def test_it_is_reached_from_another_namespace_in_its_vlan_only(config: LabConfig, old: dict[str, Any]) -> None:
    assert old["uri"] == f"qemu+unix:///system?socket={config.state}/old/libvirt-sock"
    told = [(vm["name"], vm["vlan"], vm["ip"], vm["state"]) for vm in old["vms"]]
    assert told == [("shop-1", 110, SHOP, "running"), ("ledger-1", 120, LEDGER, "running")]
    for vm in old["vms"]:
        assert in_gateway(config, "ping", "-c", "1", "-W", "5", vm["ip"]) == 0
        neighbours = ["ip", "-n", config.gateway, "neigh", "show", vm["ip"]]
        shown = subprocess.run(neighbours, capture_output=True, text=True, check=True).stdout
        assert f"dev vlan{vm['vlan']} lladdr {vm['mac']}" in shown
    assert heard(config, 110, SHOP) and heard(config, 120, LEDGER)
    assert not heard(config, 120, SHOP) and not heard(config, 110, LEDGER)
    until("httpd is up", lambda: in_gateway(config, "wget", "-q", "-O", "/dev/null", f"http://{SHOP}/") == 0)
    with in_netns(config.gateway, lambda: socket.create_connection((SHOP, 7), timeout=10)) as line:
        line.sendall(b"hello\n")
        assert line.recv(100) == b"hello\n"


def test_its_agent_tells_the_address_and_its_serial_port_answers(old: dict[str, Any]) -> None:
    shop = old["vms"][0]
    until("the agent is up", lambda: "10.110.0.31/24" in _addresses(old["uri"]))

    async def ask() -> tuple[int, bytes]:
        async with SerialClient(shop["serial"]) as port:
            return await port.exec("cat /sys/class/net/eth0/address; exit 3")

    assert asyncio.run(ask()) == (3, f"{shop['mac']}\n".encode())


def _addresses(uri: str) -> str:
    asked = ["virsh", "-c", uri, "domifaddr", "shop-1", "--source", "agent"]
    return subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60).stdout


def test_stopped_by_libvirt_it_is_silent_and_its_disk_can_be_fetched(
    config: LabConfig, old: dict[str, Any], tmp_path: Path
) -> None:
    virsh(old["uri"], "shutdown", "shop-1")
    until("shut off", lambda: virsh(old["uri"], "domstate", "shop-1").strip() == "shut off")
    assert not heard(config, 110, SHOP)
    assert [vm["state"] for vm in status(config)["vms"]] == ["shut off", "running"]
    got = tmp_path / "shop.qcow2"
    download(old["uri"], old["vms"][0]["disk"], got)
    told = disk.read(got)
    assert (told.ip, told.boots, told.text) == (SHOP, 1, "disk of shop-1, old side")


def download(uri: str, path: str, target: Path) -> None:
    """virStorageVolDownload, as a migration does it."""
    connection = libvirt.open(uri)
    try:
        stream = connection.newStream()
        connection.storageVolLookupByPath(path).download(stream, 0, 0)
        with target.open("wb") as out:
            stream.recvAll(lambda _stream, data, _opaque: out.write(data), None)
        stream.finish()
    finally:
        connection.close()


def counts(config: LabConfig) -> list[PortCount]:
    switch = Switch(config)
    try:
        return switch.counts()
    finally:
        switch.close()


def test_down_leaves_nothing_and_the_fabric_as_it_was(config: LabConfig, old: dict[str, Any]) -> None:
    assert traces(config)
    net(side.down, config)
    assert traces(config) == []
    shown = ["ip", "-n", config.fabric, "-br", "link"]
    ports = subprocess.run(shown, capture_output=True, text=True, check=True).stdout
    assert "gw-110" in ports and "old-" not in ports
    assert {count.port for count in net(counts, config)} == {"gw-100", "gw-110", "gw-120"}
    assert look.status(config) is None
    net(side.down, config)


def test_killed_it_is_cleaned_up(config: LabConfig) -> None:
    """`config` ends by machine.cleanup, as `lab down` does: what is left here is what a crash leaves."""
    libvirtd = bring_up(config, 1)
    libvirtd.send_signal(signal.SIGKILL)
    libvirtd.wait()
    assert heard(config, 110, SHOP), "a guest outlives its libvirtd"
    assert [vm["state"] for vm in status(config)["vms"]] == ["unknown"]
