"""`--count-flows` on a kernel without tcx: one clsact filter before another owner's, which goes on deciding.

The other owner's filter drops; that its frames still do not arrive is the proof that ours hands them on. Witnesses:
iproute2, the link's counters.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from tests.agent.conftest import arp, frame
from tests.agent.segments.conftest import put, shell

from bascule_agent.bpf import raw, tcx
from bascule_agent.flows.count import FILTER, Counting, open_counter, sweep, unjudged

pytestmark = pytest.mark.root
FRAMES = 50
MAC = "52:54:00:00:6e:01"
DROP = struct.pack("<BBhi", 0xB7, 0, 0, 2) + struct.pack("<BBhi", 0x95, 0, 0, 0)  # return TC_ACT_SHOT
SIDES = ("ingress", "egress")


def picture(node) -> list[str]:
    shown = [shell(node.netns, f"tc filter show dev trunk0 {side}") for side in SIDES]
    return [*shown, shell(node.netns, "tc qdisc show dev trunk0")]


def filters(node, side: str) -> list[str]:
    return [entry.name for entry in node.netlink.filters(node.netlink.link("trunk0").index, side)]


def test_a_filter_before_the_others_counts_and_decides_nothing(node, pins: Path):
    shell(node.netns, "ip link set trunk0 up; ip link set far0 up")
    index = node.netlink.link("trunk0").index
    with pytest.raises(OSError):
        tcx.attach(index, "ingress", raw.prog_load(DROP, "any"))
    node.netlink.attach_bpf(index, "ingress", raw.prog_load(DROP, "foreign"), "cni")
    before = picture(node)
    with open_counter(pins.parent / "counter") as objects:
        counting = Counting(node.netlink, objects)
        counting.use({index})
        assert filters(node, "ingress") == [FILTER, "cni"] and filters(node, "egress") == [FILTER]
        put(node.netns, "far0", (frame("ff:ff:ff:ff:ff:ff", MAC, arp(MAC, "10.0.0.1", "10.0.0.2")),) * FRAMES)
        drained = unjudged(tuple)(objects)
        mine = [row for row in drained.records if bytes(row["src_mac"]).hex(":") == MAC]
        assert [(int(row["packets"]), int(row["verdict"])) for row in mine] == [(FRAMES, 0)]
        (qdisc,) = (q for q in json.loads(shell(node.netns, "tc -s -j qdisc show dev trunk0")) if q["kind"] == "clsact")
        assert qdisc["drops"] >= FRAMES, "the other owner's filter decides as before"
        counting.close()
        assert picture(node) == before
        Counting(node.netlink, objects).use({index})  # its agent is killed
        sweep(node.netlink)
        assert picture(node) == before
