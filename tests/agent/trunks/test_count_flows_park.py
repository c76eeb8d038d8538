"""`--count-flows` beside another owner's bridge, clsact filters and tcx programs.

Their programs see every frame, nothing of theirs changes, the counts agree, and with the agent all of ours is gone.

Witnesses: iproute2, BPF_PROG_QUERY, the foreign programs' own counts, the link's counters.
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bascule.flows.record import EGRESS, INGRESS, RECORD
from bascule.protocol.gen import agent_pb2 as pb
from bascule_agent.bpf import raw, tcx
from bascule_agent.bpf.objects import ensure
from bascule_agent.flows.count import Counting, open_counter, sweep
from bascule_agent.netlink import Netlink, in_netns

pytestmark = pytest.mark.root
SOURCE = Path(__file__).with_name("foreign.c")
PINGS = 20
SIDES = ("ingress", "egress")


class Owner:
    """Calico's part: a bridge with the trunk and a workload's link, with its programs on the latter."""

    def __init__(self, park) -> None:
        self.park, self.ns = park, park.ns("node1")
        self.objects = ensure(SOURCE, park.config.bpffs / "foreign", {}, {})
        self.links: list[int] = []

    async def build(self) -> None:
        guest = self.guest = await self.park.guest("web", 100, 1)
        for words in (
            "link add calb-dc1 address 02:00:00:00:00:77 type bridge forward_delay 0",
            "link set calb-dc1 up",
            "link set trunk0 master calb-dc1",
            f"link set {guest.link} master calb-dc1",
            f"link set {guest.link} up",
        ):
            subprocess.run(["ip", "-n", self.ns, *words.split()], check=True)
        with Netlink(self.ns) as netlink:
            self.index = netlink.link(guest.link).index
            for side, name in zip(SIDES, ("tc_in", "tc_out"), strict=True):
                netlink.attach_bpf(self.index, side, self.objects.programs[name], f"foreign_{name}")
        for side, name in zip(SIDES, ("tcx_in", "tcx_out"), strict=True):
            program = self.objects.programs[name]
            self.links.append(in_netns(self.ns, lambda s=side, p=program: tcx.attach(self.index, s, p)))

    def seen(self) -> list[int]:
        """Frames that its programs saw: tcx in, tcx out, tc in, tc out."""
        fd = self.objects.maps["seen"]
        return [struct.unpack("<Q", raw.lookup(fd, struct.pack("<I", place), 8))[0] for place in range(4)]

    def counters(self) -> tuple[int, int]:
        """The kernel's own: frames received from the workload, frames sent to it."""
        link = json.loads(self.park.iproute("ip", "-j", "-s", "link", "show", self.guest.link))[0]
        return link["stats64"]["rx"]["packets"], link["stats64"]["tx"]["packets"]

    def programs(self) -> dict[str, list[int]]:
        return in_netns(self.ns, lambda: {side: tcx.programs(self.index, side) for side in SIDES})

    def picture(self) -> dict:
        """Everything of the node that another tool can see."""
        devices = ("trunk0", "calb-dc1", self.guest.link)
        links = json.loads(self.park.iproute("ip", "-d", "-j", "link"))
        timers = ("hello_timer", "gc_timer", "tcn_timer", "topology_change_timer")
        for link in links:
            data = link.get("linkinfo", {}).get("info_data", {})
            link["linkinfo"] = {key: value for key, value in data.items() if key not in timers}
        return {
            "links": links,
            "bridge": self.park.iproute("bridge", "-d", "-j", "link"),
            "tc": [self.park.iproute("tc", "-j", "filter", "show", "dev", d, s) for d in devices for s in SIDES],
            "qdisc": self.park.iproute("tc", "-j", "qdisc", "show"),
            "addresses": self.park.iproute("ip", "-j", "address"),
            "tcx": self.programs(),
        }

    def close(self) -> None:
        for fd in self.links:
            os.close(fd)
        self.objects.close()


@pytest.fixture
async def owner(park):
    made = Owner(park)
    try:
        await made.build()
        await asyncio.sleep(0.5)  # the bridge's port is forwarding, the neighbours' first words are said
        yield made
    finally:
        made.close()


