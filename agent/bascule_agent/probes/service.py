"""The Probe RPC without its transport: one request in, a ProbeBatch every 100 ms out, bounded in number.

The agent's server and `bascule-agent probe-point` both delegate here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from bascule.protocol.gen.agent_pb2 import Clock, ProbeBatch, ProbeRequest
from bascule_agent.flows.clock import kernel_clock
from bascule_agent.probes.arp import ArpProber, Way
from bascule_agent.probes.errors import ProbeError, ProbeLimitError
from bascule_agent.probes.icmp import IcmpProber
from bascule_agent.probes.ledger import Drained
from bascule_agent.probes.tcp_echo import TcpEchoProber

DEFAULT_INTERVAL_MS = {"icmp": 5.0, "arp": 5.0, "tcp-echo": 20.0}
MIN_INTERVAL_MS = 1.0
MAX_INTERVAL_MS = 60_000.0
LIMIT = 64
BATCH_SECONDS = 0.1
LINGER_SECONDS = 0.5


class Probing(Protocol):
    """What a prober needs of a kind of probe."""

    def start(self) -> None: ...
    def stop_sending(self) -> None: ...
    def drain(self) -> Drained: ...
    def stop(self) -> None: ...
    @property
    def finished(self) -> bool: ...


class Prober:
    """Probes from the vantage point `name`, at most `limit` at a time, in the namespace of this process."""

    def __init__(self, name: str, limit: int = LIMIT, way: Callable[[str, int], Way | None] | None = None) -> None:
        """`way` gives the link that leads into a Network's VLAN here, None when there is none; without it ARP goes out
        where the address is routed."""
        self._name = name
        self._limit = limit
        self._way = way
        self._running = 0

    async def stream(self, request: ProbeRequest) -> AsyncIterator[ProbeBatch]:
        """Probe until cancelled, or for `request.seconds`, then 0.5 s more for late answers.

        The first batch comes at once, so that a caller knows it has begun. A tcp-echo stream ends with its session.
        `duplicates` counts since the batch before. Raises ProbeError for a bad request, ProbeLimitError when too many
        run, ProbeSocketError when the kernel refuses.
        """
        kind, interval_ms = check(request)
        if self._running >= self._limit:
            raise ProbeLimitError(
                f"{self._running} probes run here already", fix="wait until a move has ended, or cancel another probe"
            )
        self._running += 1
        try:
            probing = self._make(kind, request, interval_ms)
            try:
                probing.start()
                async for drained in _drains(probing, request.seconds):
                    yield self._batch(drained)
            finally:
                await asyncio.shield(asyncio.to_thread(probing.stop))
        finally:
            self._running -= 1

    def _make(self, kind: str, request: ProbeRequest, interval_ms: float) -> Probing:
        if kind == "icmp":
            return IcmpProber(request.address, interval_ms)
        if kind == "tcp-echo":
            return TcpEchoProber(request.address, interval_ms)
        way = None
        if request.network:
            way = self._way(request.network, request.vlan) if self._way else None
            if way is None:
                raise ProbeError(
                    f"{self._name} has no link into VLAN {request.vlan} of Network {request.network}",
                    fix="bascule trunks prove",
                )
        return ArpProber(request.address, interval_ms, way, request.mac)

    def _batch(self, drained: Drained) -> ProbeBatch:
        clock = kernel_clock()
        return ProbeBatch(
            seq=drained.seq,
            tx_ns=drained.tx_ns,
            rx_ns=drained.rx_ns,
            duplicates=drained.duplicates,
            error=drained.error,
            neighbour=drained.neighbour,
            retransmits=drained.retransmits,
            answered_by=drained.answered_by,
            clock=Clock(offset_ns=clock.offset_ns, error_ns=clock.error_ns, source=clock.source),
            **{"from": self._name},
        )


async def _drains(prober: Probing, seconds: float) -> AsyncIterator[Drained]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    stop_at = began + seconds if seconds else math.inf
    yield prober.drain()
    due = began
    while True:
        due = max(due + BATCH_SECONDS, loop.time())
        await asyncio.sleep(min(due, max(stop_at, loop.time())) - loop.time())
        if loop.time() >= stop_at:
            break
        finished = prober.finished
        yield prober.drain()
        if finished:
            return
    prober.stop_sending()
    await asyncio.sleep(LINGER_SECONDS)
    yield prober.drain()


def check(request: ProbeRequest) -> tuple[str, float]:
    """The kind and the interval (ms) of a request that may run; ProbeError names the field that is wrong."""
    kind = request.kind or "icmp"
    if kind not in DEFAULT_INTERVAL_MS:
        raise ProbeError(f"kind {kind!r} is not known", fix="use icmp, arp or tcp-echo")
    try:
        address = ipaddress.IPv4Address(request.address)
    except ValueError as error:
        raise ProbeError(
            f"address {request.address!r} is no IPv4 address", cause=str(error), fix="give one, such as 10.110.0.11"
        ) from error
    if address.is_multicast or address.is_unspecified or address == ipaddress.IPv4Address("255.255.255.255"):
        raise ProbeError(f"address {request.address} is not one host's", fix="give the address of one host")
    interval = request.interval_ms or DEFAULT_INTERVAL_MS[kind]
    if not MIN_INTERVAL_MS <= interval <= MAX_INTERVAL_MS:
        raise ProbeError(
            f"interval_ms {request.interval_ms:g} is out of range",
            fix=f"give {MIN_INTERVAL_MS:g} to {MAX_INTERVAL_MS:g}, or 0 for the default",
        )
    if not 0 <= request.seconds < math.inf:
        raise ProbeError(f"seconds {request.seconds:g} is out of range", fix="give 0 (until cancelled) or more")
    return kind, interval
