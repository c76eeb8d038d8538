"""A record's probes as a picture: one row per probe at probe resolution, the events of the cut-over across all of them.

Plain SVG text without scripts, fonts or links, so that a file that was mailed shows the same ten years later. Whatever
comes from outside is escaped here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

Record = Mapping[str, Any]
WIDTH, LEFT, RIGHT, ROW, TOP = 960, 150, 12, 30, 46
INK, MUTED, GOOD, BAD, MARK, SHADE = "#1c2430", "#68707c", "#2f7d4f", "#c0342b", "#2a5db0", "#f6e3b4"
STYLE = "font-family:ui-monospace,Menlo,Consolas,monospace;font-size:11px"


def svg(record: Record) -> str:
    """The moments of the move: every probe sent is a tick, green when answered and red when lost."""
    rows = [(f"{p['kind']} {p['from']}", p) for p in record["probes"]]
    rows += [(f"control {c['vm'].rpartition('/')[2]}", c["probe"]) for c in record.get("control") or []]
    times = [int(point[1]) for _, probe in rows for point in probe["series"]]
    if not times:
        return _empty("no probe was sent, so there is nothing to draw")
    first, last = min(times), max(times)
    height = TOP + ROW * len(rows) + 40
    axis = _Axis(first, last)
    parts = [*_grid(axis, height - 30, record.get("cut_ns"))]
    parts += [part for event in _events(record, axis, height - 30) for part in event]
    for number, (label, probe) in enumerate(rows):
        parts += _row(label, probe, axis, TOP + ROW * number)
    return _frame(parts, height, "Probes during the move")


def svg_aftershock(record: Record) -> str:
    """The minute after: what was sent and lost per second, the 12 to 20 s of CORE-13427 shaded."""
    watch = record.get("aftershock") or {}
    start, probes = watch.get("from_ns"), watch.get("probes") or []
    if not start or not probes:
        return _empty(f"after-shock watch: {watch.get('state') or 'none'}")
    axis = _Axis(start, start + round(watch["seconds"] * 1e9))
    height = TOP + ROW * len(probes) + 40
    window = watch["window_ns"]
    x0, x1 = axis.x(window[0]), axis.x(window[1])
    parts = [f'<rect x="{x0:.1f}" y="24" width="{x1 - x0:.1f}" height="{height - 54}" fill="{SHADE}"/>']
    parts += [_text(x0 + 2, 36, "12 to 20 s", MUTED), *_grid(axis, height - 30, start)]
    half = record.get("source_half") or {}
    closed = [(nic["closed_ns"], f"{half['node']} removed {nic['port']}") for nic in half.get("nics") or []]
    for at_ns, words in closed:
        if at_ns and start <= at_ns <= axis.last:
            parts += _line(axis.x(at_ns), height - 30, words, 22)
    for number, probe in enumerate(probes):
        y = TOP + ROW * number
        parts.append(_text(4, y + 14, f"{probe['kind']} {probe['from']}", INK))
        for second, sent, lost in probe["seconds"]:
            x, tall = axis.x(start + second * 1_000_000_000), 16.0
            bad = tall * lost / sent if sent else 0.0
            wide = (WIDTH - LEFT - RIGHT) / watch["seconds"] - 1
            parts.append(f'<rect x="{x:.1f}" y="{y + 2}" width="{wide:.1f}" height="16" fill="{GOOD}" opacity="0.35"/>')
            if bad:
                parts.append(
                    f'<rect x="{x:.1f}" y="{y + 18 - bad:.1f}" width="{wide:.1f}" height="{bad:.1f}" fill="{BAD}"/>'
                )
        if probe["error_ns"]:
            parts += _line(axis.x(probe["error_ns"]), height - 30, probe["error"], 34, BAD)
    return _frame(parts, height, "The minute after the cut-over")


class _Axis:
    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, max(last, first + 1)

    def x(self, at_ns: int) -> float:
        at = min(max(at_ns, self.first), self.last)
        return LEFT + (at - self.first) / (self.last - self.first) * (WIDTH - LEFT - RIGHT)


def _row(label: str, probe: Mapping[str, Any], axis: _Axis, y: int) -> list[str]:
    offset = int((probe["clock"] or {}).get("offset_ns", 0))
    answered = [axis.x(point[1] - offset) for point in probe["series"] if point[2] is not None]
    lost = [axis.x(point[1] - offset) for point in probe["series"] if point[2] is None]
    return [
        _text(4, y + 14, label[:22], INK),
        _ticks(answered, y + 6, 9, GOOD, 0.45),
        _ticks(lost, y + 1, 18, BAD, 1.0),
    ]


def _ticks(xs: Sequence[float], y: int, tall: int, color: str, opacity: float) -> str:
    path = "".join(f"M{x:.1f} {y}v{tall}" for x in xs)
    return f'<path d="{path}" stroke="{color}" stroke-width="1" opacity="{opacity}" fill="none"/>' if path else ""


def _events(record: Record, axis: _Axis, bottom: int) -> Iterator[list[str]]:
    qemu = record.get("qemu") or {}
    fabric = record.get("fabric") or {}
    named = [
        ("STOP", qemu.get("stop_ns")),
        ("RESUME", qemu.get("resume_ns")),
        ("announced", fabric.get("announced_ns")),
    ]
    if not qemu and record.get("cut_ns"):
        named.append(("first frame", record["cut_ns"]))
    for level, (words, at_ns) in enumerate(named):
        if at_ns and axis.first <= at_ns <= axis.last:
            yield _line(axis.x(at_ns), bottom, words, 10 + 11 * level)


def _line(x: float, bottom: int, words: str, y: int, color: str = MARK) -> list[str]:
    return [
        f'<path d="M{x:.1f} 24V{bottom}" stroke="{color}" stroke-width="1" fill="none"/>',
        _text(min(x + 3, WIDTH - 8 * len(words)), y, words, color),
    ]


def _grid(axis: _Axis, bottom: int, zero: int | None) -> Iterator[str]:
    """A tick at a round number of seconds from the cut-over, or from the first probe."""
    origin = zero if zero and axis.first <= zero <= axis.last else axis.first
    span = (axis.last - axis.first) / 1e9
    step = next((s for s in (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60) if span / s <= 14), 120)
    number = -int((origin - axis.first) / 1e9 / step)
    while origin + number * step * 1e9 <= axis.last:
        x = axis.x(round(origin + number * step * 1e9))
        yield f'<path d="M{x:.1f} 44V{bottom}" stroke="#d9dde3" fill="none"/>'
        yield _text(x - 8, bottom + 13, f"{number * step:+g} s", MUTED)
        number += 1


def _text(x: float, y: float, words: str, color: str) -> str:
    return f'<text x="{x:.1f}" y="{y}" fill="{color}">{escape(printable(words))}</text>'


def printable(words: str) -> str:
    """The same words without control characters, which XML does not allow."""
    return "".join(c if c.isprintable() else "?" for c in words)


def _frame(parts: Sequence[str], height: int, title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" style="{STYLE}"><title>{escape(title)}</title>'
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>' + "".join(parts) + "</svg>"
    )


def _empty(words: str) -> str:
    return _frame([_text(8, 24, words, MUTED)], 40, words)
