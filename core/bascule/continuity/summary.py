"""A move record as lines of text: the same for the command line and the screen.

The loss strips share one time axis, so that an outage seen from two places stands in one column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bascule.continuity.series import Point

_UNICODE = "·▁▂▃▄▅▆▇█"
_ASCII = ".12345678"
_LABEL = 18


def loss_strip(series: Sequence[Point], first_ns: int, last_ns: int, width: int, ascii_only: bool = False) -> str:
    """One character per bucket of `first_ns … last_ns`: space no probe, `·` none lost, then eighths lost up to all."""
    scale = _ASCII if ascii_only else _UNICODE
    sent, lost = [0] * width, [0] * width
    span = max(last_ns - first_ns, 1)
    for _, tx, rx in series:
        bucket = min(max((int(tx or 0) - first_ns) * width // span, 0), width - 1)
        sent[bucket] += 1
        lost[bucket] += rx is None
    return "".join(" " if not all_ else scale[-(-gone * 8 // all_)] for all_, gone in zip(sent, lost, strict=True))


def summary_lines(record: Mapping[str, Any], width: int = 80, ascii_only: bool = False) -> list[str]:
    """The record (JSON shape of schema.json) in lines of at most `width` columns where its words allow it."""
    arrow = "->" if ascii_only else "→"
    path = f"{record['source'] or '?'} {arrow} {record['target']}"
    lines = [
        f"{record['namespace']}/{record['vm']}  {path}  {record['verdict'].upper()}",
        _when(record),
        _identity(record, arrow),
        _hypervisor(record),
        *_announced(record),
        *_probe_lines(record, width, ascii_only),
        _tcp(record),
        *_source(record),
        *_fabric(record),
        *_control(record),
        *_watch(record),
    ]
    lines += [f"finding: {finding['id']}: {finding['message']}" for finding in record.get("findings") or []]
    lines += [f"reason: {reason['message']}" for reason in record["reasons"]]
    lines += [f"fix: {reason['fix']}" for reason in record["reasons"] if reason["fix"]]
    lines += [f"missing: {name}: {record['missing_why'].get(name, '')}" for name in record["missing"]]
    return ["".join(c if c.isprintable() else "?" for c in line) for line in lines if line]


def _when(record: Mapping[str, Any]) -> str:
    last = record["phases"][-1]["phase"] if record["phases"] else "no phase seen"
    return f"{record['started'] or '?'} to {record['ended'] or '(running)'}  {last}"


def _identity(record: Mapping[str, Any], arrow: str) -> str:
    parts = []
    for key, label in (("ip", "IP"), ("mac", "MAC"), ("vlan", "VLAN")):
        before, after = record[key]["before"], record[key]["after"]
        if before is None or after is None:
            known = before if after is None else after
            parts.append(f"{label} {'unknown' if known is None else f'{known} (one side only)'}")
        else:
            parts.append(f"{label} {before} unchanged" if before == after else f"{label} {before} {arrow} {after}")
    return "  ".join(parts)


def _hypervisor(record: Mapping[str, Any]) -> str:
    qemu = record["qemu"]
    if not qemu:
        return ""
    parts = [
        f"{label} {value:.1f} ms"
        for label, value in (
            ("STOP to RESUME", qemu["stop_to_resume_ms"]),
            ("QEMU downtime", qemu["downtime_ms"]),
            ("total", qemu["total_ms"]),
        )
        if value is not None
    ]
    return "  ".join([*parts, qemu.get("mode") or ""]).rstrip()


def _announced(record: Mapping[str, Any]) -> list[str]:
    resume = (record["qemu"] or {}).get("resume_ns")
    lines = []
    for item in record["announcements"]:
        after = f", {(item['at'] - resume) / 1e6:+.1f} ms from RESUME" if resume else ""
        if item.get("by") == "agent":
            lines.append(f"announced by the agent: {item['kind'].upper()} on {item['port']} of {item['node']}{after}")
            continue
        lines.append(f"first {item['kind'].upper()} at {item['port']} on {item['node']}{after}")
    return lines


def _probe_lines(record: Mapping[str, Any], width: int, ascii_only: bool) -> list[str]:
    times = [point[1] for probe in record["probes"] for point in probe["series"]]
    if not times:
        return []
    first, last = min(times), max(times)
    columns = max(width - _LABEL, 10)
    lines = []
    for probe in record["probes"]:
        label = f"{probe['kind']} {probe['from']}"
        gap = "-" if probe["longest_gap_ms"] is None else f"{probe['longest_gap_ms']:.1f} ms"
        lost = f"{probe['lost']} lost" + (f" in {probe['lost_window_ms']:.1f} ms" if probe["lost"] else "")
        lines.append(
            f"{label:<{_LABEL}}{probe['sent']} sent every {probe['interval_ms']:g} ms, {lost}, gap {gap}"
            + (f", {probe['duplicates']} dup" if probe["duplicates"] or width >= 90 else "")
        )
        lines.append(" " * _LABEL + loss_strip(probe["series"], first, last, columns, ascii_only))
    cut = record["cut_ns"]
    if cut is not None and first <= cut <= last:
        column = min((cut - first) * columns // max(last - first, 1), columns - 1)
        lines.append(f"{'cut-over':<{_LABEL}}" + " " * column + ("^" if ascii_only else "▲"))
    return lines


def _tcp(record: Mapping[str, Any]) -> str:
    tcp = record["tcp"]
    if tcp["alive"] is None:
        return (
            "TCP stalled: no line came back after the cut-over" if tcp["sessions"] else "TCP: no session was measured"
        )
    return f"TCP {'alive' if tcp['alive'] else 'DIED'}, {tcp['resets']} resets"


def _source(record: Mapping[str, Any]) -> list[str]:
    half = record["source_half"]
    if not half:
        return []
    dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(half.get("dropped_after", {}).items()))
    removed = sum(len(nic["entries_removed"]) for nic in half["nics"])
    return [f"{half['node']}: {removed} static entries removed, dropped after: {dropped or 'none'}"]


def _fabric(record: Mapping[str, Any]) -> list[str]:
    """What left on the trunk, and which bridges have turned; only what is not as it should be needs more words."""
    fabric, fdb = record.get("fabric") or {}, record.get("fdb") or {}
    parts = []
    if fabric.get("announce_delay_ms") is not None:
        by = f"{fabric['announced_kind'].upper()} by the {fabric['announced_by']}"
        parts.append(f"on the fabric {fabric['announce_delay_ms']:.1f} ms after the port's first frame: {by}")
    turned = [view["moved"] for view in fdb.values() if view["moved"] is not None]
    if turned:
        parts.append(f"FDB moved on {sum(turned)} of {len(turned)} bridges")
    return ["  ".join(parts)] if parts else []


def _control(record: Mapping[str, Any]) -> list[str]:
    return [
        f"control {entry['vm']}: {entry['probe']['lost']} of {entry['probe']['sent']} lost, longest gap "
        f"{entry['probe']['longest_gap_ms']:.1f} ms at the same time"
        for entry in record.get("control") or []
        if entry["probe"]["longest_gap_ms"] is not None
    ]


def _watch(record: Mapping[str, Any]) -> list[str]:
    watch = record.get("aftershock")
    if not watch:
        return []
    if watch["state"] == "running":
        return [f"after-shock watch: {watch['seconds']:.0f} s, still running; bascule moves show has it later"]
    lost = sum(probe["lost"] for probe in watch["probes"])
    died = [probe["from"] for probe in watch["probes"] if probe["error"]]
    words = f"{lost} lost" + (f", session from {', '.join(died)} ended" if died else ", every session alive")
    cut = f" ({watch['why']})" if watch["why"] else ""
    return [f"after-shock watch: {watch['state']}{cut}, {words}"]
