"""A guest that lies about its MAC or IP, or sends tags, is dropped and counted by reason; the capture sees nothing."""

from __future__ import annotations

import pytest
from tests_frames import Capture, mac, settle
from tests_lab import PREFIX, Lab

pytestmark = [pytest.mark.root, pytest.mark.qemu]

ARP_PROBE = "arping -c 2 -w 2 -I eth0 10.110.0.1"


def drops(lab: Lab, vm: str) -> dict[str, int]:
    """Packets dropped at a VM's port in the last minute, by reason, from the agent's flows."""
    found: dict[str, int] = {}
    for row in lab.cli("flows", "--last", "100000", "-o", "json").json["flows"]:
        if row["vm"] == vm and row["verdict"] == "drop" and row["direction"] == "egress":
            found[row["reason"]] = found.get(row["reason"], 0) + row["packets"]
    return found


@pytest.mark.parametrize(
    ("reason", "commands"),
    [
        ("spoofed-mac", "ip link set eth0 address 52:54:00:00:6e:99; ping -c 2 -W 1 10.110.0.1"),
        ("spoofed-ip", "ip addr add 10.110.0.99/24 dev eth0; ping -c 2 -W 1 -I 10.110.0.99 10.110.0.1"),
    ],
)
def test_a_lying_guest_is_dropped(lab: Lab, reason: str, commands: str) -> None:
    entry = {g["name"]: g for g in lab.status()["guests"]}["web-4"]
    before = drops(lab, "web-4").get(reason, 0)
    with Capture(f"{PREFIX}-{entry['node']}", "trunk0") as wire:
        lab.guest("web-4", "arp -i eth0 -s 10.110.0.1 02:00:00:00:00:01")
        lab.guest("web-4", commands, check=None)
        settle(1.2)
        lied = wire.frames(
            lambda data: data[6:12] == mac("52:54:00:00:6e:99") or data[26:30] == bytes([10, 110, 0, 99])
        )
    undo = "ip link set eth0 address 52:54:00:00:6e:04; ip addr del 10.110.0.99/24 dev eth0; arp -d 10.110.0.1"
    lab.guest("web-4", undo, check=None)
    assert lied == []
    assert drops(lab, "web-4").get(reason, 0) > before
    assert " 0% packet loss" in lab.guest("web-4", "ping -c 2 -W 2 10.110.0.1")


@pytest.mark.parametrize("link", ["eth0.120", "eth0.110.120"])
def test_a_guest_that_tags_once_or_twice_is_dropped(lab: Lab, link: str) -> None:
    entry = {g["name"]: g for g in lab.status()["guests"]}["web-4"]
    before = drops(lab, "web-4").get("tagged", 0)
    lab.guest("web-4", "for m in llc stp garp mrp 8021q; do insmod /m/$m.ko; done", check=None)
    *outer, _ = link.split(".")[1:]
    under = "eth0"
    for vid in outer:
        lab.guest("web-4", f"vconfig add {under} {vid}; ip link set {under}.{vid} up")
        under = f"{under}.{vid}"
    lab.guest("web-4", f"vconfig add {under} 120; ip addr add 10.120.0.99/24 dev {link}; ip link set {link} up")
    with Capture(f"{PREFIX}-{entry['node']}", "trunk0") as wire, Capture(entry["netns"], entry["interface"]) as sent:
        lab.guest("web-4", "ping -c 2 -W 1 10.120.0.1", check=1)
        settle(1.2)
        lied = sent.frames(lambda data: data[6:12] == mac("52:54:00:00:6e:04") and bytes([10, 120, 0, 99]) in data)
        leaked = wire.frames(lambda data: data[6:12] == mac("52:54:00:00:6e:04") and bytes([10, 120, 0, 99]) in data)
    lab.guest("web-4", f"vconfig rem {link}; [ {under} = eth0 ] || vconfig rem {under}")
    assert lied, "the guest sent nothing, so nothing is proven"
    assert leaked == []
    assert drops(lab, "web-4").get("tagged", 0) > before
