"""A move record over real gRPC: a vantage point in one namespace, the "guest" in another, a real block of 150 ms.

The witness is the guest namespace's kernel: echo requests in, echo replies out.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bascule.continuity import load_schema
from bascule.errors import UnreachableError
from bascule.protocol.gen.agent_pb2 import ProbeRequest
from bascule.resources.pod import PodNic
from bascule_agent.moves import AgentClient, MoveTracker, PortFrame
from bascule_agent.netlink import in_netns

pytestmark = pytest.mark.root
GW, GUEST, IP, UID = "h7-mgw", "h7-mguest", "10.78.0.2", "uid-1"

SERVE = """
import asyncio, sys
from pathlib import Path
from bascule_agent.probes import Prober
from bascule_agent.server.auth import Gate
from bascule_agent.server.listen import listen
from bascule_agent.server.service import Parts, Service

class Half:
    async def source_half(self, uid):
        nic = dict(nic="net-0", port="v", vlan=110, mac="52:54:00:00:6e:01", ip="10.78.0.2", moved_ns=1,
                   entries_removed=[])
        import json; return json.dumps(dict(node="node1", nics=[nic], dropped_after={}))

async def review(document):
    known = document["kind"] != "TokenReview" or document["spec"]["token"] == "good"
    return {**document, "status": {"authenticated": known, "user": {"username": "agent:node2"}, "allowed": True}}

async def main():
    parts = Parts("gateway", probes=Prober("gateway"), moves=Half())
    listener = await listen(Service(parts, Gate("gateway", review)), Path(sys.argv[1]))
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
ECHO = """
import socket, threading
listener = socket.create_server(("10.78.0.2", 7))
print("ready", flush=True)
def serve(peer):
    while data := peer.recv(4096): peer.sendall(data)
while True: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""


def start(netns: str, script: str, *arguments: str) -> subprocess.Popen[str]:
    process = in_netns(
        netns,
        lambda: subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True),
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture(scope="module")
def socket_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("h7") / "gw.sock"
    processes: list[subprocess.Popen[str]] = []
    for name in (GW, GUEST):
        subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)
    try:
        for command in (
            f"netns add {GW}",
            f"netns add {GUEST}",
            f"-n {GW} link add h7-g type veth peer name h7-v netns {GUEST}",
            f"-n {GW} address add 10.78.0.1/24 dev h7-g",
            f"-n {GUEST} address add {IP}/24 dev h7-v",
            f"-n {GW} link set h7-g up",
            f"-n {GUEST} link set h7-v address 52:54:00:00:6e:01",
            f"-n {GUEST} link set h7-v up",
        ):
            subprocess.run(["ip", *command.split()], check=True, capture_output=True)
        processes += [start(GUEST, ECHO), start(GW, SERVE, str(path))]
        yield path
    finally:
        for process in processes:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        for name in (GW, GUEST):
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def icmp_counters() -> tuple[int, int]:
    """(echo requests in, echo replies out) of the guest's kernel."""

    def read() -> tuple[int, int]:
        lines = [line.split() for line in Path("/proc/thread-self/net/snmp").read_text().splitlines()]
        names, values = [line[1:] for line in lines if line[0] == "Icmp:"]
        found = dict(zip(names, map(int, values), strict=True))
        return found["InEchos"], found["OutEchoReps"]

    return in_netns(GUEST, read)


def block(seconds: float, window: list[int]) -> None:
    """Make the guest deaf to echo requests for a while; `window` takes the real length in ns."""

    def run() -> None:
        knob = Path("/proc/sys/net/ipv4/icmp_echo_ignore_all")
        knob.write_text("1")
        began = time.time_ns()
        time.sleep(seconds)
        knob.write_text("0")
        window.append(time.time_ns() - began)

    in_netns(GUEST, run)


