"""How fast a fault outside is named and cleared (a VLAN taken off the switch port, the cable, another native VLAN), and
how fast drift of what the agent built is found and repaired.

The real agent of one node on the lab's real switch, three VLANs in use. Named and clear is when the Node's condition
says so at the API server; the fault is planted in the switch, and the node's links are compared before and after.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.agent.trunks import conftest as kit

from bascule.hostplan.names import link_name
from bascule_lab.fabric.switch import Switch
from bascule_lab.nodes import netns

ROUNDS = 5
GOAL = "≤ 2 s"
Act = Callable[[], Awaitable[None]]


def native(park: kit.Rig, vlan: int) -> None:
    """Another native VLAN on node1's switch port."""
    switch = Switch(park.config)
    switch._objects.put("sw_ports", (switch._index("t-node1"),), (vlan, 1))
    switch.close()


async def seconds_until(park: kit.Rig, status: str, reasons: tuple[str, ...]) -> float:
    """How long until the condition says so."""
    began = time.monotonic()

    async def said() -> bool:
        found = await park.condition()
        return found.get("status") == status and (not reasons or found["reason"] in reasons)

    await kit.until(said, 10.0, 0.005)
    return time.monotonic() - began


async def measure() -> tuple[dict[str, tuple[list[float], list[float]]], list[float]]:
    """Fault → seconds until named, seconds until clear; and seconds until drift was found and repaired."""
    with tempfile.TemporaryDirectory(prefix="bp-faults-") as state:
        park = kit.Rig(Path(state), 1)
        try:
            await park.build()
            await park.cluster.apply(kit.network())
            park.start()
            for number, vlan in enumerate((100, 110, 120), 1):
                await park.guest(f"g{vlan}", vlan, number)
            await park.live(3)
            await seconds_until(park, "True", ())
            await asyncio.sleep(1.0)  # two rounds of the watch: every VLAN has answered
            return await plant(park), await drift(park)
        finally:
            await park.close()


async def plant(park: kit.Rig) -> dict[str, tuple[list[float], list[float]]]:
    """Each fault a few times."""
    faults: dict[str, tuple[Act, Act, tuple[str, ...]]] = {
        "VLAN removed on the switch port": (
            lambda: park.fabric.deny_vlan("node1", 110),
            lambda: park.fabric.allow_vlan("node1", 110),
            ("VlanSilent",),
        ),
        "cable": (lambda: park.fabric.cut("node1"), lambda: park.fabric.restore("node1"), ("TrunkDown",)),
        "wrong native VLAN": (
            lambda: netns.net(native, park, 120),
            lambda: netns.net(native, park, 100),
            ("NativeMismatch",),
        ),
    }
    shape, found = park.shape(), {}
    for what, (break_, mend, reasons) in faults.items():
        named, clear = [], []
        for _ in range(ROUNDS):
            await break_()
            named.append(await seconds_until(park, "False", reasons))
            await mend()
            clear.append(await seconds_until(park, "True", ()))
            await asyncio.sleep(1.0)
        found[what] = (named, clear)
    assert park.shape() == shape, "a fault outside is named, not mended"
    return found


async def drift(park: kit.Rig) -> list[float]:
    """The trunk's side of a VLAN is taken out of its bridge by another hand: until it is back and told."""
    stub, took = link_name("s", "dc1", 110), []
    shape = park.shape()
    for _ in range(ROUNDS):
        began = time.monotonic_ns()
        at = time.time_ns()
        park.iproute("ip", "link", "set", stub, "nomaster")

        async def repaired(at: int = at) -> bool:
            found = (await park.report()).get("findings", [])
            told = any(f["repaired"] and stub in f["message"] and f["since_ns"] > at for f in found)
            return told and park.shape() == shape

        await kit.until(repaired, 10.0, 0.01)
        took.append((time.monotonic_ns() - began) / 1e9)
        await asyncio.sleep(0.5)
    return took


def rows() -> list[dict[str, Any]]:
    """The figures: the worst of the rounds; the median is in the name."""
    faults, repaired = asyncio.run(measure())
    found = [
        _row(f"trunk fault, {what}: {how}", seconds, GOAL)
        for what, times in faults.items()
        for how, seconds in zip(("named", "clear"), times, strict=True)
    ]
    return [*found, _row("trunk drift: found and repaired", repaired, "≤ 1 s")]


def _row(name: str, seconds: list[float], goal: str) -> dict[str, Any]:
    told = f"{name} (worst of {ROUNDS}, median {statistics.median(seconds):.2f} s)"
    figure = {"name": told, "value": round(max(seconds), 3), "unit": "s", "baseline": None, "ratio": None}
    return figure | {"goal": goal, "met": None}
