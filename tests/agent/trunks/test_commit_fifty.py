"""Bad changes made through Bascule, one after the other: traffic as before within 5 s, other VLANs lose nothing.

Six in the normal run, which must not depend on a quiet machine, fifty within 5 s each in test-long. Wrong native
VLAN; wrong interface and wrong MTU, each on a link that is up (asked ahead, so refused and nothing is lost) and on one
that is down (made, found out, taken back); an MTU that only the switch's side of the cable has; and the agent killed at
a random step. Witnesses: the gateway's pings, where the switch has learned the VMs.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass

import pytest

from bascule_lab.fabric.switch import Switch
from bascule_lab.nodes import netns

pytestmark = pytest.mark.root
SECOND, SMALL = "trunk1", 1400
"""Another trunk of node1 to the same switch, with the same VLANs, and the MTU it has when that is what is wrong."""


@dataclass(frozen=True)
class Bad:
    """A change that must not stay: the trunk it names, how that link is, and how the agent must end it."""

    what: str
    trunk: str
    native: int | None = None
    up: bool = True
    mtu: int = 1500
    wire_mtu: int = 1500
    state: str = "refused"
    why: str = "does not answer"
    kill: bool = False


CHANGES = (
    Bad("wrong native VLAN", "trunk0", native=110),
    Bad("wrong interface, up", "mig0"),
    Bad("wrong interface, down", "mig0", up=False, state="rolled-back"),
    Bad("wrong MTU, up", SECOND, native=100, mtu=SMALL, why="frame of 1500 bytes"),
    Bad("wrong MTU, down", SECOND, native=100, up=False, mtu=SMALL, state="rolled-back", why="frame of 1500 bytes"),
    Bad("agent killed", "mig0", up=False, kill=True),
    Bad("wrong MTU on the wire", SECOND, native=100, wire_mtu=SMALL, why="frame of 1500 bytes"),
    Bad("agent killed", SECOND, native=100, up=False, mtu=SMALL, kill=True, why="frame of 1500 bytes"),
)


def second_trunk(park) -> None:
    """Cable trunk1 of node1 to the switch."""
    netns.link_in(park.config.fabric).add_veth("t2-node1", SECOND, peer_netns=park.ns("node1"))
    switch = Switch(park.config)
    switch.add_port("t2-node1", native=100, trunk=True, vlans=(100, 110, 120))
    switch.close()


def shape_link(park, bad: Bad) -> None:
    """The link as this change finds it."""
    inside, fabric = netns.link_in(park.ns("node1")), netns.link_in(park.config.fabric)
    if bad.trunk != "trunk0":
        inside.set(inside.link(bad.trunk).index, up=bad.up, mtu=bad.mtu)
    if bad.trunk == SECOND:
        fabric.set(fabric.link("t2-node1").index, mtu=bad.wire_mtu)


async def kill_at_a_step(park, before: int, dice: random.Random) -> None:
    """SIGKILL once the log has so many steps more, or after the steps while it looks whether all is well."""
    wanted = before + dice.randrange(0, 20)
    end = time.monotonic() + dice.uniform(1.0, 2.5)
    while park.log("node1").read_text().count(" step: ") < wanted and time.monotonic() < end:
        await asyncio.sleep(0.001)
    park.end()


async def bad_change(park, kit, bad: Bad, number: int, dice: random.Random) -> None:
    """Apply one bad change and wait until the agent has decided on it."""
    wish = {"bascule.dev/change": f'{{"id": "n{number}"}}'}
    await netns.net(shape_link, park, bad)
    await asyncio.sleep(0.3)
    steps = park.log("node1").read_text().count(" step: ")
    await park.put_network(kit.network(bad.trunk, bad.native, annotations=wish))
    if bad.kill:
        await kill_at_a_step(park, steps, dice)
        park.start()

    async def decided():
        change = (await park.report()).get("change") or {}
        return change if change.get("id") == f"n{number}" and change["state"] in ("refused", "rolled-back") else None

    change = await kit.until(decided, 60.0, 0.05)
    assert bad.why in change["why"], (bad, change)
    assert bad.kill or change["state"] == bad.state, (bad, change)


async def run(park, kit, count: int, limit: float) -> list[float]:
    dice, took = random.Random(4), []
    park.start()
    await netns.net(second_trunk, park)
    guests = {vid: await park.guest(f"g{vid}", vid, 1) for vid in (100, 110, 120)}
    await park.live(3)
    await kit.until(lambda: all(park.ping(guest) for guest in guests.values()))
    for number in range(count):
        bad = CHANGES[number % len(CHANGES)]
        with park.flood(guests[110]) as flood, park.flood(guests[120]) as other:
            began = time.monotonic()
            await bad_change(park, kit, bad, number, dice)
            await asyncio.sleep(0.5)
            after = flood.last_lost()
            if bad.state == "refused" and not bad.kill:
                assert not flood.lost() and not other.lost(), f"{bad.what}: nothing is touched"
        # A restarted agent tries the change once more, so there may be two gaps: the longest counts.
        outage = _longest(flood) if bad.kill else max(after - began, 0.0) if after else 0.0
        took.append(outage)
        assert outage < limit, f"{bad.what}: {outage:.2f} s"
        learned = {station.mac: station.port for station in await park.fabric.stations()}
        assert {learned.get(guest.mac) for guest in guests.values()} == {"t-node1"}, (bad.what, learned)
        assert all(park.ping(guest) for guest in guests.values()), bad.what
        await park.put_network(kit.network())
        await kit.until(lambda: _good(park))
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
    took = await run(park, kit, 6, 20.0)
    told = ", ".join(f"{bad.what} {seconds:.2f} s" for bad, seconds in zip(CHANGES, took, strict=False))
    print("outage by change:", told)


@pytest.mark.long
async def test_fifty_of_fifty_bad_changes(park, kit):
    took = await run(park, kit, 50, 5.0)
    worst = [f"{bad.what} {max(took[at :: len(CHANGES)]):.2f} s" for at, bad in enumerate(CHANGES)]
    print("50 of 50, longest outage:", ", ".join(worst))
