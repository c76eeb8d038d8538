"""What the flow screen says: one flow's detail, a flow as a line of text, titles. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bascule.flows.rows import End
from bascule.text import escape
from bascule_console.screens.flows.columns import why
from bascule_console.screens.live.columns import flow_tone
from bascule_console.store.flowline import FlowLine
from bascule_console.widgets.detail import fact, heading
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.lines import Parts
from bascule_console.widgets.spark import spark
from bascule_console.widgets.units import count, size

_INK = {"good": "good", "deny": "bad", "bad": "bad"}
MINUTE = 30


def about(
    line: FlowLine, glyphs: Glyphs, series: Sequence[float] = (), conversation: Sequence[FlowLine] = ()
) -> list[Parts]:
    """One flow in lines. `series` is its last minute, `conversation` every line with the same ends."""
    row = line.row
    verdict = " ".join(part for part in (row["verdict"], row["reason"]) if part)
    words = f"{verdict}: {why(row['reason'])}" if row["reason"] else verdict
    place = (
        f"{row['namespace']}/{row['vm'] or '?'} {row['nic']} on {row['node']}, VLAN {row['vlan']} of {row['network']}"
    )
    rate = f"{count(line.packet_rate)} packets/s, {size(line.byte_rate)}/s"
    lines = [
        heading(f"{row['src']['name']} {glyphs.arrow} {row['dst']['name']}  {row['proto']}"),
        fact("verdict", words, _INK.get(flow_tone(line), "busy")),
        fact("rule", row["rule"] or "none named", "" if row["rule"] else "muted"),
        fact("port", f"{row['direction']} at {place}"),
        *_end("source", row["src"]),
        *_end("dest", row["dst"]),
        fact("counted", f"{row['packets']} packets, {row['bytes']} bytes; now {rate}"),
        fact("last seen", row["time"]),
    ]
    if any(series):
        most = f"60 s, at most {size(max(series))}/s"
        lines.append([*fact("last min", spark(series, MINUTE, glyphs), "busy"), (f"  {most}", "muted")])
    if row["proto"] == "tcp":
        lines.append(fact("tcp", _tcp(line)))
    lines += [fact("also at", _other(each, glyphs)) for each in conversation if each is not line][:3]
    return lines


def _end(name: str, end: End) -> list[Parts]:
    port = f":{end['port']}" if end["port"] else ""
    who = f"{end['namespace']}/{end['name']}" if end["namespace"] else end["name"]
    kind = end["why"] or f"{end['kind']} {who}"
    return [[*fact(name, f"{end['ip'] or 'no address'}{port}  {end['mac']}"), (f"  {kind}", "muted")]]


def _tcp(line: FlowLine) -> str:
    row = line.row
    rtt = f"SYN to SYN-ACK {row['rtt_us'] / 1000:.2f} ms" if row["rtt_us"] else "no handshake seen"
    flags = f", flags {row['flags']}" if row["flags"] else ""
    return f"{rtt}, {row['retransmits']} sent again, {row['reordered']} out of order{flags} (estimates)"


def _other(line: FlowLine, glyphs: Glyphs) -> str:
    row = line.row
    verdict = " ".join(part for part in (row["verdict"], row["reason"]) if part)
    ends = f"{row['src']['name']} {glyphs.arrow} {row['dst']['name']}"
    return f"{row['node']} {row['vm'] or '?'} {row['direction']}: {ends}, {row['packets']} packets, {verdict}"


def one_line(line: FlowLine) -> str:
    """The flow as one line to paste: time, place, both ends, protocol, counts, verdict."""
    row = line.row
    ends = [f"{end['name']}:{end['port']}" if end["port"] else end["name"] for end in (row["src"], row["dst"])]
    verdict = " ".join(part for part in (row["verdict"], row["reason"], row["rule"]) if part)
    place = f"{row['node']} {row['namespace']}/{row['vm']} {row['direction']} vlan {row['vlan']}"
    counts = f"{row['packets']} packets {row['bytes']} bytes"
    return escape(f"{row['time']} {place} {ends[0]} -> {ends[1]} {row['proto']} {counts} {verdict}")
