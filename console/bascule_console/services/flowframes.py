"""Flow rows as a pandas DataFrame: what a notebook analyses, and what `-o csv` writes.

from bascule_console.services.flowframes import frame
flows = frame(json.load(open("flows.json"))["flows"])
flows.groupby("src.name")["bytes"].sum().nlargest(10)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from bascule.text import escape

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped]

_END = ("name", "namespace", "kind", "ip", "port", "mac")
COLUMNS = (
    *("time", "node", "vm", "namespace", "nic", "network", "vlan", "direction"),
    *(f"src.{name}" for name in _END),
    *(f"dst.{name}" for name in _END),
    *("proto", "packets", "bytes", "verdict", "reason", "rule", "rtt_us", "retransmits", "reordered", "flags"),
)


def frame(rows: Iterable[Mapping[str, Any]]) -> pandas.DataFrame:
    """One line per row, both ends in columns of their own, `time` as a UTC timestamp."""
    import pandas

    flat = [{name: _value(row, name) for name in COLUMNS} for row in rows]
    made = pandas.DataFrame(flat, columns=[*COLUMNS])
    made["time"] = pandas.to_datetime(made["time"], utc=True, format="ISO8601")
    return made


def csv_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """The frame as CSV with a header; text from outside is escaped."""
    made = frame(rows)
    for name in made.columns:
        if made[name].dtype == object or str(made[name].dtype) in ("str", "string"):
            made[name] = made[name].map(escape)
    text: str = made.to_csv(index=False, date_format="%Y-%m-%dT%H:%M:%S.%fZ", lineterminator="\n")
    return text


def _value(row: Mapping[str, Any], name: str) -> Any:
    side, _, part = name.partition(".")
    return row[side][part] if part else row[side]
