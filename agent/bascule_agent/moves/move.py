"""One move in progress on this node: its record, its probes, and the second and a half after its end.

Every wait is in a task of its own: neither a silent vantage point nor a silent source agent delays a port, another
move, or the completion of this record.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from bascule.continuity import Change, Nic, Probe, Record, SeriesLog
from bascule.errors import BasculeError, UnreachableError
from bascule.protocol.gen.agent_pb2 import ProbeBatch, ProbeRequest
from bascule.resources.pod import PodNic
from bascule_agent.moves.clock import Clock
from bascule_agent.moves.dial import Dial, agent_target, target_of

INTERVAL_MS = {"icmp": 5.0, "tcp-echo": 20.0}
PROBE_AFTER_SECONDS = 1.0
COMPLETE_AFTER_SECONDS = 1.5
SOURCE_SECONDS = 0.45
RETRY_SECONDS = 0.5
RETRIES = 20
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Stream:
    """One probe stream: from where, of what, and what it has said so far."""

    kind: str
    vantage: str
    address: str
    points: SeriesLog = field(default_factory=SeriesLog)
    error: str = ""
    clock: Mapping[str, Any] | None = None

    def take(self, batch: ProbeBatch) -> None:
        """Add a batch."""
        self.points.add(batch.seq, batch.tx_ns, batch.rx_ns, batch.duplicates)
        self.error = batch.error or self.error
        if batch.HasField("clock"):
            clock = batch.clock
            self.clock = {"offset_ns": clock.offset_ns, "error_ns": clock.error_ns, "source": clock.source}

    def probe(self) -> Probe:
        """The stream as a part of the record."""
        return Probe(
            kind=self.kind,
            source=self.vantage,
            address=self.address,
            interval_ms=INTERVAL_MS[self.kind],
            series=self.points.points(),
            duplicates=self.points.duplicates,
            folded_sent=self.points.folded_sent,
            folded_lost=self.points.folded_lost,
            error=self.error,
            clock=self.clock,
        )


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a move needs of the agent around it."""

    dial: Dial
    clock: Clock
    vantage_points: Callable[[], Mapping[str, str]]
    read_node: Callable[[str], Awaitable[Mapping[str, Any]]]
    addresses: Callable[[str, str], Mapping[str, tuple[str, str]]]
    changed: Callable[[Move], None]


