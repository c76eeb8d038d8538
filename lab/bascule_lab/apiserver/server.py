"""The API on sockets: TLS, HTTP, streaming watches, and its life in the event loop.

The caller binds the sockets (a socket made after setns serves that namespace), so one server reaches every namespace.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

import yaml
from aiohttp import ClientConnectionResetError, web

from bascule_lab.apiserver.api import Api, Reply, Request
from bascule_lab.apiserver.authn import Authenticator
from bascule_lab.apiserver.body import MAX_BODY, encode
from bascule_lab.apiserver.seeding import plant
from bascule_lab.apiserver.state import ApiPaths, Credentials, prepare
from bascule_lab.apiserver.status import ApiError, bad_request
from bascule_lab.apiserver.store import Store

__all__ = ["ApiPaths", "ApiServer", "Credentials", "load_crds", "prepare"]

CRD_DIRECTORY = Path(__file__).resolve().parents[3] / "deploy" / "crds"
_WARNING_CHARS, _WARNINGS_CHARS = 256, 4096
_LOG = logging.getLogger(__name__)


class _Connection(web.RequestHandler):
    """Answers what is no HTTP with a Status too, and without a traceback in the log."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        _LOG.debug("no HTTP from %s: %s", request.remote, exc)
        text = (message or "not understood").partition("\n")[0]
        refused = _refused(bad_request(f"the request is no HTTP/1.1: {text}"))
        response = web.Response(status=refused.code, body=refused.body, content_type=refused.content_type)
        response.force_close()
        return response


class _HttpServer(web.Server):
    """Makes our connections; they are kept open long, because clients pool them."""

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=asyncio.get_running_loop(), keepalive_timeout=600)


class ApiServer:
    """Serves one prepared state directory; `start` and `stop` belong to one event loop."""

    def __init__(self, state: Path, crd_directory: Path = CRD_DIRECTORY) -> None:
        self.paths = ApiPaths(state)
        self._crd_directory = crd_directory
        self.api: Api | None = None
        self._runner: web.ServerRunner | None = None
        self._collecting: asyncio.Task[None] | None = None

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Open the store, load deploy/crds, serve TLS on these bound sockets. Raises StoreError, TokenFileError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.paths.server_cert, self.paths.server_key)
        authenticator = Authenticator.from_file(self.paths.tokens)
        self.api = Api(Store(self.paths.database), authenticator, self.paths.account_key.read_bytes())
        await load_crds(self, self._crd_directory)
        self.api.collector.sweep()
        self._collecting = asyncio.create_task(self._collect(self.api), name="apiserver-gc")
        server = _HttpServer(self._handle, handler_cancellation=True)
        self._runner = web.ServerRunner(server, shutdown_timeout=1)
        await self._runner.setup()
        for sock in sockets:
            await web.SockSite(self._runner, sock, ssl_context=context, backlog=128).start()

    async def stop(self) -> None:
        """End watches cleanly, close sockets and store. Safe after a failed start."""
        if self.api is not None:
            self.api.hub.close()
        if self._collecting is not None:
            self._collecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._collecting
        if self._runner is not None:
            await self._runner.cleanup()
        if self.api is not None:
            self.api.store.close()
        self.api = self._runner = self._collecting = None

    async def _collect(self, api: Api) -> None:
        try:
            await api.collector.run()
        except Exception:
            _LOG.exception("the garbage collector stopped")
            raise

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        reply = await self._reply(request)
        headers = [("Warning", text) for text in _warning_headers(reply.warnings)]
        if reply.stream is not None:
            return await _stream(request, reply)
        response = web.Response(status=reply.code, body=reply.body, content_type=reply.content_type)
        response.headers.extend(headers)
        return response

    async def _reply(self, request: web.BaseRequest) -> Reply:
        if self.api is None:
            return _refused(ApiError(503, "ServiceUnavailable", "the server is stopping"))
        try:
            body = await _read_body(request)
            return self.api.answer(Request(request.method, request.raw_path, request.headers, body))
        except ApiError as error:
            return _refused(error)
        except RecursionError:
            return _refused(bad_request("the body is nested too deeply"))
        except Exception as error:
            _LOG.exception("%s %s", request.method, request.raw_path)
            text = f"Internal error occurred: {type(error).__name__}: {error}"
            return _refused(ApiError(500, "InternalError", text))


async def load_crds(server: ApiServer, directory: Path = CRD_DIRECTORY) -> list[str]:
    """Create or update the CRDs of a directory's YAML files; returns their names. Called by `start`.

    Raises ApiError (with the Status's message) for a file that is no valid CRD.
    """
    api = server.api
    assert api is not None, "the store is open"
    documents = (yaml.load(path.read_text(), yaml.CSafeLoader) for path in sorted(directory.glob("*.yaml")))
    return plant(api.store, api.registry, api.pipeline, documents)


async def _read_body(request: web.BaseRequest) -> bytes:
    parts, size = [], 0
    async for part in request.content.iter_any():
        size += len(part)
        if size > MAX_BODY:
            text = f"Request entity too large: limit is {MAX_BODY}"
            raise ApiError(413, "RequestEntityTooLarge", text)
        parts.append(part)
    return b"".join(parts)


def _refused(error: ApiError) -> Reply:
    return Reply(error.code, encode(error.status()))


async def _stream(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    assert reply.stream is not None
    try:
        async for chunk in reply.stream:
            if chunk:
                await response.write(chunk)
    except (ClientConnectionResetError, ConnectionResetError):
        return response
    finally:
        await reply.stream.aclose()
    await response.write_eof()
    return response


def _warning_headers(warnings: list[str]) -> list[str]:
    """RFC 7234 texts, escaped to one line of ASCII; cut like kube-apiserver's."""
    headers, room = [], _WARNINGS_CHARS
    for text in warnings:
        plain = text.encode("ascii", "backslashreplace").decode()
        plain = "".join(char if char.isprintable() else "?" for char in plain)[: min(_WARNING_CHARS, room)]
        room -= len(plain)
        if not plain:
            break
        escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
        headers.append(f'299 - "{escaped}"')
    return headers
