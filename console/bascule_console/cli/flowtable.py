"""How flow rows, their ledger and the reach of histories are written."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bascule_console.cli.output import Column, Row, narrate, write_document, write_rows

if TYPE_CHECKING:
    from bascule.flows.extent import Extent
    from bascule.flows.ledger import Ledger
    from bascule_console.services.flowquery import Found


def _end(side: str) -> Any:
    def text(row: Row) -> str:
        end = row[side]
        return f"{end['name']}:{end['port']}" if end["port"] else str(end["name"])

    return text


def _rtt(row: Row) -> str:
    return f"{row['rtt_us'] / 1000:.1f} ms" if row["rtt_us"] else ""


LIST = (
    Column("time", "time"),
    Column("node", "node"),
    Column("vm", "vm"),
    Column("direction", "direction"),
    Column("vlan", "vlan"),
    Column("source", _end("src")),
    Column("destination", _end("dst")),
    Column("proto", "proto"),
    Column("packets", "packets"),
    Column("bytes", "bytes"),
    Column("verdict", "verdict"),
    Column("reason", "reason"),
    Column("network", "network", wide=True),
    Column("nic", "nic", wide=True),
    Column("rule", "rule", wide=True),
    Column("rtt", _rtt, wide=True),
    Column("retransmits", "retransmits", wide=True),
)
WIDTHS = (24, 8, 14, 9, 4, 28, 28, 6, 9, 11, 7, 20, 10, 8, 10, 9, 11)


def write_flows(found: Found, last: int | None, fmt: str) -> None:
    """The rows, newest first; JSON and YAML hold the ledger and the reach of histories too."""
    rows: list[Row] = [dict(row) for row in found.store.rows(found.ids[:last])]
    if fmt in ("json", "yaml"):
        document: dict[str, Any] = {"flows": rows, "ledger": found.ledger.to_dict()}
        document["drops"] = found.drops
        if found.extents:
            document["history"] = {node: extent.to_dict() for node, extent in sorted(found.extents.items())}
        write_document(document, fmt)
    elif fmt == "csv":
        import sys

        from bascule_console.services.flowframes import csv_text

        sys.stdout.write(csv_text(rows))
    else:
        write_rows(rows, LIST, fmt)


def say_drops(found: Found) -> None:
    """What links dropped besides, and where the kernel was not asked."""
    for row in found.drops:
        place = f"{row['node']} {row['link']}" + (f" ({row['namespace']}/{row['vm']})" if row["vm"] else "")
        why = f", {row['why']}" if row["why"] else ""
        narrate(f"{row['by']} drops at {place}: {row['packets']} {row['reason']}{why} (since {row['since']})")
    for node, drops in sorted(found.store.drops.told.items()):
        if drops.absent:
            narrate(f"{node}: kernel drops are not counted: {drops.absent}")


def say_silent(silent: Mapping[str, str]) -> None:
    """Which nodes did not answer, and why."""
    for node, why in sorted(silent.items()):
        narrate(f"{node} is silent: {why}")


def say_extents(extents: Mapping[str, Extent]) -> None:
    """How far back each history reaches, and what is not as it was."""
    for node, extent in sorted(extents.items()):
        parts = [f"reaches back to {_clock(extent.oldest_ns)}" if extent.oldest_ns else "is empty"]
        if extent.rolled_until_ns:
            parts.append(f"before {_clock(extent.rolled_until_ns)} by whole minutes")
        if extent.dropped_frames:
            until = _clock(extent.dropped_until_ns)
            parts.append(f"{extent.dropped_frames} frames before {until} removed for room")
        narrate(f"{node}: history {', '.join(parts)} ({extent.bytes / 2**20:.1f} MiB)")


def say_ledger(ledger: Ledger) -> None:
    """seen = sent + filtered + lost."""
    causes = "".join(f", {cause} {frames}" for cause, frames in sorted(ledger.lost.items()) if frames)
    filtered = f" + filtered {ledger.filtered}" if ledger.filtered else ""
    text = f"ledger: seen {ledger.seen} = sent {ledger.sent}{filtered} + lost {ledger.lost_total}{causes}"
    narrate(text if ledger.balanced else f"{text}; {ledger.missing} unaccounted")


def _clock(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
