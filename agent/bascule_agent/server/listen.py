"""Serve the agent's socket: a unix socket in a directory of its own that only root may enter."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import grpc
import grpc.aio

from bascule.errors import UsageError
from bascule.protocol.gen import agent_pb2_grpc as rpc
from bascule_agent.errors import AgentError
from bascule_agent.server.service import Service

SOCKET_PATH_BYTES = 107  # sun_path without its NUL
STOP_GRACE_SECONDS = 0.2


class Listener:
    """The running server; `target` is what the Node's annotation publishes."""

    def __init__(self, server: grpc.aio.Server, path: Path) -> None:
        self._server, self._path = server, path

    @property
    def target(self) -> str:
        """gRPC target, `unix:/…`."""
        return f"unix:{self._path}"

    async def stop(self) -> None:
        """End streams and remove the socket."""
        await self._server.stop(STOP_GRACE_SECONDS)
        self._path.unlink(missing_ok=True)


async def listen(service: Service, path: Path) -> Listener:
    """Serve `service` on the unix socket `path`; a dead agent's socket there is replaced.

    Errors: UsageError for a path no socket can have, AgentError when it cannot be bound.
    """
    path = path.absolute()
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES:
        raise UsageError(f"--socket {path} is too long", f"a unix socket's path has at most {SOCKET_PATH_BYTES} bytes")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
        raise UsageError(f"--socket {path} exists and is no socket", fix="name another path, or remove the file")
    path.unlink(missing_ok=True)
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_concurrent_streams", 128)])
    rpc.add_AgentServicer_to_server(service, server)  # type: ignore[no-untyped-call]  # generated
    before = os.umask(0o177)
    try:
        server.add_insecure_port(f"unix:{path}")
        await server.start()
    except RuntimeError as error:
        raise AgentError(f"cannot serve on {path}", str(error), "check the directory and its file system") from error
    finally:
        os.umask(before)
    return Listener(server, path)
