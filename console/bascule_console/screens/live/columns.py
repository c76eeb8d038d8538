"""What the live screen's two tables show: columns, their priorities at 80 cells, and their tones. Pure."""

from __future__ import annotations

from bascule_console.store.flowline import FlowLine
from bascule_console.store.vms import VmRow
from bascule_console.widgets.columns import Column
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.units import count, size

PROFILE, GATEWAY = "Profile/", "gateway "
_TONES = {"allow": "good", "deny": "deny", "drop": "bad"}


def vm_tone(row: VmRow) -> str:
    """A failed guest turns its whole row."""
    return "bad" if row.failed else ""


def phase_tone(row: VmRow) -> str:
    """The tone of one VM's phase."""
    if row.failed:
        return "bad"
    if row.move:
        return "busy"
    return {"Running": "good", "Stopped": "muted", "Succeeded": "muted"}.get(row.phase, "busy")


def vm_columns(glyphs: Glyphs) -> list[Column[VmRow]]:
    """The VM table's columns."""
    symbols = {"good": glyphs.good, "bad": glyphs.bad, "busy": glyphs.busy, "muted": glyphs.off}

    def state(row: VmRow) -> str:
        symbol = symbols[phase_tone(row)]
        return f"{symbol} {glyphs.arrow} {row.move}" if row.move and not row.failed else f"{symbol} {row.phase}"

    def vlan(row: VmRow) -> str:
        return "" if row.vlan is None else str(row.vlan)

    return [
        Column("name", "NAME", 12, lambda r: r.name, lambda r: r.name, tone=lambda _: "name", grow=2, most=24),
        Column("namespace", "NAMESPACE", 10, lambda r: r.namespace, lambda r: r.namespace, priority=6, grow=1, most=14),
        Column("node", "NODE", 8, lambda r: r.node or "-", lambda r: r.node, priority=1, grow=1, most=12),
        Column("network", "NETWORK", 8, lambda r: r.network, lambda r: r.network, priority=5, grow=1, most=12),
        Column("vlan", "VLAN", 4, vlan, lambda r: r.vlan or 0, priority=2, right=True),
        Column("ip", "IP", 13, lambda r: r.ip or "-", lambda r: _address(r.ip), priority=3, grow=1, most=15),
        Column("mac", "MAC", 17, lambda r: r.mac or "-", lambda r: r.mac, priority=4),
        Column("phase", "PHASE", 18, state, lambda r: r.phase, tone=phase_tone, grow=2, most=40),
    ]


def flow_tone(line: FlowLine) -> str:
    """The tone of one flow's verdict."""
    return _TONES.get(line.row["verdict"], "unknown")


def flow_columns(glyphs: Glyphs) -> list[Column[FlowLine]]:
    """The flow table's columns."""
    symbols = {"good": glyphs.good, "deny": glyphs.bad, "bad": glyphs.bad, "unknown": glyphs.unknown}

    def verdict(line: FlowLine) -> str:
        row = line.row
        rule = "" if row["rule"].startswith(PROFILE) else row["rule"]  # the default: nothing selects the NIC
        words = " ".join(part for part in (row["verdict"], row["reason"], rule) if part)
        return f"{symbols[flow_tone(line)]} {words}"

    def port(line: FlowLine) -> str:
        arrow = glyphs.egress if line.row["direction"] == "egress" else glyphs.ingress
        return f"{arrow} {line.row['vm'] or '?'}"

    def end(line: FlowLine, side: str) -> str:
        which = line.row["src"] if side == "src" else line.row["dst"]
        # A gateway's name is its kind and its place: whole, no port would fit behind it.
        name = f"gw {which['name'].removeprefix(GATEWAY)}" if which["kind"] == "gateway" else which["name"]
        return f"{name}:{which['port']}" if which["port"] else name

    def rate(line: FlowLine) -> str:
        return f"{size(line.byte_rate)}/s" if line.byte_rate else ""

    return [
        Column("time", "TIME", 8, _clock, lambda f: f.last_ns, priority=7, tone=lambda _: "muted"),
        Column("node", "NODE", 6, lambda f: f.row["node"], lambda f: f.row["node"], priority=9, grow=1, most=14),
        Column("vm", "PORT", 10, port, lambda f: f.row["vm"], priority=3, tone=lambda _: "name", grow=1, most=20),
        Column("vlan", "VLAN", 4, lambda f: str(f.row["vlan"]), lambda f: f.row["vlan"], priority=4, right=True),
        Column("src", "SOURCE", 13, lambda f: end(f, "src"), lambda f: end(f, "src"), grow=3, most=34),
        Column("dst", "DESTINATION", 13, lambda f: end(f, "dst"), lambda f: end(f, "dst"), grow=3, most=34),
        Column("proto", "PROTO", 5, lambda f: f.row["proto"], lambda f: f.row["proto"], priority=5),
        Column("packets", "PKTS", 5, lambda f: count(f.packets), lambda f: f.packets, 6, right=True),
        Column("bytes", "BYTES", 6, lambda f: size(f.octets), lambda f: f.octets, 2, right=True),
        Column("rate", "RATE", 8, rate, lambda f: f.byte_rate, priority=8, right=True),
        Column("verdict", "VERDICT", 9, verdict, lambda f: f.row["verdict"], tone=flow_tone, grow=2, most=34),
    ]


def _clock(line: FlowLine) -> str:
    """hh:mm:ss of an ISO 8601 time (UTC, as in the flow row's JSON)."""
    return line.row["time"][11:19]


def _address(text: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in text.split("."))
