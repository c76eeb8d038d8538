"""kill -9 of the API during a thousand writes, with a real agent and the real console on it: no acknowledged write is
missing, and both find back by themselves.

One network namespace holds all: the API as a process, the agent as the lab starts it, the console in tmux. No key is
pressed after the console came up.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bascule.resources.node import network_condition_type
from bascule_agent.bpf.objects import mount_bpffs, unmount_bpffs
from bascule_agent.netlink import Netlink, create_netns, delete_netns, in_netns, quiet_sysctls
from bascule_kube import Cluster
from bascule_kube.errors import KubeError, NotFound
from bascule_kube.kinds import KNOWN, LEASE, NAMESPACE, NODE
from bascule_lab import seeds
from bascule_lab.agents import AgentProcess, AgentSpec, direct_environment
from bascule_lab.apiserver.kubeconfig import write_kubeconfig
from bascule_lab.apiserver.server import prepare
from bascule_lab.supervisor import EXAMPLE

pytestmark = pytest.mark.root
NETNS, BPFFS, TMUX = "h1k-all", Path("/run/h1k-all"), "h1k-all"
MAPS = KNOWN["v1", "ConfigMap"]
WRITES, WRITERS, PORT = 1000, 8, 6443
SECONDS = 90.0


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """The namespace with a trunk, and a bpffs for the agent; tmux ends with it."""
    create_netns(NETNS)
    try:
        quiet_sysctls(NETNS)
        with Netlink(NETNS) as links:
            links.set(links.link("lo").index, up=True)
            links.set(links.add_veth("trunk0", "far0", peer_netns=NETNS).index, up=True)
            links.set(links.link("far0").index, up=True)
        mount_bpffs(BPFFS)
        yield tmp_path
    finally:
        subprocess.run(["tmux", "-L", TMUX, "kill-server"], capture_output=True)
        delete_netns(NETNS)
        unmount_bpffs(BPFFS)


async def until(what: str, probe: Callable[[], Awaitable[Any]]) -> Any:
    """Poll an async probe; the deadline is for a machine that does much else."""
    deadline = time.monotonic() + SECONDS
    while not (found := await probe()):
        assert time.monotonic() < deadline, f"not within {SECONDS:g} s: {what}"
        await asyncio.sleep(0.1)
    return found


def tmux(*arguments: str) -> str:
    command = ["tmux", "-L", TMUX, "-f", "/dev/null", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=direct_environment()).stdout


async def screen_has(words: str) -> None:
    """Wait until the console shows the words."""
    shown = ""

    async def look() -> bool:
        nonlocal shown
        shown = tmux("capture-pane", "-p", "-t", "t")
        return words in shown

    try:
        await until(words, look)
    except AssertionError:
        pytest.fail(f"{words!r} did not come up by itself:\n{shown}")


async def write(cluster: Cluster, numbers: list[int], acknowledged: dict[str, int], kill: Callable[[], None]) -> None:
    """Create maps until the server is gone; what was answered is noted."""
    while numbers:
        name = f"n{numbers.pop():04}"
        try:
            made = await cluster.create(MAPS.of(name, "default"))
        except KubeError:
            return
        acknowledged[name] = int(made["metadata"]["resourceVersion"])
        if len(acknowledged) == WRITES // 2:
            kill()


async def fill(cluster: Cluster) -> list[dict[str, Any]]:
    """Namespaces, the node, the example with one VM; returns the VMs that were left out."""
    for name in seeds.NAMESPACES:
        await cluster.create(NAMESPACE.of(name))
    await cluster.create(seeds.node("node1"))
    for document in seeds.example(EXAMPLE, 1):
        await cluster.apply(document)
    return [d for d in seeds.example(EXAMPLE, None) if d["kind"] == "VirtualMachine"][1:]


async def condition(cluster: Cluster, network: str) -> Any:
    """What the agent says of a Network on its Node."""
    status = (await cluster.get(NODE, "node1")).get("status") or {}
    kind = network_condition_type(network)
    return next((c["reason"] for c in status.get("conditions") or [] if c["type"] == kind), None)


async def renewed(cluster: Cluster) -> str:
    """When the agent renewed its Lease last, "" before it has."""
    try:
        return str((await cluster.get(LEASE, "agent-node1", "bascule-system"))["spec"]["renewTime"])
    except NotFound:
        return ""


def agent(state: Path) -> AgentProcess:
    """The node's agent, as the lab starts it."""
    credentials = prepare(state, ["node1"])
    home = state / "node1"
    home.mkdir()
    token = {"agent:node1": credentials.tokens["agent:node1"]}
    write_kubeconfig(home / "kubeconfig", f"https://127.0.0.1:{PORT}", credentials.ca_pem, token, "agent:node1")
    run = ("run", "--node", "node1", "--mode", "manage", "--pin-root", str(BPFFS), "--socket", str(home / "agent.sock"))
    spec = AgentSpec("node1", NETNS, home, (*run, "--kubeconfig", str(home / "kubeconfig")), home / "log")
    return AgentProcess(spec)


