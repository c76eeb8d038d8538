"""Drift inside is repaired and named; a fault outside is named, not touched, and clears. Under the real agent."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time

import pytest

from bascule_lab.fabric.switch import Switch
from bascule_lab.nodes import netns

pytestmark = pytest.mark.root


async def two(park, kit):
    park.start()
    guests = [await park.guest("web", 110, 1), await park.guest("db", 120, 1), await park.guest("old", 100, 1)]
    await park.live(3)
    await kit.until(lambda: all(park.ping(guest) for guest in guests))
    await asyncio.sleep(2.0)  # two rounds of the watch: every VLAN has answered
    return guests


def ip(park, *words: str) -> None:
    subprocess.run([words[0], "-n", park.ns("node1"), *words[1:]], check=True)


def finding(report: dict, words: str) -> dict | None:
    return next((f for f in report.get("findings", []) if words in f["message"]), None)


async def test_drift_is_repaired_and_named_within_a_second(park, kit):
    web, *_ = await two(park, kit)
    report = await park.report()
    bridge = next(b for b in report["bridges"] if b["vlan"] == 110)
    stub = next(name for name in bridge["ports"] if name.startswith("bss-"))
    ip(park, "ip", "link", "add", "stranger0", "type", "veth", "peer", "stranger1")
    await asyncio.sleep(0.3)
    shape = park.shape()
    acts = {
        f"ip link set {stub} master {bridge['name']}": ("ip", "link", "set", stub, "nomaster"),
        f"{bridge['name']} mtu": ("ip", "link", "set", bridge["name"], "mtu", "1400"),
        f"bridge {bridge['name']} has its MAC": ("ip", "link", "set", bridge["name"], "address", "02:00:00:00:00:99"),
        "foreign port stranger0": ("ip", "link", "set", "stranger0", "master", bridge["name"]),
        "port hv-web": ("bridge", "link", "set", "dev", "hv-web", "learning", "on", "locked", "off"),
        "trunk_in": ("tc", "filter", "del", "dev", "trunk0", "ingress"),
    }
    for words, act in acts.items():
        began = time.monotonic()
        ip(park, *act)

        async def seen(words=words):
            return finding(await park.report(), words)

        found = await kit.until(seen)
        took = time.monotonic() - began
        assert found["repaired"] and found["severity"] == "info", found
        print(f"{words}: {took:.2f} s")
        await kit.until(lambda: park.shape() == shape)
        await kit.until(lambda: park.ping(web))
    condition = await park.condition()
    assert condition["status"] == "True" and condition["reason"] == "DriftRepaired"
    filters = json.loads(park.iproute("tc", "-j", "filter", "show", "dev", "trunk0", "ingress"))
    assert [f["options"]["bpf_name"] for f in filters if "bpf_name" in f.get("options", {})] == ["demux_in"]


async def named(park, kit, reason: str, words: str) -> float:
    began = time.monotonic()

    async def bad():
        found = await park.condition()
        return found if found["reason"] == reason and found["status"] == "False" else None

    condition = await kit.until(bad)
    assert words in condition["message"], condition
    return time.monotonic() - began


async def cleared(park, kit) -> float:
    began = time.monotonic()

    async def good():
        return (await park.condition())["status"] == "True"

    await kit.until(good)
    return time.monotonic() - began


async def test_a_fault_outside_is_named_not_touched_and_clears(park, kit):
    await two(park, kit)
    shape, took = park.shape(), {}
    await park.fabric.deny_vlan("node1", 110)
    took["vlan named"] = await named(park, kit, "VlanSilent", "VLAN 110 is silent on trunk0, while VLAN")
    await park.fabric.allow_vlan("node1", 110)
    took["vlan clear"] = await cleared(park, kit)
    await park.fabric.cut("node1")
    took["cable named"] = await named(park, kit, "TrunkDown", "no carrier")
    await park.fabric.restore("node1")
    took["cable clear"] = await cleared(park, kit)
    await netns.net(native, park, 120)
    took["native named"] = await named(park, kit, "NativeMismatch", "another native VLAN")
    await netns.net(native, park, 100)
    took["native clear"] = await cleared(park, kit)
    print({what: round(seconds, 2) for what, seconds in took.items()})  # the figure is make bench ONLY=trunkfaults
    assert park.shape() == shape
    assert (await park.report())["change"]["state"] == "confirmed", "nothing was planned for a fault outside"


def native(park, vlan: int) -> None:
    """Another native VLAN on node1's switch port."""
    switch = Switch(park.config)
    index = switch._index("t-node1")
    switch._objects.put("sw_ports", (index,), (vlan, 1))
    switch.close()
