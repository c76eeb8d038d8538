"""The source's half of moves: when this node let go of a port, what went with it, and what still came.

The target's agent asks for it (SourceHalf) when the migration has ended; the newest `LIMIT` are kept for that.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any

from bascule.errors import UsageError
from bascule_agent.moves.events import DroppedAfter, PortMoved

LIMIT = 256


class SourceTracker:
    """Told by the runtime, asked by the server; both on the event loop."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._halves: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def port_moved(self, event: PortMoved) -> None:
        """A port of a migrating VM was closed here; a second word on the same NIC replaces the first."""
        half = self._half(event.migration_uid)
        nic = {
            "nic": event.nic.nic,
            "network": event.nic.network,
            "vlan": event.nic.vlan,
            "mac": event.nic.mac,
            "ip": event.nic.ip,
            "port": event.port,
            "moved_ns": event.at_ns,
            "closed_ns": None,
            "entries_removed": list(event.entries_removed),
        }
        half["nics"] = [*(known for known in half["nics"] if known["nic"] != event.nic.nic), nic]

    def dropped(self, event: DroppedAfter) -> None:
        """Frames that still came; nothing is kept for a move whose port was never closed here."""
        if event.migration_uid in self._halves:
            half = self._halves[event.migration_uid]
            half["dropped_after"] = dict(event.by_reason)
            half["to_vm"] = event.to_vm
            if event.last_frame:
                half["last_late"] = {"at_ns": event.last_ns, "frame": event.last_frame}

    def port_closed(self, migration_uid: str, port: str, at_ns: int) -> None:
        """The source's endpoint is gone: its link was removed."""
        for nic in self._halves.get(migration_uid, {}).get("nics", []):
            if nic["port"] == port and nic["closed_ns"] is None:
                nic["closed_ns"] = at_ns

    def half(self, migration_uid: str) -> str:
        """The half as JSON; UsageError when this node was not the source of that move (or has forgotten it)."""
        if migration_uid not in self._halves:
            raise UsageError(
                f"{self._node} let go of no port for migration {migration_uid!r}",
                cause="it was not the source, the port is still open, or the agent was restarted since",
            )
        return json.dumps(self._halves[migration_uid])

    def _half(self, migration_uid: str) -> dict[str, Any]:
        half = self._halves.setdefault(migration_uid, {"node": self._node, "nics": [], "dropped_after": {}})
        while len(self._halves) > LIMIT:
            self._halves.popitem(last=False)
        return half
