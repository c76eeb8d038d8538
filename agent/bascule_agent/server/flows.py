"""`Flows` as it travels: drains and history pieces as messages, and a viewer that does not read is dropped.

A stream that nobody reads holds its queue's memory for ever, so a message that is not taken within STALL_SECONDS ends
that stream. The others never notice: each has a queue of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import grpc
import grpc.aio
import numpy as np

from bascule.errors import UsageError
from bascule.flows.drops import LinkDrops
from bascule.flows.extent import Extent
from bascule.flows.filter import read_filter
from bascule.flows.names import PortId
from bascule.flows.record import RECORD
from bascule.protocol.gen import agent_pb2 as pb
from bascule_agent.errors import AgentError
from bascule_agent.flows.clock import kernel_clock
from bascule_agent.flows.hub import Drain, Hub, split
from bascule_agent.flows.recorder import Recorder

STALL_SECONDS = 15.0
Context = grpc.aio.ServicerContext[Any, Any]


class StalledError(AgentError):
    """A viewer that does not read."""


async def batches(
    node: str, hub: Hub, history: Recorder | None, request: pb.FlowsRequest
) -> AsyncGenerator[pb.FlowBatch, None]:
    """The messages of one `Flows` call. Raises UsageError for a filter that does not parse, or a bad request."""
    wanted = read_filter(request.filter)
    if not request.since_ns:
        async with aclosing(hub.stream(request.history_seconds, request.follow, wanted)) as drains:
            async for drain in drains:
                for piece in split(drain):
                    yield flow_batch(node, piece)
        return
    if history is None or request.follow:
        raise UsageError("since_ns asks a history, which does not follow" if request.follow else "no history here")
    async with aclosing(history.read(request.since_ns, wanted)) as pieces:
        async for drain, extent in pieces:
            for piece in split(replace(drain, drops=hub.last.drops)):  # the history has records only
                yield flow_batch(node, piece, extent)


def rules_in(message: pb.FlowBatch) -> list[int]:
    """The rule ids in a message's records, without 0."""
    found = np.unique(np.frombuffer(message.records, RECORD)["rule"])
    return [int(rule) for rule in found if rule]


async def deliver(context: Context, message: pb.FlowBatch, patience: float = STALL_SECONDS) -> None:
    """Write one message. Raises StalledError when the viewer has not taken it in time."""
    try:
        await asyncio.wait_for(context.write(message), patience)
    except TimeoutError:
        raise StalledError(
            f"dropped: this viewer has read nothing for {patience:g} s",
            cause="its flow stream is full, and what it does not read would be kept for it",
            fix="read faster, or ask for less with a filter",
        ) from None


def clock_message() -> pb.Clock:
    """This node's clock as every stream carries it."""
    clock = kernel_clock()
    return pb.Clock(offset_ns=clock.offset_ns, error_ns=clock.error_ns, source=clock.source)


def flow_batch(node: str, drain: Drain, extent: Extent | None = None) -> pb.FlowBatch:
    """One drain, or one piece of the history, as it travels."""
    ledger = drain.ledger
    return pb.FlowBatch(
        node=node,
        time_ns=drain.time_ns,
        records=drain.records.tobytes(),
        ports=[_port(port) for port in drain.ports],
        ledger=pb.Ledger(seen=ledger.seen, sent=ledger.sent, lost=dict(ledger.lost), filtered=ledger.filtered),
        clock=clock_message(),
        history=pb.History(**vars(extent)) if extent else None,
        drops=_drops(drain.drops),
    )


def _drops(drops: LinkDrops) -> pb.LinkDrops:
    found = [pb.LinkDrop(**vars(each)) for each in drops.found]
    return pb.LinkDrops(since_ns=drops.since_ns, absent=drops.absent, found=found)


def _port(port: PortId) -> pb.Port:
    fields = {name: value for name, value in vars(port).items() if name not in ("node", "labels")}
    return pb.Port(**fields, labels=dict(port.labels))
