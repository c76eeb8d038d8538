"""The columns of the flow screen's tables: flows, talkers, drops, ARP, facets. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from bascule.flows.reasons import Reason
from bascule_console.screens.live.columns import flow_columns
from bascule_console.store.flowline import FlowLine
from bascule_console.store.flowviews import BROADCAST, FacetRow, TopRow
from bascule_console.widgets.columns import Column
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.spark import spark
from bascule_console.widgets.units import count, size

END = 16  # cells for `legacy-2:46858` and a little more
SPARK = 10
REASON = 19  # cells for `x drop spoofed-mac` and a little more
_TITLES = {"src": "SOURCE", "dst": "DESTINATION", "ns": "NAMESPACE"}


def wide_columns(
    glyphs: Glyphs, series: Callable[[FlowLine], list[float]], *, numbers: bool = False, roomy: bool = False
) -> list[Column[FlowLine]]:
    """The flow table's columns: the live screen's, and packets a second, the last minute, RTT, Network and NIC where
    they fit. `numbers`: ends by address instead of by name; `roomy`: a drop's reason before any of those."""

    def pps(line: FlowLine) -> str:
        return f"{count(line.packet_rate)}/s" if line.packet_rate else ""

    def minute(line: FlowLine) -> str:
        return spark(series(line), SPARK, glyphs) if line.packet_rate else ""

    def rtt(line: FlowLine) -> str:
        return f"{line.row['rtt_us'] / 1000:.1f}ms" if line.row["rtt_us"] else ""

    # Both ends whole before anything more: an address without its port says little.
    ends = {"src", "dst"}
    *before, verdict = (replace(each, width=END) if each.id in ends else each for each in flow_columns(glyphs))
    if numbers:
        before = [_by_number(each) if each.id in ends else each for each in before]
    more = [
        Column("pps", "PKT/S", 7, pps, lambda f: f.packet_rate, priority=11, right=True),
        Column("minute", "LAST MIN", SPARK, minute, lambda f: f.byte_rate, priority=10, tone=lambda _: "busy"),
        Column("rtt", "RTT", 7, rtt, lambda f: f.row["rtt_us"], priority=12, right=True),
        Column("network", "NETWORK", 8, lambda f: f.row["network"], lambda f: f.row["network"], 13, grow=1, most=14),
        Column("nic", "NIC", 6, lambda f: f.row["nic"], lambda f: f.row["nic"], 14, grow=1, most=12),
    ]
    return [*before, *more, replace(verdict, width=REASON) if roomy else verdict]


def _by_number(column: Column[FlowLine]) -> Column[FlowLine]:
    def text(line: FlowLine) -> str:
        end = line.row["src"] if column.id == "src" else line.row["dst"]
        address = end["ip"] or end["mac"]
        return f"{address}:{end['port']}" if end["port"] else address

    return replace(column, text=text, order=text)


def talker_columns(glyphs: Glyphs, by: tuple[str, ...]) -> list[Column[TopRow]]:
    """Who, then how much."""

    def named(at: int) -> Callable[[TopRow], str]:
        return lambda row: (row.values[at] or "-") if at < len(row.values) else ""

    who = [
        Column(name, _TITLES.get(name, name.upper()), 16, named(at), named(at), grow=3, most=40, tone=lambda _: "name")
        for at, name in enumerate(by)
    ]
    return [*who, *_rates(glyphs)]


def _rates(glyphs: Glyphs) -> list[Column[TopRow]]:
    def rate(frames: float) -> str:
        return f"{frames:.1f}/s" if frames < 10 else f"{count(frames)}/s"

    def dropped(row: TopRow) -> str:
        return rate(row.drop_rate) if row.dropped else ""

    return [
        Column("rate", "RATE", 8, lambda r: f"{size(r.byte_rate)}/s", lambda r: r.byte_rate, right=True),
        Column("pps", "PKT/S", 7, lambda r: rate(r.packet_rate), lambda r: r.packet_rate, 2, right=True),
        Column("dropped", "DROPPED", 8, dropped, lambda r: r.drop_rate, 3, right=True, tone=lambda _: "bad"),
        Column("minute", "LAST MINUTE", 30, lambda r: spark(r.series, 30, glyphs), lambda r: r.bytes, 4, _busy),
        Column("flows", "RECORDS", 7, lambda r: count(r.flows), lambda r: r.flows, 5, right=True),
    ]


def _busy(_row: TopRow) -> str:
    return "busy"


