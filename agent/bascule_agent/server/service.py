"""The gRPC methods: authenticate, delegate, translate. Nothing is decided here.

What a method needs comes as a small protocol, so that a node and a probe point serve the same service with what each
has; a method whose part is absent answers UNIMPLEMENTED and says who would have it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Set
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, TypeVar

import grpc
import grpc.aio

from bascule.errors import BasculeError, RefusedError, UnreachableError, UsageError
from bascule.protocol.gen import agent_pb2 as pb
from bascule.protocol.gen import agent_pb2_grpc as rpc
from bascule_agent.flows.hub import Hub
from bascule_agent.flows.recorder import Recorder
from bascule_agent.probes.errors import ProbeLimitError
from bascule_agent.server.auth import METHODS, Gate, UnauthenticatedError
from bascule_agent.server.flows import StalledError, batches, deliver, rules_in

T = TypeVar("T")
Context = grpc.aio.ServicerContext[Any, Any]


class Moves(Protocol):
    """What `Moves` and `SourceHalf` delegate to (bascule_agent.moves)."""

    def stream(self, request: pb.MovesRequest) -> AsyncIterator[pb.MoveRecord]:
        """Records owned here, newest first, then every change when `follow`."""

    async def source_half(self, migration_uid: str) -> str:
        """JSON of what this node did as the source; UsageError when it knows no such move."""

    async def view(self, mac: str, network: str, vlan: int) -> str:
        """JSON of where this node's bridge of a VLAN has a MAC."""


class Probes(Protocol):
    """What `Probe` delegates to (bascule_agent.probes.Prober)."""

    def stream(self, request: pb.ProbeRequest) -> AsyncIterator[pb.ProbeBatch]:
        """Probe until the stream is closed or `seconds` have passed."""


class Trunks(Protocol):
    """What the trunk methods delegate to (bascule_agent.apply.trunks.Trunks)."""

    async def prove(self, network: str, vlans: Set[int], mtu: int) -> list[dict[str, Any]]: ...
    async def candidates(self, seconds: float) -> list[dict[str, Any]]: ...
    async def plan(self, document: str) -> dict[str, Any]: ...
    def answer(self, change: str, keep: bool, who: str) -> dict[str, Any]: ...


class Policies(Protocol):
    """What policy's methods delegate to (bascule_agent.policy.serve.PolicyService)."""

    async def document(self) -> dict[str, Any]: ...
    async def hand_over(self, mac: str, vlan: int, last: bool) -> tuple[str, bytes]: ...
    def names(self, rules: Iterable[int]) -> dict[int, str]: ...


@dataclass(frozen=True)
class Parts:
    """What this process can answer with."""

    name: str
    report: Callable[[], Awaitable[dict[str, Any]]] | None = None
    flows: Hub | None = None
    moves: Moves | None = None
    probes: Probes | None = None
    trunks: Trunks | None = None
    policies: Policies | None = None
    history: Recorder | None = None


