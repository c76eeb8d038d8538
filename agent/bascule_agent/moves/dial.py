"""Calls from this agent to others: probes from a vantage point, the source's half of a move.

Unix sockets are dialled without TLS (they do not leave the machine), everything else with; the bearer token goes with
every call. One channel per call: a move makes a handful, and a channel that outlives its peer only delays the next.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, Protocol

import grpc
import grpc.aio

from bascule.errors import UnreachableError
from bascule.protocol.gen import agent_pb2 as pb
from bascule.protocol.gen import agent_pb2_grpc as rpc

AGENT_ANNOTATION = "bascule.dev/agent"
_OPTIONS = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))


class Dial(Protocol):
    """What the tracker asks of other agents; `target` is a gRPC target (`unix:/…` or `host:port`)."""

    def probe(self, target: str, request: pb.ProbeRequest) -> AsyncGenerator[pb.ProbeBatch, None]:
        """Batches until the caller closes the iterator; UnreachableError when the other side is gone or refuses."""

    async def source_half(self, target: str, migration_uid: str, seconds: float) -> str:
        """JSON of the source's half; UnreachableError when it does not answer within `seconds`, or refuses."""

    async def view(self, target: str, request: pb.SourceHalfRequest, seconds: float) -> str:
        """JSON of where that node's bridge has a MAC (FdbView.look); UnreachableError as above."""


class AgentClient:
    """The real one; `token` gives this agent's own bearer token, fresh at every call."""

    def __init__(self, token: Callable[[], Awaitable[str]]) -> None:
        self._token = token

    async def probe(self, target: str, request: pb.ProbeRequest) -> AsyncGenerator[pb.ProbeBatch, None]:
        """See Dial."""
        async with _channel(target) as channel:
            try:
                call = _stub(channel).Probe(request, metadata=await self._metadata())
                async for batch in call:
                    yield batch
            except grpc.aio.AioRpcError as error:
                raise _unreachable(target, error) from error

    async def source_half(self, target: str, migration_uid: str, seconds: float) -> str:
        """See Dial."""
        return await self.view(target, pb.SourceHalfRequest(migration_uid=migration_uid), seconds)

    async def view(self, target: str, request: pb.SourceHalfRequest, seconds: float) -> str:
        """See Dial."""
        async with _channel(target) as channel:
            try:
                metadata = await self._metadata()
                reply = await _stub(channel).SourceHalf(request, metadata=metadata, timeout=seconds)
            except grpc.aio.AioRpcError as error:
                raise _unreachable(target, error) from error
            return str(reply.json)

    async def handover(self, target: str, request: pb.HandoverRequest, seconds: float) -> pb.HandoverReply:
        """A NIC's connections and counters; UnreachableError as with `source_half`."""
        async with _channel(target) as channel:
            try:
                metadata = await self._metadata()
                reply: pb.HandoverReply = await _stub(channel).Handover(request, metadata=metadata, timeout=seconds)
            except grpc.aio.AioRpcError as error:
                raise _unreachable(target, error) from error
            return reply

    async def _metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {await self._token()}"),)


def agent_target(node: Mapping[str, Any]) -> str:
    """The gRPC target in a Node's annotation `bascule.dev/agent`; UnreachableError when there is none to read."""
    metadata = node.get("metadata") or {}
    name = metadata.get("name", "?")
    text = (metadata.get("annotations") or {}).get(AGENT_ANNOTATION)
    if not text:
        raise UnreachableError(f"node {name} has no annotation {AGENT_ANNOTATION}", fix="start the agent there")
    return target_of(str(text), f"node {name}, annotation {AGENT_ANNOTATION}")


def target_of(text: str, where: str) -> str:
    """`target` of a JSON object; UnreachableError naming `where` when it is not there."""
    try:
        target = json.loads(text)["target"]
    except (ValueError, TypeError, KeyError) as error:
        raise UnreachableError(
            f"{where}: no target", cause=f"{type(error).__name__}: {error}", fix='write {"target":"unix:/…"}'
        ) from error
    if not isinstance(target, str) or not target:
        raise UnreachableError(f"{where}: target is not a name", fix='write {"target":"unix:/…"}')
    return target


def _channel(target: str) -> grpc.aio.Channel:
    if target.startswith("unix:"):
        return grpc.aio.insecure_channel(target, options=_OPTIONS)
    return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(), options=_OPTIONS)


def _stub(channel: grpc.aio.Channel) -> rpc.AgentStub:
    return rpc.AgentStub(channel)  # type: ignore[no-untyped-call]


def _unreachable(target: str, error: grpc.aio.AioRpcError) -> UnreachableError:
    return UnreachableError(f"{target}: {error.code().name.lower().replace('_', ' ')}", cause=error.details() or "")
