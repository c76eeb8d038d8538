"""What happened in one move, in order: API phases, the hypervisor, the ports, the fabric, the probes, on one axis.

Every time has a clock and an error. Two times of different clocks that lie closer than their errors together are not
ordered: they get the same `group`, and a reader must not conclude which came first. API times have a resolution of one
second, so a phase is placed by its text and never used to measure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bascule.continuity.aftershock import WINDOW_S

API_ERROR_NS = 1_000_000_000
BATCH_ERROR_NS = 100_000_000
TICK_NS = 1_000


@dataclass(frozen=True, slots=True)
class Moment:
    """One event: CLOCK_REALTIME ns as the record's own node has it, who says so (`api`, `hypervisor`, `port`, `fabric`,
    `fdb`, `source`, `probe`, `watch`), and what. `clock` is the node whose clock it is, `error_ns` how wrong it may be;
    moments of one `group` are not ordered among themselves."""

    at_ns: int
    source: str
    text: str
    clock: str = ""
    error_ns: int = 0
    group: int = 0


def timeline(record: Mapping[str, Any]) -> list[Moment]:
    """All moments of a record (JSON shape of schema.json), oldest first; equal times keep their source's order."""
    moments = [
        *_phases(record),
        *_hypervisor(record),
        *_ports(record),
        *_fabric(record),
        *_fdb(record),
        *_probes(record),
        *_aftershock(record),
    ]
    return grouped(sorted(moments, key=lambda moment: moment.at_ns))


def grouped(moments: list[Moment]) -> list[Moment]:
    """Number the groups: a moment joins the one before when their clocks differ and their errors overlap."""
    found: list[Moment] = []
    for moment in moments:
        group = found[-1].group if found else 0
        if found and not _unordered(found[-1], moment):
            group += 1
        found.append(replace(moment, group=group))
    return found


def _unordered(a: Moment, b: Moment) -> bool:
    return a.clock != b.clock and b.at_ns - a.at_ns < a.error_ns + b.error_ns


