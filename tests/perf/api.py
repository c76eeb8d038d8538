"""The lab's API under load, standalone on loopback: listing against json.loads, many watches, memory."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bascule_kube import Cluster
from bascule_kube.kinds import NAMESPACE, VM

OBJECTS, LISTED, WATCHES, WRITES = 10_000, 5_000, 200, 25
PORT = 26443
TICKS = os.sysconf("SC_CLK_TCK")


def vm(number: int) -> dict[str, Any]:
    """A VirtualMachine of ordinary size."""
    name = f"vm-{number:05d}"
    interfaces = [{"name": "net-0", "bridge": {}, "macAddress": f"52:54:00:{number >> 8:02x}:{number & 255:02x}:01"}]
    spec = {
        "domain": {"devices": {"interfaces": interfaces}},
        "networks": [{"name": "net-0", "multus": {"networkName": "bench/vlan-110"}}],
        "volumes": [{"name": "root", "containerDisk": {"image": "registry/bascule/lab-guest"}}],
    }
    return {
        **VM.of(name, "bench"),
        "spec": {"runStrategy": "Halted", "template": {"metadata": {"labels": {"app": "bench"}}, "spec": spec}},
    }


def cpu(pid: int) -> float:
    """CPU seconds a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident(pid: int) -> float:
    """MiB resident."""
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def rows() -> list[dict[str, Any]]:
    """Start a server of its own, fill it, measure."""
    with tempfile.TemporaryDirectory() as scratch:
        state = Path(scratch)
        command = [sys.executable, "-m", "bascule_lab.apiserver", "--state", scratch, "--port", str(PORT)]
        with (state / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            while "serving" not in (state / "log").read_text():
                time.sleep(0.1)
            return asyncio.run(_measure(state / "kubeconfig", process.pid))
        finally:
            process.terminate()
            process.wait(10)


async def _measure(kubeconfig: Path, pid: int) -> list[dict[str, Any]]:
    async with await Cluster.open(kubeconfig) as cluster:
        await cluster.create(NAMESPACE.of("bench"))
        await _fill(cluster, 0, LISTED)
        listing = await _list(cluster, pid)
        await _fill(cluster, LISTED, OBJECTS)
        memory = resident(pid)
        deliveries = await _watch(cluster, kubeconfig)
    return [
        listing,
        deliveries,
        {
            "name": f"RSS with {OBJECTS} objects",
            "value": memory,
            "unit": "MiB",
            "baseline": 150,
            "ratio": memory / 150,
            "goal": "<= 150",
            "met": memory <= 150,
        },
    ]


async def _fill(cluster: Cluster, first: int, last: int) -> None:
    async def worker(offset: int) -> None:
        for number in range(first + offset, last, 8):
            await cluster.create(vm(number))

    await asyncio.gather(*(worker(offset) for offset in range(8)))


async def _list(cluster: Cluster, pid: int) -> dict[str, Any]:
    """Server CPU of one paged list against json.loads of what came."""
    before = cpu(pid)
    items = await cluster.list(VM, "bench")
    used = cpu(pid) - before
    text = json.dumps({"items": items})
    began = time.process_time()
    json.loads(text)
    parse = time.process_time() - began
    assert len(items) == LISTED
    ratio = used / parse
    return {
        "name": f"list of {LISTED} VMs in pages of 500, server CPU",
        "value": used,
        "unit": "s",
        "baseline": parse,
        "ratio": ratio,
        "goal": "<= 2x json.loads",
        "met": ratio <= 2,
    }


async def _watch(cluster: Cluster, kubeconfig: Path) -> dict[str, Any]:
    """WATCHES watches, WRITES writes: every watch must see every write."""
    version = (await cluster.list_page(VM, "bench", limit=1))["metadata"]["resourceVersion"]
    got = [0] * WATCHES
    clients = [await Cluster.open(kubeconfig) for _ in range(WATCHES // 50)]  # a client holds 100 connections

    async def follow(number: int) -> None:
        async for event in clients[number % len(clients)].watch_lines(VM, version, "bench", timeout_seconds=60):
            got[number] += event["type"] == "MODIFIED"
            if got[number] == WRITES:
                return

    tasks = [asyncio.create_task(follow(number)) for number in range(WATCHES)]
    await asyncio.sleep(3)
    began = time.monotonic()
    for number in range(WRITES):
        patch = {"metadata": {"labels": {"write": str(number)}}}
        await cluster.merge_patch(VM, f"vm-{number:05d}", patch, namespace="bench")
    _, pending = await asyncio.wait(tasks, timeout=60)
    took = time.monotonic() - began
    for task in pending:
        task.cancel()
    for client in clients:
        await client.close()
    delivered = sum(got)
    rate = delivered / took
    return {
        "name": f"{WATCHES} watches, {delivered} of {WATCHES * WRITES} deliveries",
        "value": rate,
        "unit": "/s",
        "baseline": 1000,
        "ratio": rate / 1000,
        "goal": ">= 1000/s, none lost",
        "met": delivered == WATCHES * WRITES and rate >= 1000,
    }
