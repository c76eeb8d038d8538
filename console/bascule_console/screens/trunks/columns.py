"""What the candidate table shows. A row is an object of `bascule trunks list`; a silent node's has no link. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any

from bascule_console.screens.nodes.columns import ranges
from bascule_console.widgets.columns import Column
from bascule_console.widgets.glyphs import Glyphs

Row = Mapping[str, Any]
Marked = Callable[[], Set[tuple[str, str]]]


def key_of(row: Row) -> tuple[str, str]:
    """(node, link)."""
    return str(row["node"]), str(row["name"])


def row_tone(row: Row) -> str:
    """A silent node turns its whole row."""
    return "" if row["name"] else "bad"


def use_tone(row: Row) -> str:
    """May it become a trunk, is it one, or what is in the way."""
    if row["network"]:
        return "busy" if row["default_route"] else "good"
    return "muted" if row["problem"] else "good"


def speed(row: Row) -> str:
    """10G, 1G, 100M, or - where the link does not know."""
    found = int(row["speed"])
    if not found:
        return "-"
    return f"{found / 1000:g}G" if found >= 1000 else f"{found}M"


def use_words(row: Row, glyphs: Glyphs) -> str:
    """Whether it could be a trunk, and why not."""
    if not row["name"]:
        return f"{glyphs.bad} silent: {row['problem']}"
    if row["network"]:
        return f"{glyphs.good} trunk of {row['network']}"
    return f"{glyphs.off} {row['problem']}" if row["problem"] else f"{glyphs.good} usable"


def candidate_columns(glyphs: Glyphs, marked: Marked) -> list[Column[Row]]:
    """The candidate table's columns."""

    def node(row: Row) -> str:
        return str(row["node"])

    def mark(row: Row) -> str:
        return "*" if key_of(row) in marked() else ""

    def of_link(text: Callable[[Row], str]) -> Callable[[Row], str]:
        return lambda row: text(row) if row["name"] else "-"

    def carrier(row: Row) -> str:
        return f"{glyphs.good} up" if row["carrier"] else f"{glyphs.bad} down"

    def carrier_tone(row: Row) -> str:
        return ("good" if row["carrier"] else "bad") if row["name"] else ""

    def route(row: Row) -> str:
        return f"{glyphs.busy} default" if row["default_route"] else ""

    def use(row: Row) -> str:
        return use_words(row, glyphs)

    seen = of_link(lambda row: ranges(list(row["vlans"])) or "none")
    return [
        Column("mark", "", 1, mark, mark, tone=lambda _: "key"),
        Column("node", "NODE", 9, node, node, tone=lambda _: "name", grow=1, most=24),
        Column("link", "LINK", 9, of_link(lambda r: str(r["name"])), lambda r: r["name"], grow=1, most=15),
        Column("carrier", "CARRIER", 7, of_link(carrier), of_link(carrier), tone=carrier_tone),
        Column("speed", "SPEED", 5, of_link(speed), lambda r: r.get("speed", 0), priority=3, right=True),
        Column("mtu", "MTU", 5, of_link(lambda r: str(r["mtu"])), lambda r: r.get("mtu", 0), priority=4, right=True),
        Column("route", "ROUTE", 9, route, route, priority=2, tone=lambda _: "busy"),
        Column("member", "MEMBER OF", 9, of_link(lambda r: str(r["member_of"])), _member, priority=5, grow=1, most=15),
        Column("vlans", "TAGGED", 11, seen, seen, priority=1, grow=1, most=24),
        Column("use", "USE", 17, use, use, tone=use_tone, grow=4, most=80),
    ]


def _member(row: Row) -> str:
    return str(row.get("member_of", ""))
