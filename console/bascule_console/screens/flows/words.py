"""What the flow screen shows beyond the live screen: more columns where there is room, one flow's detail. Pure."""

from __future__ import annotations

from dataclasses import replace

from bascule.text import escape
from bascule_console.screens.live.columns import flow_columns, flow_tone
from bascule_console.store.flows import FlowLine
from bascule_console.widgets.columns import Column
from bascule_console.widgets.detail import fact, heading
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.lines import Parts
from bascule_console.widgets.units import count, size

END = 16  # cells for `legacy-2:46858` and a little more
_INK = {"good": "good", "deny": "bad", "bad": "bad"}


def wide_columns(glyphs: Glyphs) -> list[Column[FlowLine]]:
    """The flow table's columns: the live screen's, and packets a second, Network and NIC where they fit."""

    def pps(line: FlowLine) -> str:
        return f"{count(line.packet_rate)}/s" if line.packet_rate else ""

    # Both ends whole before anything more: an address without its port says little.
    ends = {"src", "dst"}
    *before, verdict = (replace(each, width=END) if each.id in ends else each for each in flow_columns(glyphs))
    more = [
        Column("pps", "PKT/S", 7, pps, lambda f: f.packet_rate, priority=10, right=True),
        Column("network", "NETWORK", 8, lambda f: f.row["network"], lambda f: f.row["network"], 11, grow=1, most=14),
        Column("nic", "NIC", 6, lambda f: f.row["nic"], lambda f: f.row["nic"], 12, grow=1, most=12),
    ]
    return [*before, *more, verdict]


def about(line: FlowLine, glyphs: Glyphs) -> list[Parts]:
    """One flow in lines."""
    row = line.row
    verdict = " ".join(part for part in (row["verdict"], row["reason"]) if part)
    place = (
        f"{row['namespace']}/{row['vm'] or '?'} {row['nic']} on {row['node']}, VLAN {row['vlan']} of {row['network']}"
    )
    lines = [
        heading(f"{row['src']['name']} {glyphs.arrow} {row['dst']['name']}  {row['proto']}"),
        fact("verdict", verdict, _INK.get(flow_tone(line), "busy")),
        fact("rule", row["rule"] or "none named", "" if row["rule"] else "muted"),
        fact("port", f"{row['direction']} at {place}"),
    ]
    for side in ("src", "dst"):
        end = row["src"] if side == "src" else row["dst"]
        port = f":{end['port']}" if end["port"] else ""
        lines.append(fact({"src": "source", "dst": "dest"}[side], f"{end['ip'] or 'no address'}{port}  {end['mac']}"))
    rate = f"{count(line.packet_rate)} packets/s, {size(line.byte_rate)}/s"
    lines.append(fact("counted", f"{row['packets']} packets, {row['bytes']} bytes; now {rate}"))
    lines.append(fact("last seen", row["time"]))
    return lines


def one_line(line: FlowLine) -> str:
    """The flow as one line to paste: time, place, both ends, protocol, counts, verdict."""
    row = line.row
    ends = [f"{end['name']}:{end['port']}" if end["port"] else end["name"] for end in (row["src"], row["dst"])]
    verdict = " ".join(part for part in (row["verdict"], row["reason"], row["rule"]) if part)
    place = f"{row['node']} {row['namespace']}/{row['vm']} {row['direction']} vlan {row['vlan']}"
    counts = f"{row['packets']} packets {row['bytes']} bytes"
    return escape(f"{row['time']} {place} {ends[0]} -> {ends[1]} {row['proto']} {counts} {verdict}")
