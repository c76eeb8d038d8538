"""The baseline of moves: one guest on plain bridges, moved over the same link by the same QMP calls, probed alike."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

from bascule.continuity.series import measure
from bascule_agent.netlink import in_netns
from bascule_agent.probes import ArpProber, IcmpProber, TcpEchoProber
from bascule_lab import machine
from bascule_lab.bare.topology import BareLab
from bascule_lab.config import LabConfig
from bascule_lab.guests import template
from bascule_lab.guests.spec import GuestSpec

IP, MAC = "10.110.0.99", "52:54:00:00:6e:63"


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


def loaded(netns: str, address: str, mac: str, seconds: float) -> list[list[int | None]]:
    """As a move's vantage points do: ICMP, two streams of ARP, and a TCP echo session beside them."""
    beside: list[Any] = [in_netns(netns, lambda: TcpEchoProber(address, 20.0))]
    beside += [in_netns(netns, lambda: ArpProber(address, 5.0, None, mac)) for _ in range(2)]
    for each in beside:
        each.start()
    try:
        return probed(netns, address, seconds)
    finally:
        for each in beside:
            each.stop()


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
        spec = GuestSpec("bare", MAC, IP, peers=("10.110.0.1",), talk_every_s=2.0)
        await self._lab.add_guest(spec, "node1")

    def move(self) -> tuple[int, float]:
        """Move it to the other node; (lost probes, STOP to RESUME in ms)."""
        target = ("node2", "node1")[self._at]
        self._at = 1 - self._at
        found: list[list[list[int | None]]] = []
        thread = threading.Thread(target=lambda: found.append(loaded(self._config.gateway, IP, MAC, 2.5)))
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
