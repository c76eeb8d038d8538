"""The comparison of before and after as one self-contained page, for those who sign."""

from __future__ import annotations

from collections.abc import Sequence

from bascule.htmlpage import page, table, text
from bascule.migration.acceptance import (
    CLASSES,
    KEPT,
    NEW,
    OPEN,
    STOPPED,
    Compared,
    Thresholds,
    VmAcceptance,
    span,
    summary,
)
from bascule.migration.acceptance_flows import Recorded

_SIGNS = {STOPPED: "✗", OPEN: "?", NEW: "+", KEPT: "✓"}
_TONES = {STOPPED: "error", OPEN: "unknown", NEW: "warning", KEPT: "ok"}


def html(found: Sequence[VmAcceptance], thresholds: Thresholds) -> str:
    """The page."""
    stopped = sum(len(each.of(STOPPED)) for each in found)
    head = f"No: {stopped} stopped" if stopped else "Yes, as far as it can be told"
    rules = (
        f"Stopped: quiet for {span(thresholds.enough_after_s)} or more after the move, and longer than ever before. "
        f"New: not heard in {span(thresholds.enough_before_s)} or more before it."
    )
    totals = [
        (row["vm"], str(row["wave"]), row["verdict"], *(str(row[name]) for name in CLASSES)) for row in summary(found)
    ]
    parts = [
        f"<h1>Do the same talk as before? {head}</h1>",
        f"<p>{text(rules)}</p>",
        table(("VM", "Wave", "Verdict", *CLASSES), totals, [_TONES[row[2]] for row in totals]),
        *(part for each in found for part in _vm(each)),
    ]
    return page("Bascule: acceptance", parts, _STYLE)


def _vm(each: VmAcceptance) -> list[str]:
    lines = [(_SIGNS[line.status], line.status, _peer(line), line.name, line.proto, _began(line), str(line.before),
              str(line.after), line.evidence) for line in each.lines]  # fmt: skip
    heads = ("", "Is", "Peer", "Line", "Protocol", "Who opened", "Frames before", "After", "Evidence")
    windows = f"Before: {_window(each.before)}. After: {_window(each.after)}."
    who = ", ".join((*each.vm.ips, *each.vm.macs))
    return [
        f"<h2>{text(each.vm.name)}</h2>",
        f"<p>{text(who)}<br>{text(windows)}</p>",
        table(heads, lines, [_TONES[line.status] for line in each.lines]),
    ]


def _peer(line: Compared) -> str:
    return f"{line.peer_name} ({line.peer})" if line.peer_name else line.peer


def _began(line: Compared) -> str:
    words = {"vm": "the VM", "peer": "the peer", "both": "both", "?": "not recorded"}
    return ", then ".join(words[each] for each in line.began.split("/"))


def _window(window: Recorded) -> str:
    told = [f"{span(window.seconds)} of {window.source}" if window.seconds else f"{window.source}, without times"]
    told += [f"{window.lost} frames lost"] if window.lost else []
    told += [f"{node} told nothing" for node in window.silent]
    return ", ".join((*told, *window.notes))


_STYLE = """
td { overflow-wrap: break-word; max-width: 30rem; }
td:first-child { font-weight: 700; }
tr.unknown td:first-child { color: #3d4f9f; }
tr.ok td:first-child { color: #22663b; }
"""
