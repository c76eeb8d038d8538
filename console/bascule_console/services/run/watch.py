"""Probes of one VM's addresses that run from before its stop until after its start: the fence's ears and the record's
series. They also ask a neighbour on each side, to show that both sides stay one VLAN meanwhile.

A place that falls silent (an agent restarts, a node is lost) is replaced by another; the silence it proved is void.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass, field

from bascule.continuity.series import SeriesLog
from bascule.errors import BasculeError
from bascule.migration.run_fence import SILENCE_S, Quiet, quiet, unproven
from bascule.migration.run_record import Stream
from bascule_console.services.run.ends import Asked, Seen, Wire

MOVING, OLD, NEW = "moving", "old side", "cluster"
ICMP_MS, ARP_MS, NEIGHBOUR_MS = 10.0, 50.0, 20.0
POLL_S, RETRY_S, FIRST_S = 0.05, 0.3, 5.0


@dataclass(frozen=True, slots=True)
class Whom:
    """An address to be watched; `nic` names it for the operator."""

    role: str
    vm: str
    ip: str
    mac: str
    network: str
    vlan: int


@dataclass
class _Line:
    """One series; when its place is replaced, the numbers go on."""

    whom: Whom
    asked: Asked
    place: str
    log: SeriesLog = field(default_factory=SeriesLog)
    base: int = 0
    most: int = 0
    heard: dict[str, int] = field(default_factory=dict)
    problem: str = ""

    def add(self, seen: Seen) -> None:
        """One batch."""
        seqs = [self.base + seq for seq in seen.seq]
        self.most = max([self.most, *seqs])
        self.log.add(seqs, seen.tx_ns, seen.rx_ns, seen.duplicates)
        now = time.time_ns()
        self.heard.update(dict.fromkeys(seen.answered_by, now))


class Watch:
    """Begin with `start`, end with `close`; everything between may be asked at any time."""

    def __init__(self, wire: Wire, whom: Iterable[Whom], proof_s: float = SILENCE_S) -> None:
        self._wire = wire
        self._proof_s = proof_s
        self._whom = list(whom)
        self._lines: list[_Line] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to probe, and wait until each line has sent, 5 s at most. Raises UnreachableError."""
        places = await self._wire.places()
        for whom in self._whom:
            for kind, ms, at in _kinds(whom, places):
                mac = "" if whom.role == MOVING else whom.mac
                asked = Asked(kind, whom.ip, whom.network, whom.vlan, ms, mac if kind == "arp" else "")
                self._lines.append(_Line(whom, asked, at))
        self._tasks = [asyncio.create_task(self._follow(line), name=f"probes of {line.whom.ip}")
                       for line in self._lines]  # fmt: skip
        deadline = time.monotonic() + FIRST_S
        while time.monotonic() < deadline and not all(len(line.log) for line in self._lines):
            await asyncio.sleep(POLL_S)

    async def close(self) -> None:
        """End every probe."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def _follow(self, line: _Line) -> None:
        while True:
            try:
                async with aclosing(self._wire.probe(line.place, line.asked)) as batches:
                    async for seen in batches:
                        line.add(seen)
                line.problem = f"{line.place} ended its probes"
            except BasculeError as error:
                line.problem = f"{error.message}: {error.cause}" if error.cause else error.message
            line.base = line.most + 1
            await asyncio.sleep(RETRY_S)
            await self._replace(line)

    async def _replace(self, line: _Line) -> None:
        try:
            found = await self._wire.places(avoid=line.place)
        except BasculeError:
            return
        others = {each.place for each in self._lines if each is not line and each.whom == line.whom
                  and each.asked.kind == line.asked.kind}  # fmt: skip
        free = [place for place in found if place not in others]
        # The place itself comes first again when it is back: a vantage point has no substitute.
        line.place = free[0] if free else line.place

    def silence(self) -> list[Quiet]:
        """What each place has heard of the moving addresses by ARP; of several addresses the least quiet."""
        now = time.time_ns()
        return [quiet(line.place, line.log.points(), now) for line in self._arp()]

    def unproven(self) -> str:
        """Why it is not proven that nobody answers; "" when it is, for every address."""
        addresses = {line.whom.ip for line in self._arp()}
        found = {whom.ip for whom in self._whom if whom.role == MOVING}
        if found - addresses:
            return f"nobody asks for {', '.join(sorted(found - addresses))}"
        now = time.time_ns()
        for ip in sorted(addresses):
            lines = [line for line in self._arp() if line.whom.ip == ip]
            why = unproven([quiet(line.place, line.log.points(), now) for line in lines], self._proof_s)
            if why:
                problems = "; ".join(sorted({line.problem for line in lines if line.problem}))
                return f"{ip}: {why}" + (f" ({problems})" if problems else "")
        return ""

    async def wait_silent(self, seconds: float) -> str:
        """Wait until silence is proven, `seconds` at most; why it is not, or ""."""
        deadline = time.monotonic() + seconds
        while (why := self.unproven()) and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)
        return why

    def heard_since(self, since_ns: int, ip: str) -> dict[str, str]:
        """MAC → place, of those who answered ARP for a moving address since then."""
        return {mac: line.place for line in self._arp() if line.whom.ip == ip
                for mac, at in line.heard.items() if at >= since_ns}  # fmt: skip

    def deaf(self, ip: str) -> list[str]:
        """Places that ask for a moving address and have never heard it: their silence would prove nothing."""
        return sorted(line.place for line in self._arp() if line.whom.ip == ip and not line.heard)

    def main(self, ip: str) -> _Line | None:
        """The line an outage is measured on: the one that asks most often."""
        lines = [line for line in self._lines if line.whom.role == MOVING and line.whom.ip == ip]
        return min(lines, key=lambda line: line.asked.interval_ms, default=None)

    def last_answer_ns(self, ip: str) -> int | None:
        """When anything last answered for a moving address, any kind of probe."""
        found = [int(point[2]) for line in self._lines if line.whom.role == MOVING and line.whom.ip == ip
                 for point in line.log.points()[-_RECENT:] if point[2] is not None]  # fmt: skip
        return max(found, default=None)

    def streams(self) -> list[Stream]:
        """Every series so far."""
        return [Stream(line.whom.role, line.whom.vm, line.asked.kind, line.place, line.whom.ip,
                       line.asked.interval_ms, line.log.points()) for line in self._lines]  # fmt: skip

    def missing(self) -> dict[str, str]:
        """What was not measured, and why."""
        roles = {line.whom.role for line in self._lines}
        words = {OLD: "no other VM of this VLAN stays on the old side", NEW: "no VM of this VLAN runs on the cluster"}
        found = {f"{role} neighbour": why for role, why in words.items() if role not in roles}
        empty = [line for line in self._lines if not len(line.log)]
        return {**found, **{f"{line.asked.kind} from {line.place}": line.problem or "no probe" for line in empty}}

    def _arp(self) -> list[_Line]:
        return [line for line in self._lines if line.asked.kind == "arp" and line.whom.role == MOVING]


_RECENT = 2_000


def _kinds(whom: Whom, places: list[str]) -> list[tuple[str, float, str]]:
    """(kind, interval, place) of the probes of one address: a neighbour is asked once from each side of the wall."""
    if not places:
        return []
    if whom.role != MOVING:
        return [("arp" if whom.role == OLD else "icmp", NEIGHBOUR_MS, places[-1] if whom.role == OLD else places[0])]
    return [("icmp", ICMP_MS, places[0]), *(("arp", ARP_MS, place) for place in places)]
