"""How long ago, in kubectl's words (apimachinery pkg/util/duration)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

UNKNOWN = "<unknown>"
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_YEAR = 365 * _DAY


def human(seconds: int) -> str:
    """`3m22s`, `5h`, `4d3h`, `2y`; "<invalid>" for the future, beyond a second of clock skew."""
    if seconds < -1:
        return "<invalid>"
    seconds = max(0, seconds)
    if seconds < 2 * _MINUTE:
        return f"{seconds}s"
    for limit, unit, big, small, low in (
        (10 * _MINUTE, _MINUTE, "m", "s", 1),
        (3 * _HOUR, _MINUTE, "m", "", 0),
        (8 * _HOUR, _HOUR, "h", "m", _MINUTE),
        (2 * _DAY, _HOUR, "h", "", 0),
        (8 * _DAY, _DAY, "d", "h", _HOUR),
        (2 * _YEAR, _DAY, "d", "", 0),
        (8 * _YEAR, _YEAR, "y", "d", _DAY),
    ):
        if seconds < limit:
            rest = seconds % unit // low if low else 0
            return f"{seconds // unit}{big}{rest}{small}" if rest else f"{seconds // unit}{big}"
    return f"{seconds // _YEAR}y"


def age(stamp: Any, at: datetime | None = None) -> str:
    """Of an RFC 3339 time; "<unknown>" for anything else."""
    if not isinstance(stamp, str):
        return UNKNOWN
    try:
        then = datetime.fromisoformat(stamp)
    except ValueError:
        return UNKNOWN
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return human(int(((at or datetime.now(UTC)) - then).total_seconds()))