class Service(rpc.AgentServicer):
    """bascule.agent.v1.Agent for one node or probe point."""

    def __init__(self, parts: Parts, gate: Gate) -> None:
        self._parts, self._gate = parts, gate

    async def Node(self, request: pb.NodeRequest, context: Context) -> pb.NodeReport:
        """The node's report as JSON."""
        await self._admit("Node", context)
        if self._parts.report is None:
            await self._absent("Node", context)
        return pb.NodeReport(json=json.dumps(await self._parts.report()))

    async def Flows(self, request: pb.FlowsRequest, context: Context) -> None:
        """The last minute or the history, then every drain; what surely does not match the filter stays here."""
        await self._admit("Flows", context)
        if self._parts.flows is None:
            await self._absent("Flows", context)
        try:
            async with aclosing(batches(self._parts.name, self._parts.flows, self._parts.history, request)) as messages:
                async for message in messages:
                    if self._parts.policies is not None:
                        message.rules.update(self._parts.policies.names(rules_in(message)))
                    await deliver(context, message)
        except BasculeError as error:
            await _abort(context, error)

    async def Moves(self, request: pb.MovesRequest, context: Context) -> AsyncIterator[pb.MoveRecord]:
        """Move records owned here."""
        await self._admit("Moves", context)
        if self._parts.moves is None:
            await self._absent("Moves", context)
        async for record in self._parts.moves.stream(request):
            yield record

    async def Probe(self, request: pb.ProbeRequest, context: Context) -> AsyncIterator[pb.ProbeBatch]:
        """Probes from here."""
        await self._admit("Probe", context)
        if self._parts.probes is None:
            await self._absent("Probe", context)
        try:
            async for batch in self._parts.probes.stream(request):
                yield batch
        except BasculeError as error:
            await _abort(context, error)

    async def SourceHalf(self, request: pb.SourceHalfRequest, context: Context) -> pb.SourceHalfReply:
        """What this node did as the source of a move."""
        await self._admit("SourceHalf", context)
        if self._parts.moves is None:
            await self._absent("SourceHalf", context)
        try:
            if request.mac:
                text = await self._parts.moves.view(request.mac, request.network, request.vlan)
                return pb.SourceHalfReply(json=text)
            return pb.SourceHalfReply(json=await self._parts.moves.source_half(request.migration_uid))
        except BasculeError as error:
            await _abort(context, error)

    async def Policies(self, request: pb.PoliciesRequest, context: Context) -> pb.PoliciesReply:
        """What policy is in force at this node's NICs."""
        await self._admit("Policies", context)
        if self._parts.policies is None:
            await self._absent("Policies", context)
        return pb.PoliciesReply(json=json.dumps(await _tell(context, self._parts.policies.document())))

    async def Handover(self, request: pb.HandoverRequest, context: Context) -> pb.HandoverReply:
        """The connections and counters of a NIC here."""
        await self._admit("Handover", context)
        if self._parts.policies is None:
            await self._absent("Handover", context)
        handing = self._parts.policies.hand_over(request.mac, request.vlan, request.last)
        told, connections = await _tell(context, handing)
        return pb.HandoverReply(json=told, connections=connections)

    async def TrunkProof(self, request: pb.TrunkProofRequest, context: Context) -> pb.TrunkProofReply:
        """The proof of this node's trunks."""
        _, trunks = await self._trunks("TrunkProof", context)
        cells = await _tell(context, trunks.prove(request.network, set(request.vlans), request.mtu))
        return pb.TrunkProofReply(json=json.dumps(cells))

    async def Candidates(self, request: pb.CandidatesRequest, context: Context) -> pb.CandidatesReply:
        """Links that could be a trunk."""
        _, trunks = await self._trunks("Candidates", context)
        return pb.CandidatesReply(json=json.dumps(await _tell(context, trunks.candidates(request.listen_seconds))))

    async def Plan(self, request: pb.PlanRequest, context: Context) -> pb.PlanReply:
        """What this node would do."""
        _, trunks = await self._trunks("Plan", context)
        return pb.PlanReply(json=json.dumps(await _tell(context, trunks.plan(request.network_json))))

    async def Confirm(self, request: pb.ChangeRequest, context: Context) -> pb.ChangeReply:
        """Keep the change that waits."""
        return await self._answer("Confirm", request, context)

    async def Rollback(self, request: pb.ChangeRequest, context: Context) -> pb.ChangeReply:
        """Take the change that waits back."""
        return await self._answer("Rollback", request, context)

    async def _answer(self, method: str, request: pb.ChangeRequest, context: Context) -> pb.ChangeReply:
        user, trunks = await self._trunks(method, context)
        try:
            return pb.ChangeReply(json=json.dumps(trunks.answer(request.change, method == "Confirm", user)))
        except BasculeError as error:
            await _abort(context, error)

    async def _trunks(self, method: str, context: Context) -> tuple[str, Trunks]:
        user = await self._admit(method, context)
        if self._parts.trunks is None:
            await self._absent(method, context)
        return user, self._parts.trunks

    async def _admit(self, method: str, context: Context) -> str:
        metadata = {key.lower(): value for key, value in context.invocation_metadata() or ()}
        authorization = metadata.get("authorization")
        try:
            return await self._gate.check(authorization if isinstance(authorization, str) else None, METHODS[method])
        except BasculeError as error:
            await _abort(context, error)

    async def _absent(self, method: str, context: Context) -> NoReturn:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{self._parts.name} does not serve {method}")
        raise AssertionError("abort raises")


async def _tell(context: Context, answer: Awaitable[T]) -> T:
    try:
        return await answer
    except BasculeError as error:
        await _abort(context, error)


async def _abort(context: Context, error: BasculeError) -> NoReturn:
    await context.abort(status_of(error), str(error))
    raise AssertionError("abort raises")


def status_of(error: BasculeError) -> grpc.StatusCode:
    """The gRPC status of an error."""
    kinds: tuple[tuple[type[BasculeError], grpc.StatusCode], ...] = (
        (ProbeLimitError, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (StalledError, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (UnauthenticatedError, grpc.StatusCode.UNAUTHENTICATED),
        (RefusedError, grpc.StatusCode.PERMISSION_DENIED),
        (UsageError, grpc.StatusCode.INVALID_ARGUMENT),
        (UnreachableError, grpc.StatusCode.UNAVAILABLE),
    )
    return next((code for kind, code in kinds if isinstance(error, kind)), grpc.StatusCode.INTERNAL)