def vmim(phase: str) -> dict[str, Any]:
    state = {"sourceNode": "node1", "targetNode": "node2"}
    return {
        "metadata": {"name": "m", "namespace": "vms", "uid": UID},
        "spec": {"vmiName": "web-1"},
        "status": {"phase": phase, "migrationState": state, "phaseTransitionTimestamps": []},
    }


async def token() -> str:
    return "good"


async def test_a_real_block_of_150_ms_stands_in_the_record(socket_path: Path, tmp_path: Path) -> None:
    target = f'{{"target":"unix:{socket_path}"}}'

    async def read_node(name: str) -> Mapping[str, Any]:
        return {"metadata": {"name": name, "annotations": {"bascule.dev/agent": target}}}

    before, window = icmp_counters(), []
    tracker = MoveTracker("node2", tmp_path / "moves", AgentClient(token), lambda: {"gateway": target}, read_node)
    nic = PodNic("p", "vms", "web-1", "net-0", "pod1", "dc1", 110, "52:54:00:00:6e:01", IP, "", UID, "")
    try:
        tracker.vmim_changed(vmim("Running"))
        tracker.nic_discovered(nic)
        await asyncio.sleep(0.6)
        await asyncio.to_thread(block, 0.15, window)
        tracker.port_opened(PortFrame(UID, "rarp", time.time_ns(), "vethx"))
        ended = time.monotonic()
        tracker.vmim_changed(vmim("Succeeded"))
        async for message in tracker.follow(migration_uid=UID):
            if message.complete:
                break
        took = time.monotonic() - ended
    finally:
        await tracker.close()
    asked, replied = (b - a for a, b in zip(before, icmp_counters(), strict=True))
    record = json.loads(message.json)
    jsonschema.Draft202012Validator(load_schema()).validate(record)
    assert (record["verdict"], record["missing"]) == ("kept", ["hypervisor-events"])
    assert record["tcp"] == {"alive": True, "resets": 0, "sessions": 1}
    icmp = next(probe for probe in record["probes"] if probe["kind"] == "icmp")
    assert icmp["lost"] == asked - replied > 20
    assert icmp["sent"] <= asked, "what left after the record was closed is not in it"
    spacing = max((b[1] - a[1]) / 1e6 for a, b in zip(icmp["series"], icmp["series"][1:], strict=False))
    assert abs(icmp["lost_window_ms"] - window[0] / 1e6) <= max(5.0, spacing) + 1.0
    assert record["vlan"] == {"before": 110, "after": 110}
    assert 1.4 < took < 3.0


async def test_a_wrong_token_is_said(socket_path: Path) -> None:
    async def wrong() -> str:
        return "bad"

    client = AgentClient(wrong)
    with pytest.raises(UnreachableError, match="unauthenticated"):
        async for _ in client.probe(f"unix:{socket_path}", ProbeRequest(address=IP)):
            pytest.fail("it probed")
    with pytest.raises(UnreachableError, match="unauthenticated"):
        await client.source_half(f"unix:{socket_path}", UID, seconds=5)


async def test_a_bad_request_and_a_dead_socket_are_said(socket_path: Path, tmp_path: Path) -> None:
    client = AgentClient(token)
    with pytest.raises(UnreachableError, match="kind 'udp' is not known"):
        async for _ in client.probe(f"unix:{socket_path}", ProbeRequest(address=IP, kind="udp")):
            pytest.fail("it probed")
    with pytest.raises(UnreachableError, match="unavailable"):
        await client.source_half(f"unix:{tmp_path}/none.sock", UID, seconds=5)


async def test_a_caller_that_goes_ends_the_probe(socket_path: Path) -> None:
    client = AgentClient(token)
    stream = client.probe(f"unix:{socket_path}", ProbeRequest(address=IP))
    await anext(stream)
    await anext(stream)
    await stream.aclose()
    await asyncio.sleep(0.3)
    quiet = await asyncio.to_thread(icmp_counters)
    await asyncio.sleep(0.2)
    assert await asyncio.to_thread(icmp_counters) == quiet
    assert threading.active_count() < 20
