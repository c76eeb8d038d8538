"""Moves against bare bridges: the same guests, template, QMP parameters, link and probes, alternating in one run.

What Bascule costs a move is the difference in lost 5-ms probes; STOP to RESUME is shown because it is what the network
feels, and both lose for it.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tests_lab import STATE, Lab

from bascule.continuity.series import measure
from bascule_agent.netlink import in_netns
from bascule_agent.probes import IcmpProber, TcpEchoProber
from bascule_lab import machine
from bascule_lab.bare.topology import BareLab
from bascule_lab.config import LabConfig
from bascule_lab.guests import template
from bascule_lab.guests.spec import GuestSpec

MOVES = 10


def probed(netns: str, address: str, seconds: float) -> list[list[int | None]]:
    """Probe an address from a namespace every 5 ms; [[seq, tx, rx], …]."""
    prober = in_netns(netns, lambda: IcmpProber(address, 5.0))
    prober.start()
    time.sleep(seconds)
    prober.stop_sending()
    time.sleep(0.5)
    drained = prober.drain()
    prober.stop()
    return as_series(drained)


def loaded(netns: str, address: str, seconds: float) -> list[list[int | None]]:
    """As the lab's vantage point does: the ICMP probes, and a TCP echo session beside them."""
    session = in_netns(netns, lambda: TcpEchoProber(address, 20.0))
    session.start()
    try:
        return probed(netns, address, seconds)
    finally:
        session.stop()


def as_series(drained: Any) -> list[list[int | None]]:
    """The prober's arrays as a series."""
    points: dict[int, list[int | None]] = {}
    for seq, tx, rx in zip(drained.seq, drained.tx_ns, drained.rx_ns, strict=True):
        points[seq] = [seq, tx, rx or None]
    return [points[seq] for seq in sorted(points)]


class Bare:
    """One guest on plain bridges, moved back and forth; the same prober counts."""

    def __init__(self, state: Path) -> None:
        self._config = LabConfig(prefix="tb", state=state)
        self._loop = asyncio.new_event_loop()
        self._at = 0

    def start(self) -> None:
        """Build it and wait for the guest."""
        machine.prepare(self._config)
        self._loop.run_until_complete(self._start())

    async def _start(self) -> None:
        self._lab = BareLab(self._config, await template.ensure())
        await self._lab.start()
        spec = GuestSpec("bare", "52:54:00:00:6e:63", "10.110.0.99", peers=("10.110.0.1",), talk_every_s=2.0)
        await self._lab.add_guest(spec, "node1")

    def move(self) -> tuple[int, float]:
        """Move it to the other node; (lost probes, STOP to RESUME in ms)."""
        target = ("node2", "node1")[self._at]
        self._at = 1 - self._at
        found: list[list[list[int | None]]] = []
        thread = threading.Thread(target=lambda: found.append(loaded(self._config.gateway, "10.110.0.99", 2.5)))
        thread.start()
        time.sleep(0.5)
        result = self._loop.run_until_complete(self._lab.move("bare", target))
        thread.join()
        assert result.ok, result.failure
        assert result.stop_to_resume_ms is not None
        return measure(found[0], 5.0).lost, result.stop_to_resume_ms

    def stop(self) -> None:
        """Remove everything."""
        self._loop.run_until_complete(self._lab.stop())
        self._loop.close()
        machine.cleanup(self._config)


def icmp_from_gateway(record: dict[str, Any]) -> dict[str, Any]:
    """The record's ICMP probe from the gateway."""
    found: dict[str, Any] = next(p for p in record["probes"] if p["kind"] == "icmp" and p["from"] == "gateway")
    return found


def rows() -> list[dict[str, Any]]:
    """Ten moves each way; needs root and QEMU, brings a lab up when none runs."""
    lab, own = Lab(), not (STATE / "lab.json").exists()
    if own:
        lab.lab("up", timeout=400)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            return compare(lab, Path(scratch) / "bare")
    finally:
        if own:
            lab.lab("down")


def compare(lab: Lab, scratch: Path) -> list[dict[str, Any]]:
    """Move web-1 and the bare guest in turns."""
    home = lab.node_of("web-1")
    away = next(n for n in ("node1", "node2", "node3") if n != home)
    lost: list[int] = []
    pauses: list[float] = []
    bare_lost: list[int] = []
    bare_pauses: list[float] = []
    bare = Bare(scratch)
    bare.start()
    try:
        for number in range(MOVES):
            record = lab.cli("-o", "json", "vms", "move", "web-1", "--to", (away, home)[number % 2]).json
            lost.append(icmp_from_gateway(record)["lost"])
            pauses.append(record["qemu"]["stop_to_resume_ms"])
            gone, pause = bare.move()
            bare_lost.append(gone)
            bare_pauses.append(pause)
    finally:
        bare.stop()
    return [
        row("lost 5-ms ICMP probes, median of 10 moves", "probes", lost, bare_lost, "<= bare + 1", 1.0),
        row("STOP to RESUME, median of 10 moves", "ms", pauses, bare_pauses, "printed", None),
    ]


def row(
    name: str, unit: str, values: list[Any], baseline: list[Any], goal: str, allowance: float | None
) -> dict[str, Any]:
    """One figure: medians, with the spread of both in the name."""
    value, base = statistics.median(values), statistics.median(baseline)
    spread = f"{min(values):.3g}..{max(values):.3g} against {min(baseline):.3g}..{max(baseline):.3g}"
    met = None if allowance is None else value <= base + allowance
    ratio = value / base if base else None
    shown = f"{name} ({spread})"
    return {"name": shown, "value": value, "unit": unit, "baseline": base, "ratio": ratio, "goal": goal, "met": met}
