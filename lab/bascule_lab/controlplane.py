"""The lab's API server: on loopback for the console and in the fabric for the nodes, with everybody's kubeconfig.

It goes away for a while when a fault says so, and comes back on the same ports with the same objects.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Sequence

from bascule_agent.netlink import in_netns
from bascule_lab.apiserver.kubeconfig import write_kubeconfig
from bascule_lab.apiserver.server import ApiServer, prepare
from bascule_lab.config import API_ADDRESS, LabConfig
from bascule_lab.faults import orders

log = logging.getLogger(__name__)
API_PORT = 6443
WATCH_S = 0.1


class ControlPlane:
    """`start`, then `stop`."""

    def __init__(self, config: LabConfig, nodes: Sequence[str]) -> None:
        self._config = config
        self._nodes = tuple(nodes)
        self._near_port = 0
        self._server: ApiServer | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Prepare credentials, write the kubeconfigs, serve. Raises StoreError, TokenFileError."""
        state = self._config.state
        credentials = prepare(state, [*self._nodes, "gateway"])
        listeners = self._listen()
        self._near_port = listeners[0].getsockname()[1]
        tokens = credentials.tokens
        people = {f"lab-{user}": tokens[user] for user in ("admin", "operator", "viewer")}
        url = f"https://127.0.0.1:{self._near_port}"
        write_kubeconfig(state / "kubeconfig", url, credentials.ca_pem, people, "lab-admin")
        for name in (*self._nodes, "gateway"):
            place = state / "gateway" if name == "gateway" else state / "nodes" / name
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            inside = f"https://{API_ADDRESS}:{API_PORT}"
            contexts = {f"agent:{name}": tokens[f"agent:{name}"]}
            write_kubeconfig(place / "kubeconfig", inside, credentials.ca_pem, contexts, f"agent:{name}")
        await self._serve(listeners)
        self._watch = asyncio.create_task(self._obey(), name="controlplane-faults")

    async def stop(self) -> None:
        """Close everything."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._server is not None:
            await self._server.stop()

    async def _serve(self, listeners: list[socket.socket]) -> None:
        self._server = ApiServer(self._config.state)
        await self._server.start(listeners)

    def _listen(self) -> list[socket.socket]:
        near = listen(None, "127.0.0.1", self._near_port)
        try:
            return [near, listen(self._config.fabric, API_ADDRESS, API_PORT)]
        except BaseException:
            near.close()
            raise

    async def _obey(self) -> None:
        """`lab fault api`: the listeners closed, open watches ended, until the time is over."""
        while True:
            until = orders.api_away_until(self._config.state)
            if until > time.time() and self._server is not None:
                log.warning("the API is away for %.1f s", until - time.time())
                await self._server.stop()
                await asyncio.sleep(max(0.0, until - time.time()))
                await self._back()
            await asyncio.sleep(WATCH_S)

    async def _back(self) -> None:
        while True:
            try:
                listeners = self._listen()
                break
            except OSError as error:  # a client may hold the port for a moment
                log.warning("the API cannot listen again: %s", error)
                await asyncio.sleep(WATCH_S)
        await self._serve(listeners)
        log.warning("the API is back")


def listen(netns: str | None, address: str, port: int) -> socket.socket:
    """A bound TCP socket in a namespace; a socket stays in the namespace it was made in."""
    return in_netns(netns, lambda: socket.create_server((address, port), backlog=64))
