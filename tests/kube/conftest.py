"""A scripted API server on plain HTTP: tests say request by request what it answers, breaks included."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from bascule_kube import Cluster

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ScriptedServer:
    """Answers each request with the next handler of `script`; the last one repeats. Keeps what was asked."""

    def __init__(self) -> None:
        self.script: list[Handler] = []
        self.requests: list[web.Request] = []
        self.bodies: list[Any] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        body = await request.read()
        self.bodies.append(json.loads(body) if body else None)
        handler = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return await handler(request)

    @staticmethod
    def reply(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Handler:
        async def handler(_: web.Request) -> web.StreamResponse:
            return web.json_response(document, status=status, headers=headers)

        return handler

    @staticmethod
    def failure(status: int, reason: str, message: str = "no", **details: Any) -> Handler:
        document = {"kind": "Status", "status": "Failure", "reason": reason, "code": status, "message": message}
        return ScriptedServer.reply(document | {"details": details}, status)

    @staticmethod
    def objects(version: int, *items: dict[str, Any]) -> Handler:
        return ScriptedServer.reply(
            {"kind": "NodeList", "metadata": {"resourceVersion": str(version)}, "items": list(items)}
        )

    @staticmethod
    def node(name: str, version: int, **spec: Any) -> dict[str, Any]:
        metadata = {"name": name, "uid": f"uid-{name}", "resourceVersion": str(version)}
        return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}

    @staticmethod
    def stream(*events: Any, reset: bool = False, hang: bool = False) -> Handler:
        """A watch that sends events (dicts, or raw bytes), then ends cleanly, by TCP reset, or not at all."""

        async def handler(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            await response.prepare(request)
            for event in events:
                await response.write(event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n")
            if hang:
                await asyncio.Event().wait()
            if reset and request.transport is not None:
                linger = struct.pack("ii", 1, 0)  # close by RST instead of FIN
                request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                request.transport.abort()
            return response

        return handler


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    scripted = ScriptedServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", scripted.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    scripted.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield scripted
    await runner.cleanup()


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Callable[[str, dict[str, Any]], Path]:
    """Writes a kubeconfig with one context `test` for a server and a user."""

    def write(server: str, user: dict[str, Any]) -> Path:
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
        }
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(document))
        return path

    return write


@pytest.fixture
async def cluster(server: ScriptedServer, kubeconfig: Callable[[str, dict[str, Any]], Path]) -> AsyncIterator[Cluster]:
    async with await Cluster.open(kubeconfig(server.url, {"token": "secret"})) as opened:
        yield opened
