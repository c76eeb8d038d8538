"""What policy costs in the kernel, and how fast a change gets there.

A port program that counts and asks policy against the least that counting costs, by BPF_PROG_TEST_RUN on one frame,
in turns; a label change from the compiler to the swapped slot; swaps under traffic.
"""

from __future__ import annotations

import socket
import statistics
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.perf.policy import cluster

from bascule.policy.endpoints import Endpoint
from bascule.policy.model import PolicySet
from bascule_agent.bpf import layout, raw
from bascule_agent.bpf.flows_map import swap_and_drain
from bascule_agent.bpf.objects import Objects, ensure, mount_bpffs, unmount_bpffs
from bascule_agent.policy.enforce import Enforcer
from bascule_agent.policy.maps import PolicyMaps
from bascule_agent.policy.memory import Memory

ROUNDS, REPEAT, SWAPS = 15, 50_000, 1000
PINS = Path("/run/bascule-perf-policy")
MAC, PEER = bytes.fromhex("525400006e01"), bytes.fromhex("5254000000fe")
NIC = Endpoint("vms", "p1", "net", "web-1", "net-0", "dc1", 110, ("10.110.0.11",), {"app": "web"})


def rows() -> list[dict[str, Any]]:
    """One object for each figure: name, value, unit, baseline, ratio, goal, met."""
    with _maps() as (objects, enforcer):
        return [port_program(objects, enforcer), relabel(enforcer), swaps(objects, enforcer)]


@contextmanager
def _maps() -> Iterator[tuple[Objects, Enforcer]]:
    mount_bpffs(PINS)
    try:
        with (
            tempfile.TemporaryDirectory() as directory,
            ensure(layout.SOURCE, PINS / "port", layout.defines(), layout.LAYOUT) as objects,
        ):
            maps = PolicyMaps(objects)
            try:
                yield objects, Enforcer(maps, Memory(Path(directory) / "policy.json"))
            finally:
                maps.close()
    finally:
        unmount_bpffs(PINS)


def _frame(port: int, size: int = 64) -> bytes:
    body = struct.pack("!HHHH", port, 53, size - 34, 0).ljust(size - 34, b"x")
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, 17, 0)
    return MAC + PEER + b"\x08\x00" + head + socket.inet_aton("10.110.0.12") + socket.inet_aton(NIC.ips[0]) + body


def _policy(number: int) -> dict[str, Any]:
    nets = [f"10.9.{number % 250}.{number // 250}/32", "10.110.0.0/24"]
    filler = [{"action": "Allow", "protocol": "TCP", "destination": {"ports": [1000 + n]}} for n in range(20)]
    rules = [*filler, {"action": "Allow", "protocol": "UDP", "source": {"nets": nets}}]
    spec = {"selector": "app == 'web'", "types": ["Ingress"], "ingress": rules}
    meta = {"name": "bench"}
    return {"apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkPolicy", "metadata": meta, "spec": spec}


def _in_force(objects: Objects, enforcer: Enforcer, number: int) -> None:
    enforcer.load(PolicySet.of([_policy(number)]), [NIC])
    if NIC.key not in enforcer.nics:
        nic = enforcer.bind(NIC.key)
        assert not isinstance(nic, str)
        address = tuple(socket.inet_aton(NIC.ips[0]))
        objects.put("ports", (1,), (tuple(MAC), 110, address, 0, 2, nic.slot, 0, 0))


def port_program(objects: Objects, enforcer: Enforcer) -> dict[str, Any]:
    """ns a packet of an established connection: checks, connection, verdict, flow and port counters."""
    _in_force(objects, enforcer, 0)
    source = Path(__file__).with_name("minimal.c")
    with ensure(source, PINS / "minimal") as least:
        pairs = []
        for _ in range(ROUNDS):
            base = raw.test_run_ns(least.programs["minimal"], _frame(4000), REPEAT)
            pairs.append((raw.test_run_ns(objects.programs["port_out"], _frame(4000), REPEAT), base))
    value, baseline = (statistics.median(each) for each in zip(*pairs, strict=True))
    ratio = statistics.median(mine / base for mine, base in pairs)
    return _row("policy-port-program", value, "ns", baseline, ratio, "<= 3x one hash", ratio <= 3)


def relabel(enforcer: Enforcer) -> dict[str, Any]:
    """CPU ms from a changed label to the last swap, 1,000 policies and 200 NICs; baseline is to load everything."""
    documents, endpoints = cluster(1000)
    before = time.process_time()
    enforcer.load(PolicySet.of(documents), endpoints)
    baseline = time.process_time() - before
    for endpoint in endpoints:
        enforcer.bind(endpoint.key)
    times, touched = [], []
    for number, endpoint in enumerate(endpoints[: 3 * ROUNDS]):
        other = replace(endpoint, labels={**endpoint.labels, "app": f"app-{(number * 7 + 3) % 40}"})
        before = time.process_time()
        touched.append(len(enforcer.change([other], []).swapped))
        times.append(time.process_time() - before)
    value = statistics.median(times)
    row = _row("policy-relabel-kernel", value * 1e3, "ms", baseline * 1e3, baseline / value, "<= 50 ms", value <= 0.05)
    return {**row, "nics": statistics.median(touched), "of": len(endpoints)}


def swaps(objects: Objects, enforcer: Enforcer) -> dict[str, Any]:
    """Packets judged by a half-written policy during 1,000 swaps; every packet is a connection of its own."""
    _in_force(objects, enforcer, 0)
    swap_and_drain(objects)
    stop, passed, wrong = threading.Event(), [0], [0]

    def traffic() -> None:
        port = 1024
        while not stop.is_set():
            port = port + 1 if port < 65000 else 1024
            verdict, _ = raw.test_run(objects.programs["port_out"], _frame(port))
            (wrong if verdict else passed)[0] += 1

    sender = threading.Thread(target=traffic)
    sender.start()
    for number in range(1, SWAPS + 1):
        _in_force(objects, enforcer, number)
    stop.set()
    sender.join()
    row = _row("policy-swaps", wrong[0], "packets", SWAPS, 0, "0 half-written", wrong[0] == 0)
    return {**row, "packets": passed[0]}


def _row(name: str, value: float, unit: str, baseline: float, ratio: float, goal: str, met: bool) -> dict[str, Any]:
    figures = {"value": round(value, 3), "unit": unit, "baseline": round(baseline, 3), "ratio": round(ratio, 2)}
    return {"name": name, **figures, "goal": goal, "met": met}