async def scenario(place: Path, api_process: Any) -> None:
    state = place / "state"
    running: AgentProcess | None = None
    try:
        async with api_process(state, PORT, ("node1",)) as first, await Cluster.open(state / "kubeconfig") as cluster:
            left_out = await fill(cluster)
            running = agent(state)
            running.start()
            console = f"env -u COLUMNS -u LINES XDG_STATE_HOME={place} {Path(sys.executable).with_name('bascule')}"
            tmux("new-session", "-d", "-x", "120", "-y", "36", "-s", "t", f"{console} --kubeconfig {state}/kubeconfig")
            await screen_has("web-1")
            assert "db-1" not in tmux("capture-pane", "-p", "-t", "t")
            await until("the agent is at work", lambda: condition(cluster, "dc1"))
            pid = running.pid
            acknowledged = await writes(cluster, first)
            async with api_process(state, PORT, ("node1",)):
                back = await afterwards(cluster, acknowledged, left_out[0])
            assert running.pid == pid, "the same agent: nobody started it again"
            assert back > 0
    finally:
        if running is not None:
            await running.stop()


async def writes(cluster: Cluster, server: asyncio.subprocess.Process) -> dict[str, int]:
    """A thousand writes, and kill -9 at the five hundredth answer; returns what was answered."""
    acknowledged: dict[str, int] = {}
    numbers = list(range(WRITES))
    async with asyncio.TaskGroup() as writers:
        for _ in range(WRITERS):
            writers.create_task(write(cluster, numbers, acknowledged, lambda: os.kill(server.pid, signal.SIGKILL)))
    await server.wait()
    assert WRITES // 2 <= len(acknowledged) < WRITES
    return acknowledged


async def afterwards(cluster: Cluster, acknowledged: dict[str, int], vm: dict[str, Any]) -> float:
    """The server is back: every answer still holds, and agent and console go on; seconds that took."""
    started = time.monotonic()
    found = {item["metadata"]["name"]: item for item in await cluster.list(MAPS, "default")}
    assert {name: int(found[name]["metadata"]["resourceVersion"]) for name in acknowledged} == acknowledged
    assert len(found) <= len(acknowledged) + WRITERS, "at most what was under way besides"
    before = await renewed(cluster)
    await cluster.apply(vm)
    await cluster.create(KNOWN["projectcalico.org/v3", "Network"].of("after") | network_on("trunk9"))
    await screen_has(vm["metadata"]["name"])

    async def lease() -> bool:
        return await renewed(cluster) != before

    async def missing() -> bool:
        return bool(await condition(cluster, "after") == "TrunkMissing")

    await until("the agent renews its Lease", lease)
    await until("the agent says what it thinks of a new Network", missing)
    took = time.monotonic() - started
    print(f"{len(acknowledged)} writes answered and there; agent and console back after {took:.1f} s")
    return took


def network_on(interface: str) -> dict[str, Any]:
    """A Network whose trunk this node does not have."""
    trunk = {"trunkPort": {"interface": {"name": interface}}}
    host = {"nodeSelector": "", "bridge": {"managedBridge": {}}, "hostConnections": [trunk]}
    vlans = [{"vlan": {"id": 300}, "subnets": [{"cidr": "10.30.0.0/24"}]}]
    return {"spec": {"l2Bridge": {"hostConfig": [host], "vlans": vlans}}}


def test_agent_and_console_outlive_kill_nine_of_the_api(place: Path, api_process: Any) -> None:
    in_netns(NETNS, lambda: asyncio.run(scenario(place, api_process)))
    assert "Traceback" not in (place / "state" / "node1" / "log").read_text()
