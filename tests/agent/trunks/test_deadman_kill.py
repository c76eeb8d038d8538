"""The agent dies between two steps of a change: the dead-man process takes it back, and no VLAN saw a foreign frame.

The change is the worst one: all VLANs move to another trunk. The normal run kills at a few steps, test-long at each.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests_frames import Capture

from bascule.hostplan.desired import Desired, Segment, TrunkUse
from bascule.hostplan.names import bridge_mac, link_name
from bascule.hostplan.plan import plan
from bascule.trunks.change import encode
from bascule_agent.apply.host import Host
from bascule_agent.apply.undo import Record, roll_back
from bascule_agent.bpf import layout
from bascule_agent.bpf.objects import ensure
from bascule_agent.netlink import in_netns
from bascule_agent.ports import PortSpec

pytestmark = pytest.mark.root
VLANS = (100, 110, 120)
CHILD = """
import json, os, signal, sys, time
from pathlib import Path
from bascule.trunks.change import decode
from bascule_agent.apply.guard import Guard
from bascule_agent.apply.host import Host
from bascule_agent.bpf import layout
from bascule_agent.bpf.objects import Objects
steps = [decode(each) for each in json.loads(sys.argv[4])]
host = Host(Objects.open(Path(sys.argv[1]), layout.LAYOUT))
guard = Guard(Path(sys.argv[2]), Path(sys.argv[1]))
guard.arm(steps, float(sys.argv[5]))
for step in steps[: int(sys.argv[3])]:
    host.execute(step)
print(guard.pid, flush=True)
if sys.argv[6] == "die":
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(60)
"""


def desired(trunk: str, native: int | None) -> Desired:
    segments = tuple(Segment("dc1", vid, trunk, 1500, bridge_mac("node1", "dc1", vid)) for vid in VLANS)
    return Desired(segments, (TrunkUse(trunk, native),))


class Bed:
    """node1 with three VLANs built and a guest in each, without an agent."""

    def __init__(self, park) -> None:
        self.park, self.ns = park, park.ns("node1")
        self.objects = ensure(layout.SOURCE, park.config.bpffs / "agents", layout.defines(), layout.LAYOUT)
        self.host = Host(self.objects, self.ns)
        self.record = park.state / "change.lock"

    async def build(self) -> None:
        for step in plan(desired("trunk0", 100), self.host.observe()):
            self.host.execute(step)
        for vid in VLANS:
            guest = await self.park.guest(f"g{vid}", vid, 1)
            bridge = self.host.netlink.link(link_name("b", "dc1", vid)).index
            index = self.host.netlink.link(guest.link).index
            self.host.ports.bring_up(PortSpec(index, guest.mac, guest.ip, vid, "dc1"), bridge)

    def state(self):
        seen = self.host.observe()
        return (self.park.shape(), seen.demux, seen.mux, seen.native, seen.attached)

    def change(self, steps, kill_after: int, seconds: float = 10.0, then: str = "die") -> subprocess.Popen:
        arguments = [str(self.objects.pin_dir), str(self.record), str(kill_after)]
        arguments += [json.dumps([encode(step) for step in steps]), str(seconds), then]
        command = [sys.executable, "-c", CHILD, *arguments]
        child = in_netns(self.ns, lambda: subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
        with child.stdout as out:
            self.deadman = int(out.readline())
        return child

    def close(self) -> None:
        self.host.close()
        self.objects.close()


@pytest.fixture
async def bed(park):
    made = Bed(park)
    try:
        await made.build()
        yield made
    finally:
        made.close()


def back(bed: Bed, before, seconds: float) -> float:
    began = time.monotonic()
    while bed.state() != before:
        assert time.monotonic() - began < seconds, "the change was not taken back in time"
        time.sleep(0.02)
    return time.monotonic() - began


def foreign(captures: dict[int, Capture], park) -> list[tuple[int, str]]:
    """(VLAN, MAC) of frames that a guest of another VLAN sent there."""
    found = []
    for vid, capture in captures.items():
        for frame in capture.frames():
            for guest in park.guests.values():
                if guest.vlan != vid and frame.data[6:12].hex(":") == guest.mac:
                    found.append((vid, guest.mac))
    return found


async def kill_at(bed: Bed, park, points, limit: float) -> list[float]:
    steps = plan(desired("mig0", None), bed.host.observe())
    before, took = bed.state(), []
    captures = {vid: Capture(park.config.gateway, f"vlan{vid}") for vid in VLANS}
    for kill_after in points(len(steps)):
        with park.flood(park.guests["g110"], 50.0) as flood:
            bed.change(steps, kill_after).wait()
            took.append(back(bed, before, limit))
            end = time.monotonic() + limit
            mark = time.monotonic()
            while not any(at > mark for at in list(flood.got.values())):
                assert time.monotonic() < end, f"no traffic after a kill at step {kill_after}"
                time.sleep(0.02)
        assert all(park.ping(guest) for guest in park.guests.values())
    assert foreign(captures, park) == []
    for capture in captures.values():
        capture.close()
    return took


async def test_a_kill_between_steps_is_taken_back(bed, park):
    took = await kill_at(bed, park, lambda n: sorted({0, 1, n // 4, n // 2, 3 * n // 4, n}), 30.0)
    print(f"taken back after {', '.join(f'{seconds:.2f}' for seconds in took)} s")


@pytest.mark.long
async def test_a_kill_at_every_step_is_taken_back(bed, park):
    took = await kill_at(bed, park, lambda n: range(n + 1), 5.0)
    print(f"{len(took)} kill points, at most {max(took):.2f} s")


async def test_the_timer_takes_it_back_when_the_agent_only_hangs(bed, park):
    steps, before = plan(desired("mig0", None), bed.host.observe()), bed.state()
    child = bed.change(steps, len(steps), seconds=1.0, then="hang")
    child.send_signal(signal.SIGSTOP)
    try:
        back(bed, before, 30.0)
    finally:
        child.kill()
        child.wait()


async def test_both_dead_the_next_agent_takes_it_over(bed, park):
    steps, before = plan(desired("mig0", None), bed.host.observe()), bed.state()
    child = bed.change(steps, len(steps), then="hang")
    Path(f"/proc/{bed.deadman}/cmdline").read_bytes().index(b"deadman")
    child.send_signal(signal.SIGSTOP)  # so that the end of the socket is not what wakes it
    subprocess.run(["kill", "-9", str(bed.deadman)], check=True)
    child.kill()
    child.wait()
    assert bed.state() != before
    record = Record(bed.record)
    record.lock(30.0)
    assert len(record.read()) == len(steps)
    assert roll_back(record.read(), bed.host.execute) == []
    record.close()
    assert bed.state() == before and all(park.ping(guest) for guest in park.guests.values())
