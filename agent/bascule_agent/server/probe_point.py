"""A vantage point: serves Probe from the namespace it runs in, and nothing else."""

from __future__ import annotations

import asyncio
import logging
import signal
from pathlib import Path

from bascule_agent.probes import Prober
from bascule_agent.server.auth import Gate
from bascule_agent.server.listen import listen
from bascule_agent.server.service import Parts, Service
from bascule_kube.cluster import Cluster

log = logging.getLogger("bascule_agent")


def run(name: str, kubeconfig: Path, socket: Path) -> int:
    """Serve until SIGTERM or SIGINT. Registering it as a vantage point is its starter's business."""
    asyncio.run(_serve(name, kubeconfig, socket))
    return 0


async def _serve(name: str, kubeconfig: Path, socket: Path) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with await Cluster.open(kubeconfig) as cluster:
        listener = await listen(Service(Parts(name, probes=Prober(name)), Gate(name, cluster.create)), socket)
        log.info("probe point %s serves on %s", name, listener.target)
        await stop.wait()
        await listener.stop()