def _value(name: str) -> Callable[[TopRow], str]:
    return lambda row: row.value(name) or "-"


def drop_columns(glyphs: Glyphs) -> list[Column[TopRow]]:
    """Why, where, whose."""

    def place(row: TopRow) -> str:
        if row.note:
            return row.value("vm")
        arrow = glyphs.egress if row.value("dir") == "egress" else glyphs.ingress
        return f"{arrow} {row.value('vm') or '?'}"

    return [
        Column("reason", "REASON", 17, lambda r: r.value("reason") or "policy", _value("reason"), 0, lambda _: "bad"),
        Column("vm", "PORT", 11, place, _value("vm"), tone=lambda _: "name", grow=1, most=18),
        Column("node", "NODE", 7, _value("node"), _value("node"), priority=3, grow=1, most=14),
        Column("vlan", "VLAN", 4, _value("vlan"), _value("vlan"), priority=4, right=True),
        Column("src", "SOURCE", 13, _value("src"), _value("src"), priority=1, grow=2, most=26),
        Column("dst", "DESTINATION", 13, _value("dst"), _value("dst"), priority=2, grow=2, most=26),
        Column("proto", "PROTO", 5, _value("proto"), _value("proto"), priority=5),
        Column("packets", "FRAMES", 6, lambda r: count(r.packets), lambda r: r.packets, right=True),
        Column("minute", "LAST MINUTE", 15, lambda r: spark(r.series, 15, glyphs), lambda r: r.packets, 6, _busy),
        Column(
            "why", "WHY", 42, lambda r: r.note or why(r.value("reason")), _value("reason"), priority=7, grow=3, most=80
        ),
    ]


def why(reason: str) -> str:
    """A drop's reason in a sentence."""
    known = {each.label: each.text for each in Reason}
    return known.get(reason, "a policy rule denies it" if not reason else "no reason this version knows")


def arp_columns(glyphs: Glyphs) -> list[Column[TopRow]]:
    """Who asks for whom, who answers."""

    def says(row: TopRow) -> str:
        if row.value("proto") == "rarp":
            return "announces"
        if row.value("src.ip") == row.value("dst.ip"):
            return "announces"
        if row.value("src.ip") == "0.0.0.0":
            return "probes for"
        return "asks for" if row.value("dst.mac") == BROADCAST else "to"

    def verdict(row: TopRow) -> str:
        symbol = {"allow": glyphs.good, "drop": glyphs.bad, "deny": glyphs.bad}.get(
            row.value("verdict"), glyphs.unknown
        )
        return f"{symbol} {row.value('verdict')} {row.value('reason')}".rstrip()

    def tone(row: TopRow) -> str:
        return {"allow": "good", "drop": "bad", "deny": "deny"}.get(row.value("verdict"), "")

    return [
        Column("proto", "KIND", 4, _value("proto"), _value("proto")),
        Column("vlan", "VLAN", 4, _value("vlan"), _value("vlan"), right=True, priority=3),
        Column("vm", "PORT", 10, _value("vm"), _value("vm"), priority=4, tone=lambda _: "name", grow=1, most=18),
        Column("src", "SENDER", 12, _value("src"), _value("src"), grow=2, most=24),
        Column("src.ip", "ITS IP", 13, _value("src.ip"), _value("src.ip"), priority=2, grow=1, most=15),
        Column("src.mac", "ITS MAC", 17, _value("src.mac"), _value("src.mac"), priority=6),
        Column("says", "", 10, says, says),
        Column("dst.ip", "TARGET", 13, _value("dst.ip"), _value("dst.ip"), grow=1, most=15),
        Column("packets", "FRAMES", 6, lambda r: count(r.packets), lambda r: r.packets, right=True, priority=1),
        Column("minute", "LAST MINUTE", 15, lambda r: spark(r.series, 15, glyphs), lambda r: r.packets, 7, _busy),
        Column("verdict", "VERDICT", 9, verdict, _value("verdict"), 5, tone, grow=1, most=24),
    ]


def facet_columns(_glyphs: Glyphs) -> list[Column[FacetRow]]:
    """Field, value, frames."""
    return [
        Column("field", "FIELD", 8, lambda r: r.field if r.first else "", lambda r: r.field, tone=lambda _: "muted"),
        Column("value", "VALUE", 12, lambda r: r.value, lambda r: r.value, grow=1, most=20, tone=lambda _: "name"),
        Column("packets", "FRAMES", 6, lambda r: count(r.packets), lambda r: r.packets, right=True),
    ]
