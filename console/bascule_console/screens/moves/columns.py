"""What the move table shows. A row is an object of `bascule moves list`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bascule_console.store.vms import ENDED_PHASES
from bascule_console.widgets.columns import Column
from bascule_console.widgets.glyphs import Glyphs

Row = Mapping[str, Any]
_TONES = {"kept": "good", "broken": "bad", "unknown": "unknown"}


def verdict_tone(row: Row) -> str:
    """The tone of a verdict; a move without a record is muted."""
    return _TONES.get(str(row["verdict"]), "muted")


def phase_tone(row: Row) -> str:
    """The tone of a phase."""
    return {"Succeeded": "good", "Failed": "bad"}.get(str(row["phase"]), "busy")


def move_columns(glyphs: Glyphs) -> list[Column[Row]]:
    """The move table's columns."""
    symbols = {"good": glyphs.good, "bad": glyphs.bad, "busy": glyphs.busy, "unknown": glyphs.unknown}

    def path(row: Row) -> str:
        return f"{row['source'] or '?'} {glyphs.arrow} {row['target'] or '?'}"

    def phase(row: Row) -> str:
        return f"{symbols[phase_tone(row)]} {row['phase']}"

    def verdict(row: Row) -> str:
        if row["verdict"] is None and row["phase"] not in ENDED_PHASES:
            return f"{glyphs.busy} running"
        return f"{symbols.get(verdict_tone(row), glyphs.off)} {row['verdict'] or 'no record'}"

    def lost(row: Row) -> str:
        if row["sent"] is None:
            return "no agent" if row["phase"] in ENDED_PHASES else "-"
        return f"{row['lost']}/{row['sent']}"

    def gap(row: Row) -> str:
        return "-" if row["longest_gap_ms"] is None else f"{row['longest_gap_ms']:.0f} ms"

    def started(row: Row) -> str:
        return str(row["started"] or "")[:19].replace("T", " ")

    return [
        Column("vm", "VM", 12, lambda r: str(r["vm"]), lambda r: str(r["vm"]), tone=lambda _: "name", grow=2, most=30),
        Column("namespace", "NAMESPACE", 9, lambda r: r["namespace"], lambda r: r["namespace"], 6, grow=1, most=14),
        Column("path", "FROM AND TO", 15, path, path, priority=1, grow=2, most=30),
        Column("started", "STARTED", 19, started, lambda r: str(r["started"] or ""), priority=4),
        Column("phase", "PHASE", 11, phase, lambda r: str(r["phase"]), priority=2, tone=phase_tone, grow=1, most=18),
        Column("lost", "LOST", 8, lost, lambda r: r["lost"] or 0, priority=3, right=True),
        Column("gap", "GAP", 8, gap, lambda r: r["longest_gap_ms"] or 0.0, priority=5, right=True),
        Column("verdict", "VERDICT", 11, verdict, lambda r: str(r["verdict"] or ""), tone=verdict_tone),
        Column("migration", "MIGRATION", 16, _migration, _migration, priority=7, grow=2, most=40),
    ]


def _migration(row: Row) -> str:
    return str(row["migration"] or "")


def searchable(row: Row) -> str:
    """What a filter looks at."""
    place = f"{row['namespace']}/{row['vm']} {row['source']} {row['target']} {row['phase']}"
    return f"{place} {row['verdict'] or 'no record'} {row['migration']} {row['started']}"