async def flows(park) -> tuple[np.ndarray, pb.FlowBatch]:
    async def ask(stub, metadata):
        return [each async for each in stub.Flows(pb.FlowsRequest(history_seconds=60), metadata=metadata)]

    batches = await park.call(ask)
    return np.concatenate([np.frombuffer(each.records, RECORD) for each in batches]), batches[-1]


def status(park) -> str:
    command = [sys.executable, "-m", "bascule_agent.cli", "status", "--node=node1"]
    command += [f"--pin-root={park.config.bpffs / 'agents'}"]
    return in_netns(park.ns("node1"), lambda: subprocess.check_output(command, text=True))


async def test_both_owners_programs_see_every_frame_and_the_counts_agree(park, kit, owner):
    before = owner.picture()
    (foreign_in,), (foreign_out,) = before["tcx"].values()
    park.start(mode="observe", words=("--count-flows",))
    await kit.until(park.report)
    await kit.until(lambda: all(len(found) == 2 for found in owner.programs().values()), 20.0)
    ours = {side: found[0] for side, found in owner.programs().items()}
    assert owner.programs() == {"ingress": [ours["ingress"], foreign_in], "egress": [ours["egress"], foreign_out]}
    told = status(park)
    for side, name in zip(SIDES, ("count_in", "count_out"), strict=True):
        assert f"program {name} on {owner.guest.link} {side} tcx id {ours[side]}" in told

    records, _ = await flows(park)
    begun = _packets(records)
    seen, kernel = owner.seen(), owner.counters()
    assert park.ping(owner.guest, PINGS)

    async def counted():
        records, batch = await flows(park)
        sent, got = (now - then for now, then in zip(_packets(records), begun, strict=True))
        deltas = [now - then for now, then in zip(owner.seen(), seen, strict=True)]
        rx, tx = (now - then for now, then in zip(owner.counters(), kernel, strict=True))
        assert min(deltas) >= PINGS, "the foreign programs did not see the pings"
        return (records, batch) if (sent, got) == (rx, tx) == tuple(deltas[:2]) == tuple(deltas[2:]) else None

    records, batch = await kit.until(counted, 10.0, 0.2)
    assert set(records["verdict"]) == {0} and set(records["vlan"]) == {100}
    assert batch.ledger.seen == batch.ledger.sent and batch.ports[0].vm == "web"

    after = owner.picture()
    assert {what: found for what, found in after.items() if what != "tcx"} == {
        what: found for what, found in before.items() if what != "tcx"
    }
    park.end()  # SIGKILL: nothing of the agent runs to take it off
    await kit.until(lambda: owner.programs() == before["tcx"])
    assert owner.picture() == before
    assert "program count_" not in status(park)


def _packets(records: np.ndarray) -> tuple[int, int]:
    return tuple(int(records["packets"][records["direction"] == side].sum()) for side in (EGRESS, INGRESS))


async def test_where_the_kernel_has_no_tcx_a_filter_stands_before_the_others(park, kit, owner, monkeypatch):
    """The same with the older way; the kernel tier runs it on a kernel that really has no tcx."""

    def absent(*_: object) -> int:
        raise OSError(22, "Invalid argument")

    before = owner.picture()
    monkeypatch.setattr("bascule_agent.flows.count.tcx.attach", absent)
    with Netlink(owner.ns) as netlink, open_counter(park.config.bpffs / "counter") as objects:
        counting = Counting(netlink, objects)
        counting.use({owner.index})
        assert [f.name for f in netlink.filters(owner.index, "ingress")] == ["bascule-count", "foreign_tc_in"]
        seen = owner.seen()
        assert park.ping(owner.guest, PINGS)
        deltas = [now - then for now, then in zip(owner.seen(), seen, strict=True)]
        assert min(deltas) >= PINGS and deltas[:2] == deltas[2:]
        counting.close()
        assert owner.picture() == before
        Counting(netlink, objects).use({owner.index})  # and is killed
        sweep(netlink)
        assert owner.picture() == before
