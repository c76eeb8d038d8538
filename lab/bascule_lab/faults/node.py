"""A node lost, as by a power cut, and found again.

Its agent and its guests are killed and its links cut. A namespace does not reboot: what the kernel held (bridges,
programs, the dead guests' ports) is still there when the node comes back.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path

from bascule_lab.agents import hold
from bascule_lab.config import LabConfig
from bascule_lab.faults import orders, process
from bascule_lab.faults.errors import FaultError
from bascule_lab.faults.switch import LINKS, cut, restore

FOREVER_S = 10 * 365 * 86400.0


async def lose(config: LabConfig, node: str, place: Path, agent: int, guests: Iterable[int]) -> int:
    """Take a node away at once; `agent` and `guests` are pids, 0 for one that does not run. CLOCK_REALTIME ns."""
    orders.lose_node(config.state, node)
    hold(place, FOREVER_S)
    at = time.time_ns()
    for link in LINKS:
        await cut(config, node, link)
    for pid in guests:
        with contextlib.suppress(FaultError):
            process.kill_guest(pid)
    with contextlib.suppress(FaultError):
        process.kill_agent(agent)
    return at


async def find(config: LabConfig, node: str, place: Path) -> None:
    """Bring it back: links up, the agent starts again within a second."""
    for link in LINKS:
        await restore(config, node, link)
    hold(place, 0.0)
    orders.find_node(config.state, node)
