"""One move in progress on this node: its record, its probes, the second after its end, the minute after that.

Every wait is in a task of its own: neither a silent vantage point nor a silent source agent delays a port, another
move, or the completion of this record.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any

from bascule.continuity import Change, Nic, Record, aftershock
from bascule.continuity.aftershock import SECONDS as AFTER_SECONDS
from bascule.errors import BasculeError, UnreachableError
from bascule.protocol.gen.agent_pb2 import ProbeRequest
from bascule.resources.pod import PodNic
from bascule_agent.moves.around import Fabric, Surroundings
from bascule_agent.moves.asking import PATIENT_SECONDS, SOURCE_SECONDS, ask_bridges, ask_source
from bascule_agent.moves.dial import agent_target, target_of
from bascule_agent.moves.streams import AFTER_INTERVAL_MS, Stream, intervals

PROBE_AFTER_SECONDS = 1.0
COMPLETE_AFTER_SECONDS = 1.5
RETRY_SECONDS = 0.5
RETRIES = 20
ANNOUNCE_SECONDS = (0.001, 0.05, 0.2)
CONTROL_EVERY = 4
NODE_VANTAGES = 1
log = logging.getLogger(__name__)


class Move:
    """Owned by the tracker; all methods run on the event loop and return at once."""

    def __init__(self, record: Record, around: Surroundings, annotations: Mapping[str, str] | None = None) -> None:
        self.record = record
        self.ending = False
        self._around = around
        self._began_ns = around.clock.now_ns()
        self._intervals = intervals(annotations or {})
        self._streams: list[Stream] = []
        self._control: list[tuple[str, Stream]] = []
        self._after: list[Stream] = []
        self._fabric: dict[str, Fabric] = {}
        self._cut_short = asyncio.Event()
        self._why_short = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._probing: set[asyncio.Task[None]] = set()
        self._sessions: set[asyncio.Task[None]] = set()

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
            self._spawn(self._watch_fabric(nic), self._tasks)
            self._probe_from_everywhere(nic)
        self._around.changed(self)

    def port_live(self, interface: str) -> None:
        """The port of this NIC has opened: unless the VM's own announcement leaves in time, the agent speaks for it."""
        if interface in self._fabric:
            self._spawn(self._announce(self._fabric[interface]), self._tasks)

    def snapshot(self) -> dict[str, Any]:
        """The record as it stands, as JSON document."""
        record = self.record
        record.probes = [stream.probe() for stream in self._streams]
        cut = record.cut_ns()
        record.control = [{"vm": vm, "probe": stream.probe().to_json(cut)} for vm, stream in self._control]
        for fabric in list(self._fabric.values())[:1]:
            first = min((int(a["at"]) for a in record.announcements if a.get("by") != "agent"), default=None)
            vlan = record.nics[0].vlan.after if record.nics else None
            record.fabric = fabric.told(int(vlan or 0), first)
        return record.to_json()

    def end(self, done: Callable[[Move], None], after: Callable[[Move], None]) -> None:
        """The VMIM has ended: observe for 1 s more, ask the source, complete after 1.5 s; then `done(self)`. The
        after-shock watch goes on for a minute; then `after(self)`."""
        if not self.ending:
            self.ending = True
            self._spawn(self._finish(done, after), self._tasks)

    def cut_short(self, why: str) -> None:
        """End the after-shock watch now."""
        self._why_short = self._why_short or why
        self._cut_short.set()

    async def close(self) -> None:
        """Stop everything; the record stays as it is, a watch that runs is written down as interrupted."""
        tasks = [*self._tasks, *self._probing, *self._sessions]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.record.complete and (self.record.aftershock or {}).get("state") == "running":
            self._tell_aftershock("interrupted", "the agent ended")
        await self._close_fabric()

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

    async def _watch_fabric(self, nic: PodNic) -> None:
        try:
            fabric = await asyncio.to_thread(self._around.extras.fabric, nic)
        except BasculeError as error:
            self.record.missing["fabric"] = str(error)
            return
        if fabric is not None:
            self._fabric[nic.interface] = fabric

    async def _announce(self, fabric: Fabric) -> None:
        waited = 0.0
        for at in ANNOUNCE_SECONDS:
            await self._around.clock.sleep(at - waited)
            waited = at
            sent = fabric.announce()
            if sent is not None and all(a.get("by") != "agent" for a in self.record.announcements):
                told = {"kind": "garp", "at": sent, "node": self.record.target, "port": fabric.link, "by": "agent"}
                self.record.announcements.append(told)

    async def _close_fabric(self) -> None:
        for fabric in self._fabric.values():
            await asyncio.to_thread(fabric.close)

    def _probe_from_everywhere(self, nic: PodNic) -> None:
        points = self._around.vantage_points()
        if not points:
            self.record.missing["vantage-points"] = "ConfigMap bascule-system/vantage-points names none"
        control = self._around.control(self.record.namespace, self.record.vm, nic.nad)
        for at, (name, text) in enumerate(sorted(points.items())):
            try:
                target = target_of(text, f"ConfigMap bascule-system/vantage-points, data.{name}")
            except UnreachableError as error:
                self.record.missing[f"vantage point {name}"] = str(error)
                continue
            for kind in ("icmp", "arp", "tcp-echo"):
                self._probe_from(name, target, self._request(kind, nic))
            if control is not None and at == 0 and not self._control:
                self._spawn(self._measure_control(name, target, control.vm, control.address), self._probing)
        self._spawn(self._probe_from_nodes(nic), self._probing)

    async def _measure_control(self, vantage: str, target: str, vm: str, address: str) -> None:
        """A VM that stays where it is, asked in the same way: what is lost there is not the move's. Every fourth slot
        is enough to show a busy machine, and does not make it busier."""
        stream = Stream("icmp", vantage, address, CONTROL_EVERY * self._intervals["icmp"])
        self._control.append((vm, stream))
        request = ProbeRequest(address=address, kind="icmp", interval_ms=stream.interval_ms)
        await self._stream(stream, target, request, f"control {vm} from {vantage}")

    async def _probe_from_nodes(self, nic: PodNic) -> None:
        """ARP from the bridge or trunk of a node that has no part in the move: the source's bridge of the VLAN goes
        when its last VM has left, and from its trunk a VM that is still there cannot be asked."""
        try:
            nodes = await self._around.extras.nodes()
        except BasculeError as error:
            self.record.missing["probes from nodes"] = str(error)
            return
        names = {str(node["metadata"]["name"]): node for node in nodes}
        others = [name for name in sorted(names) if name not in (self.record.target, self.record.source)]
        for name in others[:NODE_VANTAGES]:
            try:
                target = agent_target(names[name])
            except UnreachableError as error:
                self.record.missing[f"vantage point {name}"] = str(error)
                continue
            request = self._request("arp", nic)
            request.network, request.vlan = nic.network, nic.vlan
            self._probe_from(name, target, request)

    def _request(self, kind: str, nic: PodNic) -> ProbeRequest:
        mac = nic.mac if kind == "arp" else ""
        return ProbeRequest(address=nic.ip, kind=kind, interval_ms=self._intervals[kind], mac=mac)

    def _probe_from(self, vantage: str, target: str, request: ProbeRequest) -> None:
        tasks = self._sessions if request.kind == "tcp-echo" else self._probing
        self._spawn(self._probe(vantage, target, request), tasks)

    async def _probe(self, vantage: str, target: str, request: ProbeRequest) -> None:
        """One stream after another until the move is over. A stream that breaks is closed as it is and a new one
        begun, so that the time in which nobody asked counts for nothing. A TCP session is never begun twice."""
        kind = request.kind
        name = f"probe {kind} from {vantage} to {request.address}"
        for _ in range(RETRIES):
            stream = Stream(kind, vantage, request.address, request.interval_ms)
            self._streams.append(stream)
            why = await self._stream(stream, target, request, name)
            begun = len(stream.points) > 0
            if begun and kind == "tcp-echo" and stream.error:
                return  # the session died, and its error says so: nothing is missing
            if not self.record.complete:
                self.record.missing[f"{name}, interrupted" if begun else name] = why
            if not begun:
                self._streams.remove(stream)
            if self.ending or (begun and kind == "tcp-echo"):
                return
            await self._around.clock.sleep(RETRY_SECONDS)

    async def _stream(self, stream: Stream, target: str, request: ProbeRequest, name: str) -> str:
        """Take batches until the stream ends; returns why it did."""
        try:
            async with aclosing(self._around.dial.probe(target, request)) as batches:
                async for batch in batches:
                    stream.take(batch, self._around.clock.now_ns())
                    if len(stream.points):
                        self.record.missing.pop(name, None)
                    self._around.changed(self)
        except BasculeError as error:
            return str(error)
        return stream.error or "the vantage point ended the stream"

    async def _finish(self, done: Callable[[Move], None], after: Callable[[Move], None]) -> None:
        clock = self._around.clock
        early = self._spawn(self._ask(PATIENT_SECONDS), self._tasks)
        await clock.sleep(PROBE_AFTER_SECONDS)
        for stream in (*self._streams, *(stream for _, stream in self._control)):
            stream.points.close()
        late = self._spawn(self._ask(SOURCE_SECONDS), self._tasks)
        bridges = self._spawn(ask_bridges(self.record, self._around, self._began_ns), self._tasks)
        await clock.sleep(COMPLETE_AFTER_SECONDS - PROBE_AFTER_SECONDS)
        for task in (early, late, bridges, *self._probing):
            task.cancel()
        self._settle()
        self._begin_aftershock()
        self.record.complete = True
        done(self)
        await self._watch_after()
        after(self)

    async def _ask(self, seconds: float) -> None:
        if await ask_source(self.record, self._around, seconds):
            self._around.changed(self)

    def _begin_aftershock(self) -> None:
        """Sessions go on, and every vantage point that asked by ICMP asks on, slowly."""
        failed = bool(self.record.phases) and self.record.phases[-1]["phase"] == "Failed"
        now = self._around.clock.now_ns()
        start = self.record.cut_ns() or now
        points = self._around.vantage_points()
        asked = dict.fromkeys((s.vantage, s.address) for s in self._streams if s.kind == "icmp" and s.vantage in points)
        if failed or not asked:
            for task in self._sessions:
                task.cancel()
            return
        for stream in self._streams:
            if stream.kind == "tcp-echo" and not stream.error:
                stream.watch_after()
                self._after.append(stream)
        for vantage, address in asked:
            stream = Stream("icmp", vantage, address, AFTER_INTERVAL_MS)
            stream.watch_after()
            self._after.append(stream)
            request = ProbeRequest(address=address, kind="icmp", interval_ms=AFTER_INTERVAL_MS)
            target = target_of(points[vantage], f"data.{vantage}")
            self._spawn(self._stream_on(stream, target, request), self._sessions)
        self.record.aftershock = aftershock("running", start, start + round(AFTER_SECONDS * 1e9))

    async def _stream_on(self, stream: Stream, target: str, request: ProbeRequest) -> None:
        await self._stream(stream, target, request, "after-shock")

    async def _watch_after(self) -> None:
        if self.record.aftershock is None:
            await self._close_fabric()
            return
        clock, until = self._around.clock, int(self.record.aftershock["until_ns"])
        left = self._spawn(clock.sleep(max(0.0, (until - clock.now_ns()) / 1e9)), self._tasks)
        short = self._spawn(_until(self._cut_short), self._tasks)
        await asyncio.wait((left, short), return_when=asyncio.FIRST_COMPLETED)
        for stream in self._after:
            if stream.after is not None:
                stream.after.close()
        if not self._why_short:
            await clock.sleep(COMPLETE_AFTER_SECONDS - PROBE_AFTER_SECONDS)  # for answers to what is out
        for task in (left, short, *self._sessions):
            task.cancel()
        await ask_source(self.record, self._around, PATIENT_SECONDS)
        self._tell_aftershock("interrupted" if self._why_short else "done", self._why_short)
        await self._close_fabric()

    def _tell_aftershock(self, state: str, why: str) -> None:
        told = self.record.aftershock or {}
        until = self._around.clock.now_ns()
        start = int(told.get("from_ns") or until)
        probes = [stream.aftershock(start) for stream in self._after]
        self.record.aftershock = aftershock(state, start, until, probes, why)

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


async def _until(event: asyncio.Event) -> None:
    await event.wait()
