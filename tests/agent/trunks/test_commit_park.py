"""Commit-confirm under the real agent: bad changes are refused or taken back, traffic says so."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from bascule.protocol.gen import agent_pb2 as pb
from bascule_lab.fabric.switch import Switch
from bascule_lab.nodes import netns

pytestmark = pytest.mark.root


async def three(park, kit):
    park.start()
    guests = [await park.guest("web", 110, 1), await park.guest("db", 120, 1), await park.guest("old", 100, 1)]
    await park.live(3)
    await kit.until(lambda: all(park.ping(guest) for guest in guests))
    return guests


async def changed(park, kit, *states: str, seconds: float = 60.0) -> dict:
    async def probe():
        change = (await park.report()).get("change") or {}
        return change if change.get("state") in states and "dc1" in change["networks"] else None

    return await kit.until(probe, seconds, 0.05)


async def test_a_wrong_native_vlan_is_refused_before_anything_is_touched(park, kit):
    web, db, old = await three(park, kit)
    before = park.shape()
    with park.flood(old) as native, park.flood(web) as tagged:
        await park.put_network(kit.network(native=110))
        change = await changed(park, kit, "refused")
        await asyncio.sleep(0.5)
        assert not native.lost() and not tagged.lost()
    assert "does not answer" in change["why"]
    assert park.shape() == before
    condition = await kit.until(lambda: _bad(park))
    assert condition["reason"] == "ProofFailed" and "dc1: not applied: " in condition["message"]
    await park.put_network(kit.network())
    await kit.until(lambda: _good(park))


async def test_a_wrong_interface_that_must_come_up_first_is_taken_back(park, kit):
    """The trunk to come is down, so it cannot be asked ahead: only commit-confirm helps."""
    guests = await three(park, kit)
    node = park.ns("node1")
    await netns.net(lambda: netns.link_in(node).set(netns.link_in(node).link("mig0").index, up=False))
    await asyncio.sleep(0.6)  # a report may be half a second old
    report = await park.report()
    with park.flood(guests[0]) as flood:
        began = time.monotonic()
        await park.put_network(kit.network(trunk="mig0"))
        change = await changed(park, kit, "rolled-back")
        await asyncio.sleep(0.6)
        assert flood.lost(), "the change was never really made"
        assert flood.last_lost() - began < 20.0  # the figure is test_commit_fifty's
    assert "does not answer" in change["why"]
    after = await park.report()
    assert after["trunk"]["vlans"] == report["trunk"]["vlans"] and after["bridges"] == report["bridges"]
    assert (await kit.until(lambda: _bad(park)))["reason"] == "RolledBack"
    # A new port is served by the version that works.
    await park.guest("web2", 110, 2)
    await park.live(4)
    assert park.ping(park.guests["web2"]), "new ports go on with the accepted version"
    # A restarted agent does not try it again.
    park.end()
    park.start()
    await park.live(4)
    with park.flood(guests[0]) as flood:
        await asyncio.sleep(2)
    assert not flood.lost()
    assert (await park.condition())["reason"] == "RolledBack"


async def test_manual_waits_for_the_word_and_goes_back_without_it(park, kit):
    await three(park, kit)
    wish = {"bascule.dev/change": json.dumps({"id": "c1", "confirm": "manual", "seconds": 30})}
    # Without native VLAN the guest in VLAN 100 loses its way: not asked, because only 110 and 120 are in use here.
    await park.cluster.delete(kit.POD, "virt-launcher-old", "vms")
    await park.live(2)
    await asyncio.sleep(0.5)
    wider = kit.network(native=None, vlans=(100, 110, 120, 130), annotations=wish)
    await park.put_network(wider)
    change = await changed(park, kit, "waiting", "confirmed", "refused", "rolled-back")
    assert change["id"] == "c1" and change["state"] == "waiting", change
    assert change["checks"]["vlan dc1/110"] == ""
    say = lambda stub, md: stub.Confirm(pb.ChangeRequest(change="c1"), metadata=md)  # noqa: E731
    await park.call(say)
    assert (await changed(park, kit, "confirmed"))["id"] == "c1"

    wish = {"bascule.dev/change": json.dumps({"id": "c2", "confirm": "manual", "seconds": 3})}
    await park.put_network(kit.network(annotations=wish))
    assert (await changed(park, kit, "waiting"))["id"] == "c2"
    change = await changed(park, kit, "rolled-back")
    assert change["id"] == "c2" and "nobody confirmed" in change["why"]


async def test_a_trunk_that_takes_only_smaller_frames_than_before_is_refused(park, kit):
    """Guests that send 4,000 bytes would be cut off by a trunk of 1,500 that answers every small question."""
    await netns.net(large, park, 4000)
    await three(park, kit)
    await netns.net(cable_two, park)
    before = park.shape()
    await park.put_network(kit.network(trunk="trunk1"))
    change = await changed(park, kit, "refused")
    assert "does not answer a frame of 4000 bytes on trunk1 (its MTU is 1500) in VLAN 110" in change["why"]
    assert park.shape() == before
    inside = netns.link_in(park.ns("node1"))
    await netns.net(lambda: inside.set(inside.link("trunk1").index, mtu=4000))
    await netns.net(large, park, 4000)
    await kit.until(lambda: _good(park))
    report = await park.report()
    assert report["trunk"]["name"] == "trunk1" and report["trunk"]["vlans"] == [100, 110, 120]


def large(park, mtu: int) -> None:
    """Switch, gateway and trunk0 take frames of that size."""
    for name in (park.config.fabric, park.config.gateway):
        inside = netns.link_in(name)
        for link in sorted(inside.links(), key=lambda each: each.kind == "vlan"):
            if link.name != "lo":
                inside.set(link.index, mtu=mtu)
    inside = netns.link_in(park.ns("node1"))
    inside.set(inside.link("trunk0").index, mtu=mtu)


def cable_two(park) -> None:
    """A second trunk of node1 to the switch."""
    netns.link_in(park.config.fabric).add_veth("t2-node1", "trunk1", peer_netns=park.ns("node1"))
    inside = netns.link_in(park.ns("node1"))
    inside.set(inside.link("trunk1").index, up=True)
    switch = Switch(park.config)
    switch.add_port("t2-node1", native=100, trunk=True, vlans=(100, 110, 120))
    switch.close()


async def _bad(park) -> dict:
    found = await park.condition()
    return found if found.get("status") == "False" else {}


async def _good(park) -> dict:
    found = await park.condition()
    return found if found.get("status") == "True" else {}
