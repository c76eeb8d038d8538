"""What the address table shows. A row is an object of `bascule addresses list`. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bascule_console.store.addresses import life
from bascule_console.store.reserved import ipv4
from bascule_console.widgets.columns import Column
from bascule_console.widgets.detail import fact, heading
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.lines import Parts

Row = Mapping[str, Any]
_TONES = {"conflict": "bad", "in use": "good", "moving": "busy", "held": "busy", "stranger": "unknown"}


def state_tone(row: Row) -> str:
    """The tone of an address's state."""
    return _TONES.get(str(row["state"]), "muted")


def row_tone(row: Row) -> str:
    """A conflict turns the whole row."""
    return "bad" if row["conflicts"] else ""


def answer_tone(row: Row) -> str:
    """What probing brought."""
    return {True: "good", False: "busy"}.get(row["answering"], "muted")


def address_columns(glyphs: Glyphs, agents: Callable[[], bool]) -> list[Column[Row]]:
    """The address table's columns; while `agents` says that there is none, what only they tell says so."""
    symbols = {"bad": glyphs.bad, "good": glyphs.good, "busy": glyphs.busy, "unknown": glyphs.unknown}

    def state(row: Row) -> str:
        return f"{symbols.get(state_tone(row), glyphs.off)} {row['state']}"

    def answering(row: Row) -> str:
        if row["answering"] is None:
            return ("not asked" if agents() else "no agent") if row["answer"] is None else f"{glyphs.unknown} unknown"
        return f"{glyphs.good} yes" if row["answering"] else f"{glyphs.busy} no"

    def seen(row: Row) -> str:
        if not row["seen"]:
            return "-" if agents() else "no agent"
        others = [entry["mac"] for entry in row["seen"] if entry["mac"] != row["mac"]]
        return f"{glyphs.bad} {others[0]}" if others and row["mac"] else f"{glyphs.good} {row['seen'][0]['mac']}"

    def claims(row: Row) -> str:
        return ", ".join(dict.fromkeys(claim["by"] for claim in row["claims"])) or "-"

    def vm(row: Row) -> str:
        return f"{row['namespace']}/{row['vm']}" if row["vm"] else "-"

    def wrong(row: Row) -> str:
        return "; ".join(row["conflicts"])

    return [
        Column("vlan", "VLAN", 4, lambda r: "?" if r["vlan"] is None else str(r["vlan"]), _vlan, right=True),
        Column("ip", "IP", 15, lambda r: r["ip"], _order, tone=lambda _: "name"),
        Column("network", "NETWORK", 8, lambda r: r["network"] or "?", lambda r: r["network"], 9, grow=1, most=14),
        Column("vm", "VM", 13, vm, vm, priority=1, grow=2, most=34),
        Column("mac", "MAC", 17, lambda r: r["mac"] or "-", lambda r: r["mac"], priority=5),
        Column("node", "NODE", 8, lambda r: r["node"] or "-", lambda r: r["node"], priority=8, grow=1, most=14),
        Column("claims", "CLAIMED BY", 17, claims, claims, priority=4),
        Column("reserved", "RESERVED", 12, lambda r: r["reserved"] or "-", lambda r: r["reserved"], 7, grow=1, most=24),
        Column("answering", "ANSWERING", 9, answering, answering, priority=2, tone=answer_tone),
        Column("seen", "SEEN", 19, seen, seen, priority=6, tone=lambda r: "" if r["seen"] else "muted"),
        Column("state", "STATE", 11, state, lambda r: r["state"], tone=state_tone),
        Column("conflict", "CONFLICT", 10, wrong, wrong, priority=10, tone=row_tone, grow=3, most=90),
    ]


def about(row: Row, glyphs: Glyphs) -> list[Parts]:
    """One address's life, line by line."""
    place = f"{row['network'] or '?'}/{row['vlan'] if row['vlan'] is not None else '?'}"
    lines = [[*heading(f"{row['ip']}  {place}"), (f"  {row['state']}", state_tone_of_line(row))]]
    stages = life(row)
    # What is wrong comes first: a small terminal cuts the end off.
    lines += [fact(stage, f"{glyphs.bad} {words}", "bad") for stage, words in stages if stage == "conflict"]
    return lines + [fact(stage, words) for stage, words in stages if stage != "conflict"]


def state_tone_of_line(row: Row) -> str:
    """The state's tone where tables' tones do not exist."""
    tone = state_tone(row)
    return tone if tone in ("good", "bad", "busy", "muted") else "busy"


def _vlan(row: Row) -> int:
    return row["vlan"] or 0


def _order(row: Row) -> tuple[int, int]:
    address = ipv4(row["ip"])
    return _vlan(row), int(address) if address else 0
