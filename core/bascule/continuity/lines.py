"""A record in full as lines of text: path, phases, probes, the cut-over probe by probe, timeline, findings, the minute
after. The same for the command line (`moves show -o wide`) and the screen; `summary.py` has the short form.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bascule.continuity.aftershock import WINDOW_S, after_s
from bascule.continuity.timeline import clocks, iso_to_ns, timeline

Record = Mapping[str, Any]
LABEL = 18
OPEN_NS = 100_000_000
HEADINGS = ("PATH", "PHASES", "PROBES", "CUT-OVER", "TIMELINE", "FINDINGS", "THE MINUTE AFTER", "CLOCKS")


def record_lines(record: Record, width: int = 100, ascii_only: bool = False) -> list[str]:
    """Sections with a heading each; empty ones are left out. No line is longer than `width` where words allow it."""
    sections = (
        path_lines(record, ascii_only),
        phase_lines(record),
        probe_table(record, width),
        zoom_lines(record, width, ascii_only),
        timeline_lines(record, ascii_only),
        finding_lines(record),
        aftershock_lines(record, ascii_only),
        clock_lines(record),
    )
    lines: list[str] = []
    for heading, section in zip(HEADINGS, sections, strict=True):
        if section:
            lines += ["", heading, *section]
    return ["".join(c if c.isprintable() else "?" for c in line) for line in lines[1:]]


def path_lines(record: Record, ascii_only: bool = False) -> list[str]:
    """Who asks, over which fabric, at which port of which node: the old way closed, the new one open."""
    tee, elbow, left, open_ = ("+-", "`-", "x", ">") if ascii_only else ("├─", "└─", "✗", "▶")
    asking = ", ".join(dict.fromkeys(f"{p['from']}" for p in record["probes"])) or "nobody asked"
    nics = (record["source_half"] or {}).get("nics") or [{}]
    old = nics[0].get("port") or "port not told"
    new = next((a["port"] for a in record["announcements"] if a.get("by") != "agent"), "port not seen yet")
    moved, cut = nics[0].get("moved_ns"), record["cut_ns"]
    closed = f", let go {(moved - cut) / 1e6:+.1f} ms from RESUME" if moved and cut else ""
    vlan = record["vlan"]["after"] or record["vlan"]["before"]
    ip = record["ip"]["after"] or record["ip"]["before"] or "address not told"
    return [
        f"{asking}",
        f"  {tee} VLAN {vlan} {left} {record['source'] or '?'} {old}{closed}",
        f"  {elbow} VLAN {vlan} {open_} {record['target']} {new}  {record['vm']} {ip}",
    ]


def phase_lines(record: Record) -> list[str]:
    """Each phase, when it began and how long it took; the memory that crossed, at which rate, in Running."""
    known = [(phase["phase"], iso_to_ns(phase["at"])) for phase in record["phases"] if phase["at"]]
    qemu = record["qemu"] or {}
    lines = []
    for at, (name, began) in enumerate(known):
        took = f"{(known[at + 1][1] - began) / 1e9:6.2f} s" if at + 1 < len(known) else ""
        line = f"{name:<17} +{(began - known[0][1]) / 1e9:5.2f} s  {took}"
        if name == "Running":
            line += _rates(qemu)
        lines.append(line.rstrip())
    lines += [f"{phase['phase']:<17} no time told" for phase in record["phases"] if not phase["at"]]
    return lines


def _rates(qemu: Mapping[str, Any]) -> str:
    parts = []
    if qemu.get("ram_bytes") is not None:
        parts.append(f"{qemu['ram_bytes'] / 1e6:.1f} MB of memory")
    if qemu.get("ram_mbps") is not None:
        parts.append(f"{qemu['ram_mbps']:.0f} Mbit/s")
    if qemu.get("fault_requests") is not None:
        parts.append(f"{qemu['fault_requests']} pages fetched on demand")
    if qemu.get("fault_stall_ms") is not None:
        parts.append(f"vCPU stalled {qemu['fault_stall_ms']:.0f} ms by it")
    return "  " + ", ".join(parts) if parts else "  rate not told by the hypervisor"


def probe_table(record: Record, width: int = 100) -> list[str]:
    """As mtr has it: a line per probe, and the control beside them, subtracted from nothing."""
    rows = [(f"{p['kind']} {p['from']}", p) for p in record["probes"]]
    rows += [(f"control {c['vm'].rpartition('/')[2]}", c["probe"]) for c in record.get("control") or []]
    if not rows:
        return []
    wide = width >= 92
    head = f"{'':<{LABEL}}{'SENT':>6}{'LOST':>6}{'LOSS':>7}{'GAP ms':>9}{'RTT ms':>8}{'AFTER':>8}"
    head += f"{'TWICE':>7}{'ORDER':>7}{'AGAIN':>7}" if wide else ""
    lines = [head]
    for label, probe in rows:
        lost = probe["lost"] - (0 if record["complete"] else _open(probe["series"]))
        share = 100 * lost / probe["sent"] if probe["sent"] else 0.0
        line = f"{label[: LABEL - 1]:<{LABEL}}{probe['sent']:>6}{lost:>6}{share:>6.1f}%"
        line += (
            f"{_ms(probe['longest_gap_ms'], 1):>9}{_ms(probe['rtt_before_ms'], 2):>8}{_ms(probe['rtt_after_ms'], 2):>8}"
        )
        if wide:
            line += f"{probe['duplicates']:>7}{probe.get('reordered', 0):>7}{probe.get('retransmits', 0):>7}"
        lines.append(line)
    return lines


def _open(series: Sequence[Sequence[int | None]]) -> int:
    """Probes of the newest tenth of a second that may still be answered."""
    last = (series[-1][1] or 0) if series else 0
    return sum(rx is None and last - (tx or 0) < OPEN_NS for _, tx, rx in series)


def _ms(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def zoom_lines(record: Record, width: int = 100, ascii_only: bool = False) -> list[str]:
    """One character per probe around the cut-over: what was sent and came back, and what did not."""
    cut = record["cut_ns"]
    probes = [p for p in record["probes"] if p["series"] and p["kind"] != "tcp-echo"]
    if cut is None or not probes:
        return []
    room = max(width - LABEL, 20)
    good, bad, mark = (".", "X", "^") if ascii_only else ("·", "█", "▲")
    lines = []
    for probe in probes:
        offset = int((probe["clock"] or {}).get("offset_ns", 0))
        strip, at = _zoom(probe["series"], cut + offset, room, good, bad)
        lines.append(f"{(probe['kind'] + ' ' + probe['from'])[: LABEL - 1]:<{LABEL}}{strip}")
        if probe is probes[0]:
            lines.insert(0, f"{'':<{LABEL}}one character a probe, every {probe['interval_ms']:g} ms")
            column = min(at, room - 1)
    lines.append(f"{'RESUME':<{LABEL}}" + " " * column + mark)
    return lines


def tail_lines(record: Record, width: int = 100, ascii_only: bool = False) -> list[str]:
    """The newest probes of every stream, one character each, for a move that is still running. An answer may still
    come, so the newest tenth of a second that is open stands as `?`."""
    room = max(width - LABEL, 20)
    good, bad = (".", "X") if ascii_only else ("·", "█")
    lines = []
    for probe in record["probes"]:
        last = probe["series"][-1][1] if probe["series"] else 0
        marks = (
            good if rx is not None else "?" if last - tx < OPEN_NS else bad for _, tx, rx in probe["series"][-room:]
        )
        lines.append(f"{(probe['kind'] + ' ' + probe['from'])[: LABEL - 1]:<{LABEL}}{''.join(marks)}")
    return lines


def _zoom(series: Sequence[Sequence[int | None]], cut_ns: int, room: int, good: str, bad: str) -> tuple[str, int]:
    index = next((i for i, point in enumerate(series) if (point[1] or 0) >= cut_ns), len(series))
    start = max(0, min(index - room // 3, len(series) - room))
    return "".join(bad if p[2] is None else good for p in series[start : start + room]), index - start


def timeline_lines(record: Record, ascii_only: bool = False) -> list[str]:
    """Every moment from the cut-over; `≈` where the clocks' errors do not allow to say which came first."""
    moments = timeline(record)
    groups = [moment.group for moment in moments]
    lines = []
    for moment in moments:
        late = after_s(record, moment.at_ns)
        mark = ("~" if ascii_only else "≈") if groups.count(moment.group) > 1 else " "
        when = "        ?" if late is None else f"{late:+9.4f}"
        error = f" ±{moment.error_ns / 1e6:g} ms" if moment.error_ns >= 1_000_000 else ""
        lines.append(f"{mark}{when} s  {moment.source:<10} {moment.text}{error if not ascii_only else ''}")
    missing = [f"  missing: {name}: {record['missing_why'].get(name, '')}" for name in record["missing"]]
    return [*lines, *missing]


