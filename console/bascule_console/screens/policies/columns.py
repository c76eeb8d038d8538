"""Columns of the policy tree and of what-if's talkers. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bascule.policy.shadow import UNSELECTED
from bascule_console.screens.policies.tree import NEVER, POLICY, RULE, TIER, Line, hit_words
from bascule_console.widgets.columns import Column
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.units import count

_ACTIONS = {"Allow": "good", "Deny": "deny", "Pass": "busy", "Log": "muted"}
_VERDICTS = {"allow": "good", "deny": "deny"}


def tree_columns(glyphs: Glyphs, counting: Callable[[], bool]) -> list[Column[Line]]:
    """The tree; `counting` says whether any agent counts hits."""

    def name(line: Line) -> str:
        if line.level == RULE:
            return f"    {line.name}"
        fold = glyphs.down if line.open else glyphs.into
        if line.level == TIER:
            return f"{fold} {line.name}"
        mark = f"{glyphs.busy} " if line.staged else "" if line.state == "enforced" else f"{glyphs.bad} "
        return f"  {fold} {mark}{line.name}"

    def name_tone(line: Line) -> str:
        if line.level == POLICY:
            return "name" if line.state == "enforced" else "busy" if line.staged else "bad"
        return "strong" if line.level == TIER else "muted"

    def nics(line: Line) -> str:
        return "" if line.nics is None else str(line.nics)

    def hits(line: Line) -> str:
        return hit_words(line, counting=counting())

    def state(line: Line) -> str:
        if line.level == RULE:
            return f"{glyphs.bad} {line.effect}" if line.effect else ""
        if line.level == POLICY and line.state == "enforced":
            return f"{glyphs.good} enforced"
        mark = glyphs.busy if line.staged else glyphs.bad
        return f"{mark} {line.state.replace(' (Set)', '')}" if line.level == POLICY else ""

    def state_tone(line: Line) -> str:
        if line.level == RULE:
            return "muted" if line.effect == UNSELECTED else "busy"
        return "good" if line.state == "enforced" else "busy" if line.staged else "bad"

    return [
        Column("name", "TIER, POLICY, RULE", 20, name, lambda r: r.name, tone=name_tone, grow=1, most=44),
        Column("order", "ORDER", 7, lambda r: r.order, lambda r: r.order, right=True, priority=1, grow=1, most=8),
        Column("action", "DOES", 6, lambda r: r.action, lambda r: r.action, tone=lambda r: _ACTIONS.get(r.action, "")),
        Column("nics", "NICS", 4, nics, lambda r: r.nics or 0, right=True),
        Column(
            "hits", "HITS", 8, hits, lambda r: r.hits or 0, priority=2, right=True,
            tone=lambda r: "busy" if hits(r) == NEVER else "" if counting() else "muted",
        ),
        Column("words", "MATCHES", 17, lambda r: r.words, lambda r: r.words, grow=4, most=90),
        Column("state", "STATE", 11, state, lambda r: r.state, tone=state_tone, priority=3, grow=2, most=40),
    ]  # fmt: skip


def talker_columns(glyphs: Glyphs) -> list[Column[dict[str, Any]]]:
    """Talkers whose verdict changes."""

    def change(row: dict[str, Any]) -> str:
        return f"{row['before']} {glyphs.arrow} {row['after']}"

    def service(row: dict[str, Any]) -> str:
        return f"{row['proto']} {row['port'] or ''}".strip()

    return [
        Column("source", "FROM", 17, lambda r: r["source"], lambda r: r["source"], grow=1, most=34),
        Column("destination", "TO", 17, lambda r: r["destination"], lambda r: r["destination"], grow=1, most=34),
        Column("service", "SERVICE", 9, service, service, tone=lambda _: "port"),
        Column("change", "VERDICT", 13, change, change, tone=lambda r: _VERDICTS.get(r["after"], "unknown")),
        Column("packets", "PACKETS", 8, lambda r: count(r["packets"]), lambda r: r["packets"], right=True),
        Column("flows", "CONNS", 6, lambda r: count(r["flows"]), lambda r: r["flows"], right=True, priority=2),
        Column(
            "rule", "BECAUSE", 20, lambda r: r["rule_after"], lambda r: r["rule_after"], priority=1, grow=3, most=80
        ),
    ]
