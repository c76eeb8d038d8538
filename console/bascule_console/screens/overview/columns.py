"""The overview's columns and words. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bascule_console.store.attention import RANKS, Line
from bascule_console.store.networks import NO_AGENT, NOT_READY, NOT_SELECTED, READY
from bascule_console.store.overview import NetworkHealth, Overview
from bascule_console.widgets.columns import Column
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.lines import Parts

TONES = {READY: "good", NOT_READY: "bad", NOT_SELECTED: "muted", NO_AGENT: "unknown"}
_SEVERITY = {"error": "bad", "moving": "busy", "warning": "busy", "info": "muted"}


def symbol(glyphs: Glyphs, state: str) -> str:
    """The symbol beside the colour of a Network's state on a node."""
    return {READY: glyphs.good, NOT_READY: glyphs.bad, NOT_SELECTED: glyphs.off}.get(state, glyphs.unknown)


def network_columns(nodes: Sequence[str], glyphs: Glyphs) -> list[Column[NetworkHealth]]:
    """One column per node; the last nodes drop first where the terminal is narrow."""

    def ready(row: NetworkHealth) -> str:
        mark = {"good": glyphs.good, "bad": glyphs.bad}.get(row.tone, glyphs.unknown)
        return f"{mark} {row.count(READY)}/{len(row.nodes)}"

    fixed: list[Column[NetworkHealth]] = [
        Column("name", "NETWORK", 14, lambda r: r.name, lambda r: r.name, tone=lambda _: "name", grow=1, most=30),
        Column("vlans", "VLANS", 5, lambda r: str(r.vlans), lambda r: r.vlans, priority=1, right=True),
        Column("ready", "READY", 8, ready, lambda r: (r.tone, r.count(READY)), tone=lambda r: r.tone),
    ]
    return fixed + [_node_column(node, at, glyphs) for at, node in enumerate(nodes)]


def _node_column(node: str, at: int, glyphs: Glyphs) -> Column[NetworkHealth]:
    def state(row: NetworkHealth) -> str:
        return row.nodes[at].state if at < len(row.nodes) else NO_AGENT

    return Column(
        f"node-{node}",
        node.upper(),
        max(6, min(14, len(node))),
        lambda row: f"{symbol(glyphs, state(row))} {state(row)}",
        state,
        priority=2 + at,
        tone=lambda row: TONES[state(row)],
        grow=1,
        most=14,
    )


def attention_columns(glyphs: Glyphs) -> list[Column[Line]]:
    """What is wrong, the worst first."""
    symbols = {"error": glyphs.bad, "moving": glyphs.arrow, "warning": glyphs.busy, "info": glyphs.dot}

    def severity(line: Line) -> str:
        return f"{symbols[line.severity]} {line.severity}"

    return [
        Column("severity", "WHAT", 9, severity, lambda r: RANKS[r.severity], tone=lambda r: _SEVERITY[r.severity]),
        Column("about", "ABOUT", 18, lambda r: r.about, lambda r: r.about, tone=lambda _: "name", grow=1, most=44),
        Column("message", "MESSAGE", 24, lambda r: r.message, lambda r: r.message, grow=5, most=160),
        Column("fix", "FIX", 30, lambda r: r.fix, lambda r: r.fix, priority=1, tone=lambda _: "muted", grow=1, most=60),
    ]


def numbers(view: Overview, glyphs: Glyphs) -> Parts:
    """The numbers above the tables."""
    vms, agents = view.vms, view.agents
    quiet = sum(agent.state != "answers" for agent in agents)
    parts: Parts = [
        (f" {glyphs.good} {vms['running']} of {vms['total']} VMs running", "good" if vms["running"] else "")
    ]
    if vms["failed"]:
        parts.append((f"   {glyphs.bad} {vms['failed']} failed", "bad"))
    if quiet:
        parts.append((f"   {glyphs.bad} {quiet} of {len(agents)} agents silent", "bad"))
    else:
        parts.append((f"   {glyphs.good} {len(agents)} agents answer", "good") if agents else ("   no agent", "muted"))
    moving = f"{glyphs.arrow} {len(view.moves)} moving" if view.moves else "no move in flight"
    parts.append((f"   {moving}", "busy" if view.moves else "muted"))
    if view.findings is None:
        parts.append(("   lint has not run yet", "muted"))
    return parts
