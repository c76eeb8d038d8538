"""Block a VM's port for an exact time: a two-instruction program drops everything on the pod side of its veth.

The pod side, because nothing of Bascule is there; a program and not `ip link set down`, because a link that flaps
sends the agent events and flushes forwarding entries, and then more than the port is tested.
"""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass

from bascule_agent.bpf import raw
from bascule_agent.netlink import Netlink

from bascule_lab.faults.errors import FaultError

TC_ACT_SHOT = 2
_MOV64_IMM, _EXIT = 0xB7, 0x95
_DROP_ALL = struct.pack("<BBhi", _MOV64_IMM, 0, 0, TC_ACT_SHOT) + struct.pack("<BBhi", _EXIT, 0, 0, 0)
# sleep() overshoots by a scheduler tick; the last stretch is spun
_SPIN_S = 0.002


@dataclass(frozen=True)
class Block:
    """When nothing passed, CLOCK_REALTIME ns: from after the second direction was closed until both were open."""

    started_ns: int
    ended_ns: int

    @property
    def milliseconds(self) -> float:
        """How long nothing passed."""
        return (self.ended_ns - self.started_ns) / 1e6


def block_port(netns: str, interface: str, milliseconds: float) -> Block:
    """Drop all frames of a pod's interface, both ways, for `milliseconds`. Blocking for that long.

    Raises FaultError when the interface already carries a program of someone else, NetlinkError when it is not there.
    """
    program = raw.prog_load(_DROP_ALL, "lab_block")
    try:
        with Netlink(netns) as links:
            index = links.link(interface).index
            if links.filters(index, "ingress") or links.filters(index, "egress"):
                raise FaultError(f"{interface} in {netns} already carries a program", "is it blocked right now?")
            links.attach_bpf(index, "ingress", program, "lab_block")
            try:
                links.attach_bpf(index, "egress", program, "lab_block")
                started = time.time_ns()
                _wait_until(started + round(milliseconds * 1e6))
            finally:
                links.detach_bpf(index)
            return Block(started, time.time_ns())
    finally:
        os.close(program)


def _wait_until(deadline_ns: int) -> None:
    left = (deadline_ns - time.time_ns()) / 1e9
    if left > _SPIN_S:
        time.sleep(left - _SPIN_S)
    while time.time_ns() < deadline_ns:
        continue
