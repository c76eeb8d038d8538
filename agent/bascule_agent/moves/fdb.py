"""Where this node's bridges have a MAC, and when that changed: the FDB's own events, kept for the moves to come."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bascule.hostplan.observed import Observed
from bascule_agent.flows.clock import kernel_clock
from bascule_agent.netlink import FdbEntry

MACS, CHANGES = 4096, 32


@dataclass(frozen=True, slots=True)
class Change:
    """A bridge entry came, moved or went. `port` and `bridge` are ifindexes; `name` is the port's, "" when it was too
    new to be known: a port that goes takes its name along."""

    at_ns: int
    port: int
    bridge: int
    vlan: int
    gone: bool
    name: str = ""


class FdbLog:
    """Bounded by MAC and by change; fed on the event loop."""

    def __init__(self) -> None:
        self._of: OrderedDict[str, deque[Change]] = OrderedDict()

    def note(self, entry: FdbEntry, gone: bool, at_ns: int, name: str = "") -> None:
        """One event of the kernel."""
        if entry.local:
            return
        changes = self._of.setdefault(entry.mac, deque(maxlen=CHANGES))
        self._of.move_to_end(entry.mac)
        changes.append(Change(at_ns, entry.index, entry.master, entry.vlan, gone, name))
        while len(self._of) > MACS:
            self._of.popitem(last=False)

    def of(self, mac: str, bridge: int) -> list[Change]:
        """What is known of a MAC on one bridge, oldest first."""
        return [change for change in self._of.get(mac, ()) if change.bridge == bridge]


class FdbView:
    """What one node can say about a MAC's place. `read` gives a bridge's entries (blocking), `observed` the last look
    at the links."""

    def __init__(self, log: FdbLog, read: Callable[[int], list[FdbEntry]], observed: Callable[[], Observed]) -> None:
        self._log, self._read, self._observed = log, read, observed

    def look(self, mac: str, network: str, vlan: int) -> dict[str, Any]:
        """`{bridge, port, static, trunk_side, changes[], clock}`; bridge None when this node has none for the VLAN.
        Blocking; NetlinkError when the kernel refuses."""
        observed = self._observed()
        bridge = _bridge(observed, network, vlan)
        clock = kernel_clock()
        told = {"offset_ns": clock.offset_ns, "error_ns": clock.error_ns, "source": clock.source}
        if bridge is None:
            return {"bridge": None, "port": None, "static": False, "trunk_side": None, "changes": [], "clock": told}
        names = {link.index: link.name for link in observed.links}
        trunks = {link.index for link in observed.links if link.owner is not None and link.owner.role == "s"}
        trunks |= {trunk for trunk, _, _ in observed.demux}
        entry = next(
            (e for e in self._read(bridge) if e.mac == mac and e.vlan in (0, vlan) and not e.local),
            None,
        )
        return {
            "bridge": names[bridge],
            "port": names.get(entry.index, f"if{entry.index}") if entry else None,
            "static": bool(entry and entry.static),
            "trunk_side": entry.index in trunks if entry else None,
            "changes": [
                {"at_ns": c.at_ns, "port": c.name or names.get(c.port, f"if{c.port}"), "gone": c.gone}
                for c in self._log.of(mac, bridge)
            ],
            "clock": told,
        }


def _bridge(observed: Observed, network: str, vlan: int) -> int | None:
    """The bridge of a segment: its own, or the one of all the Network's VLANs."""
    for vid in (vlan, 0):
        for link in observed.links:
            if link.owner is not None and (link.owner.role, link.owner.network, link.owner.vid) == ("b", network, vid):
                return link.index
    return None


def judged(view: dict[str, Any], target: bool, since_ns: int = 0) -> dict[str, Any]:
    """The record's entry for one node: has its bridge turned? None when it has no entry, or no bridge, to turn. Changes
    before `since_ns` belong to other moves."""
    side = view.get("trunk_side")
    moved = None if side is None else (not side if target else bool(side))
    return {
        "bridge": view.get("bridge"),
        "port": view.get("port"),
        "static": bool(view.get("static")),
        "moved": moved,
        "changes": [change for change in view.get("changes") or [] if change["at_ns"] >= since_ns],
    }