def clocks(record: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Per node the clock that its times are in: offset and error in ns against the record's node, and its source.

    A clock that nobody told stands as `None` values: its times are shown, and nothing is concluded from their order.
    """
    found: dict[str, dict[str, Any]] = {
        str(node): dict(clock) for node, clock in (record.get("clocks") or {}).items() if isinstance(clock, Mapping)
    }
    for probe in record["probes"]:
        if probe["clock"]:
            found.setdefault(str(probe["from"]), dict(probe["clock"]))
    for node in (record["source"], record["target"]):
        if node:
            found.setdefault(str(node), {"offset_ns": None, "error_ns": None, "source": "not told"})
    return found


def iso_to_ns(text: str) -> int:
    """An API time (RFC 3339) as ns since the epoch."""
    moment = datetime.fromisoformat(text)
    return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000


def _phases(record: Mapping[str, Any]) -> Iterator[Moment]:
    for phase in record["phases"]:
        if phase["at"]:
            error = TICK_NS if "." in phase["at"] else API_ERROR_NS
            yield Moment(iso_to_ns(phase["at"]), "api", f"phase {phase['phase']}", "api", error)


def _error(record: Mapping[str, Any], node: str) -> int:
    told = (record.get("clocks") or {}).get(node) or {}
    return int(told.get("error_ns") or 0)


def _hypervisor(record: Mapping[str, Any]) -> Iterator[Moment]:
    for event in record["hypervisor_events"]:
        status = f" {event['status']}" if event["status"] else ""
        node = str(record[event["side"]] or event["side"])
        text = f"{event['event']}{status} on the {event['side']}"
        yield Moment(event["at_ns"], "hypervisor", text, node, _error(record, node))


def _ports(record: Mapping[str, Any]) -> Iterator[Moment]:
    for item in record["announcements"]:
        node, error = str(item["node"]), _error(record, str(item["node"]))
        if item.get("by") == "agent":
            text = f"the agent announced the VM by {item['kind'].upper()} on {item['port']}"
        else:
            text = f"first {item['kind'].upper()} of the VM's MAC at {item['port']} on {item['node']}"
        yield Moment(item["at"], "port", text, node, error)
    half = record["source_half"] or {}
    for nic in half.get("nics", []):
        node = str(half["node"])
        if nic["moved_ns"]:
            text = f"{node} let go of {nic['port']}, {len(nic['entries_removed'])} entries removed"
            yield Moment(nic["moved_ns"], "source", text, node, _error(record, node))
        if nic.get("closed_ns"):
            text = f"{node} removed the source endpoint {nic['port']}"
            yield Moment(nic["closed_ns"], "source", text, node, _error(record, node))


def _fabric(record: Mapping[str, Any]) -> Iterator[Moment]:
    fabric = record.get("fabric") or {}
    node, error = str(record["target"]), _error(record, str(record["target"]))
    if fabric.get("first_out_ns"):
        text = f"first frame of the VM's MAC left on {fabric['link']}"
        yield Moment(fabric["first_out_ns"], "fabric", text, node, error)
    if fabric.get("announced_ns"):
        text = f"first announcement on {fabric['link']}: {fabric['announced_kind'].upper()} by {fabric['announced_by']}"
        yield Moment(fabric["announced_ns"], "fabric", text, node, error)
    for number, item in enumerate(fabric.get("spoken") or [], 1):
        if item["at_ns"] != fabric["announced_ns"]:
            text = f"{item['kind'].upper()}, announcement {number} of the VM, left on {fabric['link']}"
            yield Moment(item["at_ns"], "fabric", text, node, error)


def _fdb(record: Mapping[str, Any]) -> Iterator[Moment]:
    for node, view in sorted((record.get("fdb") or {}).items()):
        for change in (view.get("changes") or [])[-4:]:
            verb = "forgot the VM's MAC at" if change["gone"] else "has the VM's MAC at"
            yield Moment(
                change["at_ns"],
                "fdb",
                f"{node}: {view.get('bridge') or 'bridge'} {verb} {change['port']}",
                node,
                _error(record, node),
            )


def _probes(record: Mapping[str, Any]) -> Iterator[Moment]:
    cut = record["cut_ns"]
    for probe in record["probes"]:
        name, node = f"{probe['kind']} from {probe['from']}", str(probe["from"])
        clock = probe["clock"] or {}
        offset, error = clock.get("offset_ns", 0), int(clock.get("error_ns", 0))
        if probe["lost_window_at_ns"] is not None:
            text = f"{name}: first lost of the longest run, {probe['lost_window_ms']:.1f} ms"
            yield Moment(probe["lost_window_at_ns"] - offset, "probe", text, node, error)
        if probe["longest_gap_at_ns"] is not None:
            text = f"{name}: last reply before the longest gap, {probe['longest_gap_ms']:.1f} ms"
            yield Moment(probe["longest_gap_at_ns"] - offset, "probe", text, node, error)
        first = min(
            (rx - offset for _, tx, rx in probe["series"] if rx is not None and cut and tx - offset >= cut),
            default=None,
        )
        if first is not None:
            yield Moment(first, "probe", f"{name}: first reply to a probe sent after the cut-over", node, error)
        for at_ns, total in (probe.get("retransmits_at") or [])[:5]:
            text = f"{name}: {total} segments sent again so far"
            yield Moment(at_ns - offset, "probe", text, node, max(error, BATCH_ERROR_NS))


def _aftershock(record: Mapping[str, Any]) -> Iterator[Moment]:
    watch = record.get("aftershock") or {}
    node = str(record["target"])
    for edge, at_ns in zip(WINDOW_S, watch.get("window_ns") or [], strict=False):
        yield Moment(at_ns, "watch", f"{edge:.0f} s after the cut-over (CORE-13427 strikes from 12 to 20 s)", node)
    for probe in watch.get("probes") or []:
        if probe["error_ns"]:
            text = f"{probe['kind']} from {probe['from']}: {probe['error']}"
            yield Moment(probe["error_ns"], "probe", text, str(probe["from"]), BATCH_ERROR_NS)
        elif probe["lost_window_at_ns"] is not None:
            text = f"{probe['kind']} from {probe['from']}: lost for {probe['lost_window_ms']:.0f} ms in the watch"
            yield Moment(probe["lost_window_at_ns"], "probe", text, str(probe["from"]))
