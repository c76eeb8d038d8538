"""The console's client of the node agents: reports, flow batches, move records, over gRPC.

An agent is dialled at what its Node publishes. Every call carries the kubeconfig user's bearer token, which the agent
has reviewed by the API server. A plain connection is only ever made to a unix socket, where the kernel, not TLS, says
who is at the other end.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bascule.errors import RefusedError, UnreachableError
from bascule_console.store.nodes import AgentTarget

if TYPE_CHECKING:
    import grpc

    from bascule.flows.drops import LinkDrops
    from bascule.flows.names import PortId
    from bascule.flows.store import Batch

# Read when grpc is imported. A library that forks (libvirt, for ssh) would have gRPC write on the screen at each fork;
# nothing here forks to go on with gRPC in the child.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
CALL_TIMEOUT_S = 5.0
HISTORY_TIMEOUT_S = 120.0  # a day of a busy node is a quarter of a gigabyte to look through
MAX_MESSAGE = 64 << 20


class AgentError(UnreachableError):
    """An agent that does not answer, or answers with something that cannot be read."""


class AgentRefused(RefusedError):
    """An agent that does not accept this user."""


@dataclass(frozen=True)
class MoveUpdate:
    """One state of a move record; `complete` when nothing more will be added to it."""

    migration_uid: str
    complete: bool
    record: dict[str, Any]


class Agents:
    """Channels to agents, one per target, made when first needed. `token` gives the bearer token to present."""

    def __init__(self, token: Callable[[], Awaitable[str]]) -> None:
        self._token = token
        self._channels: dict[str, grpc.aio.Channel] = {}

    async def close(self) -> None:
        """Close every channel."""
        channels, self._channels = list(self._channels.values()), {}
        for channel in channels:
            await channel.close(grace=None)

    async def node_report(self, agent: AgentTarget) -> dict[str, Any]:
        """The node as its agent sees it: DESIGN section 6's `nodes list` object. Raises AgentError, AgentRefused."""
        from bascule.protocol.gen import agent_pb2

        with _named(agent):
            stub, metadata = await self._dial(agent)
            reply = await stub.Node(agent_pb2.NodeRequest(), metadata=metadata, timeout=CALL_TIMEOUT_S)
        return _document(agent, reply.json)

    async def flows(
        self, agent: AgentTarget, history_seconds: float, *, follow: bool, wanted: str = "", since_ns: int = 0
    ) -> AsyncGenerator[Batch, None]:
        """Flow batches: the last minute first, then, with `follow`, each drain until the stream breaks.

        `wanted` is a filter; the agent leaves out what surely does not match. With `since_ns` (CLOCK_REALTIME) it is
        the node's history since then instead, folded per flow.
        """
        from bascule.protocol.gen import agent_pb2

        request = agent_pb2.FlowsRequest(
            history_seconds=history_seconds, follow=follow, filter=wanted, since_ns=since_ns
        )
        with _named(agent):
            stub, metadata = await self._dial(agent)
            timeout = None if follow else HISTORY_TIMEOUT_S if since_ns else CALL_TIMEOUT_S
            async for message in stub.Flows(request, metadata=metadata, timeout=timeout):
                yield decode_batch(agent, message)

    async def moves(
        self, agent: AgentTarget, *, namespace: str = "", vm: str = "", migration_uid: str = "", follow: bool = False
    ) -> AsyncGenerator[MoveUpdate, None]:
        """Move records that the node owns, newest first; with `follow` every later change too."""
        from bascule.protocol.gen import agent_pb2

        request = agent_pb2.MovesRequest(follow=follow, vm=vm, namespace=namespace, migration_uid=migration_uid)
        with _named(agent):
            stub, metadata = await self._dial(agent)
            timeout = None if follow else CALL_TIMEOUT_S
            async for message in stub.Moves(request, metadata=metadata, timeout=timeout):
                yield MoveUpdate(message.migration_uid, message.complete, _document(agent, message.json))

    async def probe(
        self, agent: AgentTarget, address: str, *, seconds: float, interval_ms: float
    ) -> dict[int, tuple[int, int | None]]:
        """Probe an IPv4 address by ICMP from where the agent stands: seq → (sent, answered or None), CLOCK_REALTIME ns.

        Raises AgentError, AgentRefused (also without the right to probe), and AgentError when it cannot send at all.
        """
        from bascule.protocol.gen import agent_pb2

        request = agent_pb2.ProbeRequest(address=address, kind="icmp", interval_ms=interval_ms, seconds=seconds)
        found: dict[int, tuple[int, int | None]] = {}
        with _named(agent):
            stub, metadata = await self._dial(agent)
            async for batch in stub.Probe(request, metadata=metadata, timeout=seconds + CALL_TIMEOUT_S):
                if batch.error:
                    raise AgentError(f"{agent.node} cannot probe {address}", cause=batch.error)
                for seq, tx_ns, rx_ns in zip(batch.seq, batch.tx_ns, batch.rx_ns, strict=True):
                    found[seq] = (tx_ns, rx_ns or None)
        return found

    async def _dial(self, agent: AgentTarget) -> tuple[Any, tuple[tuple[str, str], ...]]:
        import grpc

        from bascule.protocol.gen import agent_pb2_grpc

        if not agent.target.startswith("unix:"):
            raise AgentError(
                f"the agent of {agent.node} publishes {agent.target}, which is no unix socket",
                cause="this console does not speak TLS to agents yet, and never speaks without it over a network",
                fix="run the console where the agent's socket is",
            )
        channel = self._channels.get(agent.target)
        if channel is None:
            options = [("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.enable_http_proxy", 0)]
            channel = self._channels[agent.target] = grpc.aio.insecure_channel(agent.target, options=options)
        stub = agent_pb2_grpc.AgentStub(channel)  # type: ignore[no-untyped-call]
        return stub, (("authorization", f"Bearer {await self._token()}"),)


