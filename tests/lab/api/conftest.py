"""The lab's API server on loopback, in this process, and a plain aiohttp client for each of its users."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bascule_lab.apiserver.server import ApiServer, prepare

MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


@dataclass
class Answer:
    """Status code, decoded body, Warning headers."""

    code: int
    body: Any
    warnings: list[str] = field(default_factory=list)

    @property
    def reason(self) -> str:
        return str(self.body.get("reason", ""))


class ApiClient:
    """Requests as one user."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self._session = session
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def __call__(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Answer:
        raw = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        data = None if raw is None else io.BytesIO(raw)
        headers = {**self._headers, **({"Content-Type": kind} if body is not None else {})}
        async with self._session.request(method, self._url + path, data=data, headers=headers) as response:
            raw = await response.read()
            document = json.loads(raw) if response.content_type == "application/json" else raw
            return Answer(response.status, document, response.headers.getall("Warning", []))

    async def merge(self, path: str, body: Any) -> Answer:
        return await self("PATCH", path, body, MERGE)

    async def apply(self, path: str, body: Any, query: str = "") -> Answer:
        return await self("PATCH", f"{path}?fieldManager=test{query}", body, APPLY)

    @asynccontextmanager
    async def watch(self, path: str) -> AsyncIterator[Watch]:
        async with self._session.get(self._url + path, headers=self._headers) as response:
            assert response.status == 200, await response.text()
            yield Watch(response)


class Watch:
    """An open watch; `next` gives one decoded event, None at its end."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> dict[str, Any] | None:
        async with asyncio.timeout(5):
            line = await self.response.content.readline()
        return json.loads(line) if line else None

    async def types(self, count: int) -> list[tuple[str, str]]:
        """(type, name) of the next `count` events."""
        events = [await self.next() for _ in range(count)]
        return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events if event]


@dataclass
class RunningApi:
    """A server and one client per user name ("" is nobody)."""

    server: ApiServer
    state: Path
    port: int
    session: aiohttp.ClientSession
    tokens: dict[str, str]

    def client(self, user: str = "admin") -> ApiClient:
        return ApiClient(self.session, f"https://127.0.0.1:{self.port}", self.tokens.get(user, ""))


@asynccontextmanager
async def running_api(state: Path) -> AsyncIterator[RunningApi]:
    """Serve a state directory; used again on the same directory it is a restart."""
    credentials = prepare(state, ["node1", "node2"])
    context = ssl.create_default_context(cadata=credentials.ca_pem)
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        server = ApiServer(state)
        stack.push_async_callback(server.stop)
        await server.start([listener])
        connector = aiohttp.TCPConnector(ssl=context, limit=0)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, read_bufsize=2**22))
        yield RunningApi(server, state, listener.getsockname()[1], session, dict(credentials.tokens))


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[RunningApi]:
    async with running_api(tmp_path / "state") as running:
        for name in ("default", "vms"):
            document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            answer = await running.client()("POST", "/api/v1/namespaces", document)
            assert answer.code == 201, answer.body
        yield running


@pytest.fixture
def restart_api() -> Any:
    """`running_api`, for tests that stop a server and start it again on the same directory."""
    return running_api


@asynccontextmanager
async def process(state: Path, port: int, nodes: tuple[str, ...] = ()) -> AsyncIterator[asyncio.subprocess.Process]:
    """The API as a process of its own, where the calling thread is; ready when this is entered."""
    command = [sys.executable, "-m", "bascule_lab.apiserver", "--state", str(state), "--port", str(port)]
    for node in nodes:
        command += ["--node", node]
    child = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    try:
        assert child.stderr is not None
        assert (await child.stderr.readline()).startswith(b"serving https://")
        yield child
    finally:
        if child.returncode is None:
            child.send_signal(signal.SIGTERM)
        await child.wait()


@pytest.fixture
def api_process() -> Any:
    """`process`, for tests that kill the server and start it again on the same directory and port."""
    return process


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
