"""Block a VM's port for an exact time: a small program drops everything on the pod side of its veth.

The pod side, because nothing of Bascule is there; a program and not `ip link set down`, because a link that flaps
sends the agent events and flushes forwarding entries, and then more than the port is tested. The program knows the
window itself and lets everything pass outside it, so how long attaching takes does not show.
"""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass

from bascule_agent.bpf import raw
from bascule_agent.netlink import Netlink
from bascule_lab.faults.errors import FaultError

TC_ACT_UNSPEC, TC_ACT_SHOT = -1, 2
_KTIME_GET_NS = 5
_CALL, _LOAD_64, _JUMP_LESS, _MOVE, _EXIT = 0x85, 0x18, 0xAD, 0xB7, 0x95
_DIRECTIONS = ("ingress", "egress")
# from loading the program to its window: attaching both ways takes a few ms, on a busy machine more
LEAD_MS = 30.0
ATTEMPTS = 5


@dataclass(frozen=True)
class Block:
    """When nothing passed, CLOCK_REALTIME ns."""

    started_ns: int
    ended_ns: int

    @property
    def milliseconds(self) -> float:
        """How long nothing passed."""
        return (self.ended_ns - self.started_ns) / 1e6


def _instruction(code: int, target: int = 0, source: int = 0, jump: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhi", code, target | source << 4, jump, value)


def _load_64(register: int, value: int) -> bytes:
    low, high = struct.unpack("<ii", struct.pack("<q", value))
    return _instruction(_LOAD_64, register, value=low) + _instruction(0, value=high)


def window_program(start_ns: int, end_ns: int) -> bytes:
    """Instructions that drop while start_ns <= CLOCK_MONOTONIC < end_ns and leave the frame alone otherwise."""
    return b"".join(
        (
            _instruction(_CALL, value=_KTIME_GET_NS),
            _load_64(1, start_ns),
            _instruction(_JUMP_LESS, 0, 1, jump=3),
            _load_64(1, end_ns),
            _instruction(_JUMP_LESS, 0, 1, jump=2),
            _instruction(_MOVE, 0, value=TC_ACT_UNSPEC),
            _instruction(_EXIT),
            _instruction(_MOVE, 0, value=TC_ACT_SHOT),
            _instruction(_EXIT),
        )
    )


def block_port(netns: str, interface: str, milliseconds: float) -> Block:
    """Drop all frames of a pod's interface, both ways, for exactly `milliseconds`. Blocks until it is over.

    Raises FaultError when the interface already carries a program, NetlinkError when it is not there.
    """
    with Netlink(netns) as links:
        index = links.link(interface).index
        if any(links.filters(index, direction) for direction in _DIRECTIONS):
            raise FaultError(f"{interface} in {netns} already carries a program", "is it blocked right now?")
        lead = LEAD_MS
        for _ in range(ATTEMPTS):
            done = _attempt(links, index, lead, milliseconds)
            if done:
                return done
            lead *= 3
    raise FaultError(f"{interface} in {netns} was not blocked", f"attaching took over {lead / 3:.0f} ms", "try again")


def _attempt(links: Netlink, index: int, lead_ms: float, milliseconds: float) -> Block | None:
    """None when both sides were not attached before the window began."""
    start = time.monotonic_ns() + round(lead_ms * 1e6)
    end = start + round(milliseconds * 1e6)
    program = raw.prog_load(window_program(start, end), "lab_block")
    try:
        for direction in _DIRECTIONS:
            links.attach_bpf(index, direction, program, "lab_block")
        if time.monotonic_ns() >= start:
            return None
        offset = time.time_ns() - time.monotonic_ns()
        time.sleep(max(0, end - time.monotonic_ns()) / 1e9)
        return Block(start + offset, end + offset)
    finally:
        for direction in _DIRECTIONS:
            links.detach_bpf(index, direction, "lab_block")
        os.close(program)