class Move:
    """Owned by the tracker; all methods run on the event loop and return at once."""

    def __init__(self, record: Record, around: Surroundings) -> None:
        self.record = record
        self.ending = False
        self._around = around
        self._streams: list[Stream] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._probing: set[asyncio.Task[None]] = set()

    def add_nic(self, nic: PodNic) -> None:
        """A NIC of the target pod as it is known now: note it, and probe it from every vantage point once it has an
        address. Told again with a name or an address that was not there yet, it is completed."""
        known = next((known for known in self.record.nics if known.port == nic.interface), None)
        # What the VMI reports once the VM has spoken here is no longer what was before.
        ip, mac = ("", "") if self.ending or self.record.announcements else self._told(nic.nic)
        seen = Nic(
            name=nic.nic,
            network=nic.network,
            port=nic.interface,
            ip=Change(known.ip.before if known and known.ip.before else ip or None, nic.ip or None),
            mac=Change(known.mac.before if known and known.mac.before else mac or None, nic.mac),
            vlan=Change(None, nic.vlan),
        )
        if seen == known:
            return
        others = [other for other in self.record.nics if other is not known]
        self.record.nics = sorted([*others, seen], key=lambda entry: entry.port)
        unaddressed = f"address of {nic.interface}"
        if not nic.ip:
            self.record.missing[unaddressed] = "the target pod's network-status names no IPv4 address"
        elif not self.ending and (known is None or known.ip.after != nic.ip):
            self.record.missing.pop(unaddressed, None)
            self._probe_from_everywhere(nic.ip)
        self._around.changed(self)

    def snapshot(self) -> dict[str, Any]:
        """The record as it stands, as JSON document."""
        self.record.probes = [stream.probe() for stream in self._streams]
        return self.record.to_json()

    def end(self, done: Callable[[Move], None]) -> None:
        """The VMIM has ended: observe for 1 s more, ask the source, complete after 1.5 s; then `done(self)`."""
        if not self.ending:
            self.ending = True
            self._spawn(self._finish(done), self._tasks)

    async def close(self) -> None:
        """Stop everything; the record stays as it is."""
        tasks = [*self._tasks, *self._probing]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _told(self, nic: str) -> tuple[str, str]:
        return self._around.addresses(self.record.namespace, self.record.vm).get(nic, ("", ""))

    def _spawn(self, work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)

        def over(task: asyncio.Task[None]) -> None:
            tasks.discard(task)
            if not task.cancelled() and (error := task.exception()):
                log.error("migration %s", self.record.migration_uid, exc_info=error)

        task.add_done_callback(over)
        return task

    def _probe_from_everywhere(self, address: str) -> None:
        points = self._around.vantage_points()
        if not points:
            self.record.missing["vantage-points"] = "ConfigMap bascule-system/vantage-points names none"
        for name, text in sorted(points.items()):
            try:
                target = target_of(text, f"ConfigMap bascule-system/vantage-points, data.{name}")
            except UnreachableError as error:
                self.record.missing[f"vantage point {name}"] = str(error)
                continue
            for kind in INTERVAL_MS:
                self._spawn(self._probe(name, target, kind, address), self._probing)

    async def _probe(self, vantage: str, target: str, kind: str, address: str) -> None:
        """One stream after another until the move is over. A stream that breaks is closed as it is and a new one
        begun, so that the time in which nobody asked counts for nothing. A TCP session is never begun twice."""
        name = f"probe {kind} from {vantage} to {address}"
        for _ in range(RETRIES):
            stream = Stream(kind, vantage, address)
            self._streams.append(stream)
            why = await self._stream(stream, target, name)
            begun = len(stream.points) > 0
            if begun and kind == "tcp-echo" and stream.error:
                return  # the session died, and its error says so: nothing is missing
            self.record.missing[f"{name}, interrupted" if begun else name] = why
            if not begun:
                self._streams.remove(stream)
            if self.ending or (begun and kind == "tcp-echo"):
                return
            await self._around.clock.sleep(RETRY_SECONDS)

    async def _stream(self, stream: Stream, target: str, name: str) -> str:
        """Take batches until the stream ends; returns why it did."""
        request = ProbeRequest(address=stream.address, kind=stream.kind, interval_ms=INTERVAL_MS[stream.kind])
        try:
            async with aclosing(self._around.dial.probe(target, request)) as batches:
                async for batch in batches:
                    stream.take(batch)
                    if len(stream.points):
                        self.record.missing.pop(name, None)
                    self._around.changed(self)
        except BasculeError as error:
            return str(error)
        return stream.error or "the vantage point ended the stream"

    async def _finish(self, done: Callable[[Move], None]) -> None:
        clock = self._around.clock
        early = self._spawn(self._ask_source(), self._tasks)
        await clock.sleep(PROBE_AFTER_SECONDS)
        for stream in self._streams:
            stream.points.close()
        late = self._spawn(self._ask_source(), self._tasks)
        await clock.sleep(COMPLETE_AFTER_SECONDS - PROBE_AFTER_SECONDS)
        for task in (early, late, *self._probing):
            task.cancel()
        self._settle()
        self.record.complete = True
        done(self)

    async def _ask_source(self) -> None:
        """The source's half, asked at the end and again a second later, when the last frames have come; kept even if
        only the first one is answered."""
        source = self.record.source
        try:
            if not source:
                raise UnreachableError("the VMIM names no source node")
            node = await self._around.read_node(source)
            text = await self._around.dial.source_half(
                agent_target(node), self.record.migration_uid, seconds=SOURCE_SECONDS
            )
            half = json.loads(text)
            if not isinstance(half, dict) or not isinstance(half.get("nics"), list):
                raise UnreachableError(f"the agent of {source} answered something else than its half")
        except (BasculeError, ValueError) as error:
            if self.record.source_half is None:
                self.record.missing["source-half"] = str(error)
            return
        self.record.source_half = half
        self.record.missing.pop("source-half", None)
        self._around.changed(self)

    def _settle(self) -> None:
        """Before and after of every NIC, from who knows: the VMI first, else the pods' CNI on either side."""
        half = {nic["nic"]: nic for nic in (self.record.source_half or {}).get("nics", [])}
        failed = bool(self.record.phases) and self.record.phases[-1]["phase"] == "Failed"
        for nic in self.record.nics:
            told_ip, told_mac = self._told(nic.name)
            left = half.get(nic.name, {})
            # After a failed migration the VM is where it was: the target pod's values are not its own.
            landed = Nic() if failed else nic
            self.record.change_nic(
                nic.name,
                ip=Change(nic.ip.before or left.get("ip"), told_ip or landed.ip.after),
                mac=Change(nic.mac.before or left.get("mac"), told_mac or landed.mac.after),
                vlan=Change(left.get("vlan"), landed.vlan.after),
            )
