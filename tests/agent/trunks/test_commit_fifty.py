"""Bad changes made through Bascule, one after the other: traffic as before within 5 s, other VLANs lose nothing.

Six in the normal run, fifty in test-long. Wrong native VLAN, wrong interface (up: refused ahead; down: taken back),
wrong MTU, and the agent killed in the middle of a change.
"""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from bascule_lab.nodes import netns

pytestmark = pytest.mark.root
KINDS = ("native", "interface up", "interface down", "mtu", "kill", "kill")


def mig(park, **values) -> None:
    inside = netns.link_in(park.ns("node1"))
    inside.set(inside.link("mig0").index, **values)


async def bad_change(park, kit, kind: str, number: int, dice: random.Random) -> None:
    """Apply one bad change and wait until the agent has decided on it."""
    wish = {"bascule.dev/change": f'{{"id": "n{number}"}}'}
    down = kind in ("interface down", "kill")
    await netns.net(mig, park, up=not down, mtu=1400 if kind == "mtu" else 1500)
    await asyncio.sleep(0.3)
    native = kind == "native"
    document = kit.network(native=110, annotations=wish) if native else kit.network("mig0", None, annotations=wish)
    await park.put_network(document)
    if kind == "kill":
        await asyncio.sleep(dice.uniform(0.0, 0.5))
        park.end()
        park.start()

    async def decided():
        change = (await park.report()).get("change") or {}
        return change.get("id") == f"n{number}" and change["state"] in ("refused", "rolled-back")

    await kit.until(decided, 20.0, 0.05)


async def run(park, kit, count: int) -> list[float]:
    dice, took = random.Random(4), []
    park.start()
    guests = {vid: await park.guest(f"g{vid}", vid, 1) for vid in (100, 110, 120)}
    await park.live(3)
    await kit.until(lambda: all(park.ping(guest) for guest in guests.values()))
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        with park.flood(guests[110]) as flood, park.flood(guests[120]) as other:
            began = time.monotonic()
            await bad_change(park, kit, kind, number, dice)
            await asyncio.sleep(0.5)
            after = flood.last_lost()
            if kind == "native":
                assert not other.lost(), "VLAN 120 is none of this change"
        # A restarted agent tries the change once more, so there may be two gaps: the longest counts.
        outage = _longest(flood) if kind == "kill" else max(after - began, 0.0) if after else 0.0
        took.append(outage)
        assert outage < 5.0, f"{kind}: {outage:.2f} s"
        assert all(park.ping(guest) for guest in guests.values()), kind
        await park.put_network(kit.network())
        await kit.until(lambda: _good(park), 20.0)
    return took


def _longest(flood) -> float:
    """The longest run of unanswered probes, in seconds."""
    lost, best, start, last = flood.lost(), 0.0, 0.0, -10
    for seq in lost:
        if seq != last + 1:
            start = flood.sent[seq]
        best, last = max(best, flood.sent[seq] - start), seq
    return best


async def _good(park) -> bool:
    return (await park.condition()).get("status") == "True"


async def test_six_bad_changes(park, kit):
    took = await run(park, kit, 6)
    print("outage by change:", ", ".join(f"{kind} {seconds:.2f} s" for kind, seconds in zip(KINDS, took, strict=True)))


@pytest.mark.long
async def test_fifty_of_fifty_bad_changes(park, kit):
    took = await run(park, kit, 50)
    print(f"50 of 50, longest outage {max(took):.2f} s")
