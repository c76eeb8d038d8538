"""A record as one HTML file: verdict, plot, probes, timeline, findings, what is missing; nothing loaded from elsewhere.

Everything from outside is escaped; there is no script, so the file is as safe to open as its text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from bascule.continuity.aftershock import after_s
from bascule.continuity.plot import printable, svg, svg_aftershock
from bascule.continuity.summary import summary_lines
from bascule.continuity.timeline import clocks, timeline

_CSS = """
body{font:14px/1.45 system-ui,sans-serif;color:#1c2430;max-width:980px;margin:24px auto;padding:0 12px}
h1{font-size:20px}h2{font-size:15px;margin:26px 0 6px}
table{border-collapse:collapse;width:100%;font:12px ui-monospace,monospace}
th,td{text-align:left;padding:3px 10px 3px 0;border-bottom:1px solid #e3e6ea;vertical-align:top}
td.n,th.n{text-align:right}pre{font:12px ui-monospace,monospace;white-space:pre-wrap}
.kept{color:#2f7d4f}.broken{color:#c0342b}.unknown,.pending{color:#9a6b00}.muted{color:#68707c}
svg{max-width:100%;height:auto;border:1px solid #e3e6ea}
"""
Cells = Sequence[object]


def html_page(record: Mapping[str, Any]) -> str:
    """The whole file, UTF-8 text."""
    title = f"{record['namespace']}/{record['vm']}: {record['source'] or '?'} to {record['target']}"
    verdict = str(record["verdict"])
    sections = [
        f'<h1>{_e(title)} <span class="{_e(verdict)}">{_e(verdict.upper())}</span></h1>',
        f"<pre>{_e(chr(10).join(_head(record)))}</pre>",
        "<h2>Probes, one tick each</h2>",
        svg(record),
        _probes(record),
        "<h2>The minute after</h2>",
        svg_aftershock(record),
        _findings(record),
        _timeline(record),
        _clocks(record),
        _missing(record),
    ]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{_e(title)}</title><style>{_CSS}</style></head><body>{''.join(sections)}</body></html>\n"
    )


def _e(text: object) -> str:
    return escape("\n".join(printable(line) for line in str(text).split("\n")))


def _head(record: Mapping[str, Any]) -> list[str]:
    lines = summary_lines({**record, "probes": [], "missing": []}, 100)
    return lines[1:]


def _table(title: str, head: Cells, rows: Iterable[Cells], numbers: Sequence[int] = ()) -> str:
    def line(cells: Cells, tag: str) -> str:
        each = (
            f"<{tag}{' class=n' if at in numbers else ''}>{_e('' if cell is None else cell)}</{tag}>"
            for at, cell in enumerate(cells)
        )
        return f"<tr>{''.join(each)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<h2>{_e(title)}</h2><table>{line(head, 'th')}{body}</table>" if body else ""


def _probes(record: Mapping[str, Any]) -> str:
    head = (
        "probe",
        "sent",
        "lost",
        "longest gap ms",
        "lost for ms",
        "twice",
        "reordered",
        "sent again",
        "RTT ms",
        "after",
    )
    rows = [_probe(f"{p['kind']} from {p['from']}", p) for p in record["probes"]]
    rows += [_probe(f"control: {c['vm']}", c["probe"]) for c in record.get("control") or []]
    return _table("Figures", head, rows, range(1, 10))


def _probe(name: str, probe: Mapping[str, Any]) -> Cells:
    keys = ("sent", "lost", "longest_gap_ms", "lost_window_ms", "duplicates", "reordered", "retransmits")
    return (name, *(probe.get(key) for key in keys), probe["rtt_before_ms"], probe["rtt_after_ms"])


def _findings(record: Mapping[str, Any]) -> str:
    rows = [
        (f["severity"], f["id"], f["node"], f["port"], f["frame"], f["message"], f["fix"])
        for f in record.get("findings") or []
    ]
    return _table("Findings", ("severity", "id", "node", "port", "frame", "what", "fix"), rows)


def _timeline(record: Mapping[str, Any]) -> str:
    moments = timeline(record)
    groups = [moment.group for moment in moments]
    rows = []
    for moment in moments:
        late = after_s(record, moment.at_ns)
        mark = "≈" if groups.count(moment.group) > 1 else ""
        error = f"±{moment.error_ns / 1e6:g} ms" if moment.error_ns else ""
        rows.append((mark, "" if late is None else f"{late:+.4f} s", error, moment.clock, moment.source, moment.text))
    head = ("", "from cut-over", "error", "clock", "says", "what (≈: not ordered among themselves)")
    return _table("Timeline", head, rows, (1, 2))


def _clocks(record: Mapping[str, Any]) -> str:
    rows = [(node, c["offset_ns"], c["error_ns"], c["source"]) for node, c in sorted(clocks(record).items())]
    return _table("Clocks", ("node", "offset ns", "error ns", "against"), rows, (1, 2))


def _missing(record: Mapping[str, Any]) -> str:
    rows = [(name, record["missing_why"].get(name, "")) for name in record["missing"]]
    return _table("Missing: nobody said, and nothing was filled in", ("source", "why"), rows)
