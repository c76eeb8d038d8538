"""kill -9 in the middle of a thousand writes: what was acknowledged is there, and our client finds back by itself."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

from bascule_kube import Cluster
from bascule_kube.errors import KubeError
from bascule_kube.informer import Informer
from bascule_kube.kinds import KNOWN

MAPS = KNOWN["v1", "ConfigMap"]
WRITES, WRITERS = 1000, 8


async def write(cluster: Cluster, numbers: list[int], acknowledged: dict[str, int], kill: Any) -> None:
    """Create maps until the server is gone; what was answered is noted."""
    while numbers:
        name = f"n{numbers.pop():04}"
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}}
        try:
            made = await cluster.create(body)
        except KubeError:
            return
        acknowledged[name] = int(made["metadata"]["resourceVersion"])
        if len(acknowledged) == WRITES // 2:
            kill()


async def test_no_acknowledged_write_is_missing_after_kill_nine(tmp_path, api_process, free_port):
    process = api_process
    state, port = tmp_path / "h9-state", free_port
    acknowledged: dict[str, int] = {}
    async with process(state, port) as first, await Cluster.open(state / "kubeconfig") as cluster:
        await cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
        informer = Informer(cluster, MAPS)
        informer.start()
        numbers = list(range(WRITES))
        async with asyncio.TaskGroup() as writers:
            for _ in range(WRITERS):
                writers.create_task(write(cluster, numbers, acknowledged, lambda: os.kill(first.pid, signal.SIGKILL)))
        await first.wait()
        assert WRITES // 2 <= len(acknowledged) < WRITES
        async with process(state, port):
            found = {item["metadata"]["name"]: item for item in await cluster.list(MAPS, "default")}
            assert {name: int(found[name]["metadata"]["resourceVersion"]) for name in acknowledged} == acknowledged
            assert len(found) <= len(acknowledged) + WRITERS, "at most what was under way besides"
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "after", "namespace": "default"}}
            made = await cluster.create(body)
            assert int(made["metadata"]["resourceVersion"]) > max(acknowledged.values())
            async with asyncio.timeout(20):
                while {key[1] for key in informer.cache} != {*found, "after"}:
                    await asyncio.sleep(0.05)
        await informer.stop()