def finding_lines(record: Record) -> list[str]:
    """Each finding with node, port and frame, and what to do."""
    lines = []
    for finding in record.get("findings") or []:
        place = " ".join(part for part in (finding["node"], finding["port"]) if part)
        lines.append(f"{finding['severity']} {finding['id']}: {place}: {finding['message']}")
        lines += [f"  frame: {finding['frame']}"] if finding["frame"] else []
        lines += [f"  fix: {finding['fix']}"] if finding["fix"] else []
    return lines


def aftershock_lines(record: Record, ascii_only: bool = False) -> list[str]:
    """One character a second for a minute; the 12 to 20 s in which CORE-13427 strikes are marked below."""
    watch = record.get("aftershock")
    if not watch:
        return []
    left = "" if watch["state"] != "running" else f", until {(watch['until_ns'] - watch['from_ns']) / 1e9:.0f} s after"
    lines = [f"{watch['state']}{left}{': ' + watch['why'] if watch['why'] else ''}"]
    seconds = int(watch["seconds"])
    good, bad = (".", "X") if ascii_only else ("·", "█")
    for probe in watch["probes"]:
        known = {second: (sent, lost) for second, sent, lost in probe["seconds"]}
        strip = "".join(_second(known.get(second), good, bad) for second in range(seconds))
        lost = f"{probe['lost']} of {probe['sent']} lost" + (f", {probe['error']}" if probe["error"] else "")
        lines.append(f"{(probe['kind'] + ' ' + probe['from'])[: LABEL - 1]:<{LABEL}}{strip} {lost}")
    if watch["probes"]:
        low, high = (int(edge) for edge in WINDOW_S)
        bar = "=" if ascii_only else "▔"
        lines.append(f"{'':<{LABEL}}" + " " * low + bar * (high - low) + f" {low} to {high} s")
    return lines


def _second(told: tuple[int, int] | None, good: str, bad: str) -> str:
    return " " if told is None else bad if told[1] else good


def clock_lines(record: Record) -> list[str]:
    """Whose clock the times are in: offset and error per node."""

    def words() -> Iterator[str]:
        for node, clock in sorted(clocks(record).items()):
            if clock["error_ns"] is None:
                yield f"{node}: not told, so its times are not ordered against others"
            else:
                offset, error = clock["offset_ns"] / 1e6, clock["error_ns"] / 1e6
                yield f"{node}: offset {offset:.3f} ms, error {error:.3f} ms ({clock['source'][:24]})"

    return list(words())
