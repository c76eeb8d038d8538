"""What moves look like: the preflight, a move that runs, the whole record, a drain; at 80x24 and 160x45."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

import pytest
from tests_rest import at_rest
from textual.app import App
from textual.pilot import Pilot

from bascule.continuity import Change, Nic, Probe, Record, aftershock, folded
from bascule.continuity.estimate import Estimate
from bascule.continuity.limits import Drain, Item, Limits
from bascule.continuity.preflight import Check
from bascule_console.app import BasculeApp
from bascule_console.screens.move.choose import ChooseNode
from bascule_console.screens.move.drain import DrainScreen
from bascule_console.screens.move.progress import MoveProgress
from bascule_console.screens.move.record import RecordScreen
from bascule_console.services.moves import PhaseSeen
from bascule_console.services.preflight import Preflight
from bascule_console.store.vms import NODES

SIZES = pytest.mark.parametrize("size", [(80, 24), (160, 45)], ids=["80x24", "160x45"])
MS, S, T0 = 1_000_000, 1_000_000_000, 1_790_000_000 * 1_000_000_000
IP, MAC, CUT = "10.110.0.11", "52:54:00:00:6e:01", 1_790_000_000 * 1_000_000_000 + 1_000_000_000
CLOCK = {"offset_ns": 0, "error_ns": 0, "source": "kernel:boot"}


class Compare(Protocol):
    def __call__(self, app: App[Any], *, terminal_size: tuple[int, int], run_before: Any) -> bool: ...


def points(count: int, step: int, lost: range = range(0)) -> list[list[int | None]]:
    return [[k, T0 + k * step * MS, None if k in lost else T0 + k * step * MS + MS // 3] for k in range(count)]


def record(complete: bool = True) -> dict[str, Any]:
    made = Record("uid", "web-1", "vms", "node2", source="node1", migration="web-1-abc", complete=complete)
    made.started, made.ended = "2026-11-23T10:00:00Z", "2026-11-23T10:00:02Z" if complete else None
    made.nics = [Nic("net-0", "dc1", "pod1", Change(IP, IP), Change(MAC, MAC), Change(110, 110))]
    made.phases = [{"phase": "Running", "at": "2026-11-23T10:00:00.5Z"}]
    if complete:
        made.phases.append({"phase": "Succeeded", "at": "2026-11-23T10:00:01.6Z"})
        made.qemu = {"downtime_ms": 2, "total_ms": 131, "stop_ns": CUT - 20 * MS, "resume_ns": CUT}
        made.qemu |= {"stop_to_resume_ms": 20.0, "mode": "PostCopy", "ram_bytes": 66_300_000, "ram_mbps": 1690.1}
        made.qemu |= {"fault_requests": 10, "fault_stall_ms": 118}
        made.announcements = [{"kind": "rarp", "at": CUT + MS // 10, "node": "node2", "port": "veth2"}]
        nic = {"nic": "net-0", "port": "veth1", "vlan": 110, "mac": MAC, "ip": IP, "moved_ns": CUT + MS // 5}
        made.source_half = {"node": "node1", "nics": [{**nic, "closed_ns": CUT + S, "entries_removed": []}]}
        made.clocks = {"node1": CLOCK, "node2": CLOCK}
        watched = folded("tcp-echo", "gateway", IP, 20, points(2900, 20), T0)
        made.aftershock = aftershock("done", CUT, CUT + 60 * S, [watched])
    lost = range(196, 200) if complete else range(250, 300)
    made.probes = [
        Probe("icmp", "gateway", IP, 5, points(300, 5, lost), clock=CLOCK, neighbour=MAC),
        Probe("arp", "node3", IP, 5, points(300, 5, lost), clock=CLOCK),
        Probe("tcp-echo", "gateway", IP, 20, points(75, 20), clock=CLOCK),
    ]
    control = Probe("icmp", "gateway", "10.110.0.12", 5, points(300, 5)).to_json(CUT)
    made.control = [{"vm": "vms/web-2", "probe": control}]
    return made.to_json()


@SIZES
def test_the_whole_record(snap_compare: Compare, still: Any, size: tuple[int, int]) -> None:
    async def show(pilot: Pilot[None]) -> None:
        await at_rest(pilot)
        await pilot.app.push_screen(RecordScreen(record(), ascii_only=False))
        await at_rest(pilot)

    assert snap_compare(BasculeApp(still.store, None), terminal_size=size, run_before=show)


@SIZES
def test_a_move_that_runs(snap_compare: Compare, still: Any, size: tuple[int, int]) -> None:
    async def events() -> AsyncIterator[PhaseSeen]:
        for name, at in (("Pending", 0.0), ("Scheduling", 0.03), ("Running", 0.9)):
            yield PhaseSeen(name, at)
        await asyncio.Event().wait()

    async def show(pilot: Pilot[None]) -> None:
        await at_rest(pilot)
        app: Any = pilot.app
        still.store.moves.keep("uid", record(complete=False))
        row = next(row for row in app.store.vms.rows().values() if row.name == "web-1")
        await app.push_screen(MoveProgress(row, "node2", events(), still.store, app.glyphs))
        await at_rest(pilot)

    assert snap_compare(BasculeApp(still.store, None), terminal_size=size, run_before=show)


@SIZES
def test_the_preflight(snap_compare: Compare, still: Any, size: tuple[int, int]) -> None:
    checks = (
        Check("target", "pass", "node node2", "it is ready"),
        Check("mac-set", "fail", "vms/web-1 net-0", "no MAC is set (CORE-13418)", fix=f"set it to {MAC}"),
        Check("vlan-proven", "unknown", "VLAN 110 on node2", "the target's trunk was not asked"),
    )
    found = Preflight("vms/web-1", "node1", "node2", checks, Estimate(1.4, 110.0, "median of 3 measured moves"))

    async def check(node: str) -> Preflight:
        return found

    async def show(pilot: Pilot[None]) -> None:
        await at_rest(pilot)
        app: Any = pilot.app
        row = next(row for row in app.store.vms.rows().values() if row.name == "web-1")
        nodes = still.store.inventory.all(NODES)
        await app.push_screen(ChooseNode(row, nodes, set(), app.glyphs, check))
        await pilot.press("enter")
        await at_rest(pilot)

    assert snap_compare(BasculeApp(still.store, None), terminal_size=size, run_before=show)


@SIZES
def test_a_drain(snap_compare: Compare, still: Any, size: tuple[int, int]) -> None:
    items = (
        Item("vms/web-1", "node2", "moved", "", "kept"),
        Item("vms/web-2", "node3", "moving"),
        Item("vms/db-1", "node2"),
        Item("vms/db-2", "", "skipped", "KubeVirt cannot migrate it: it has a host device"),
    )

    async def show(pilot: Pilot[None]) -> None:
        await at_rest(pilot)
        screen = DrainScreen("node1")
        await pilot.app.push_screen(screen)
        await at_rest(pilot)
        screen.show(Drain("node1", items, Limits()))
        await at_rest(pilot)

    assert snap_compare(BasculeApp(still.store, None), terminal_size=size, run_before=show)
