"""What rows with the action Log told through the ring: the newest are kept, all are counted."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import deque
from typing import Any

from bascule.flows.record import EGRESS
from bascule_agent.bpf.layout import LOG_EVENT
from bascule_agent.bpf.objects import Objects
from bascule_agent.bpf.ring import Ring
from bascule_agent.flows.clock import realtime_minus_monotonic

KEPT = 256


class PolicyLogs:
    """Reads the ring from the loop. `entries` are rows of LOG_EVENT with `time` in CLOCK_REALTIME ns, oldest first."""

    def __init__(self, objects: Objects) -> None:
        self._ring = Ring(objects.maps["logs"], LOG_EVENT)
        self.entries: deque[Any] = deque(maxlen=KEPT)
        self.seen = 0

    def start(self) -> None:
        """Begin, with what waits in the ring."""
        asyncio.get_running_loop().add_reader(self._ring.fileno(), self._read)
        self._read()

    def close(self) -> None:
        """Stop reading."""
        asyncio.get_running_loop().remove_reader(self._ring.fileno())
        self._ring.close()

    def _read(self) -> None:
        rows = self._ring.read()
        rows["time"] += realtime_minus_monotonic()
        self.seen += len(rows)
        self.entries.extend(rows[-KEPT:])


def shown(row: Any) -> dict[str, Any]:
    """One entry in the JSON form, without the names that its numbers have."""
    return {
        "direction": "egress" if int(row["direction"]) == EGRESS else "ingress",
        "src": str(ipaddress.IPv4Address(bytes(row["src"]))),
        "dst": str(ipaddress.IPv4Address(bytes(row["dst"]))),
        "src_port": int(row["src_port"]),
        "dst_port": int(row["dst_port"]),
        "proto": int(row["proto"]),
    }