def decode_batch(agent: AgentTarget, message: Any) -> Batch:
    """A FlowBatch message as the store takes it; the records stay one numpy array over the message's bytes."""
    import numpy as np

    from bascule.flows.extent import Extent
    from bascule.flows.ledger import Ledger
    from bascule.flows.record import RECORD
    from bascule.flows.store import Batch

    if len(message.records) % RECORD.itemsize:
        raise AgentError(
            f"the agent of {agent.node} sent {len(message.records)} bytes of flow records",
            cause=f"a record has {RECORD.itemsize} bytes, so the agent speaks another layout",
            fix="run the same version of console and agent",
        )
    node = message.node or agent.node
    ports = tuple(_port(node, port) for port in message.ports)
    told = message.ledger
    ledger = Ledger(told.seen, told.sent, dict(told.lost), told.filtered)
    extent = Extent(**{f.name: v for f, v in message.history.ListFields()}) if message.HasField("history") else None
    records = np.frombuffer(message.records, RECORD)
    drops = _drops(message.drops) if message.HasField("drops") else None
    return Batch(node, message.time_ns, records, ports, ledger, extent, dict(message.rules), drops)


def _drops(told: Any) -> LinkDrops:
    from bascule.flows.drops import LinkDrop, LinkDrops

    found = (
        LinkDrop(each.link, each.ifindex, each.by, each.reason, each.packets, each.bytes, each.last_ns)
        for each in told.found
    )
    return LinkDrops(told.since_ns, told.absent, tuple(found))


def _port(node: str, port: Any) -> PortId:
    from bascule.flows.names import PortId

    where = (port.network, port.vlan, port.mac.lower(), port.ip)
    return PortId(node, port.ifindex, port.vm, port.namespace, port.nic, *where, tuple(sorted(port.labels.items())))


def _document(agent: AgentTarget, text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except ValueError as error:
        raise AgentError(f"the agent of {agent.node} sent broken JSON", cause=str(error)) from error
    if not isinstance(document, dict):
        raise AgentError(f"the agent of {agent.node} sent JSON that is no object", cause=text[:80])
    return document


class _named:
    """Turns gRPC's errors into ours, which say whose agent it was."""

    def __init__(self, agent: AgentTarget) -> None:
        self._agent = agent

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        import grpc

        if not isinstance(error, grpc.RpcError):
            return
        code, details = error.code(), error.details() or ""
        agent = self._agent
        if code in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED):
            raise AgentRefused(
                f"the agent of {agent.node} refused this user",
                cause=details,
                fix="use a context whose user may get agents.bascule.dev on this node",
            ) from error
        raise AgentError(
            f"the agent of {agent.node} does not answer",
            cause=f"{code.name.lower().replace('_', ' ')} at {agent.target}: {details}",
            fix="look at its log; on the node: bascule-agent status",
        ) from error
