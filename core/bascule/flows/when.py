"""Times as operators write them: `10m`, `1h30m`, `2d`, or a moment in ISO 8601."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from bascule.errors import UsageError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SPAN = re.compile(r"(?:\d+[smhd])+")


def seconds_of(text: str) -> float | None:
    """A span of time in seconds, None when the text is none."""
    if not _SPAN.fullmatch(text):
        return None
    return float(sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", text)))


def since(text: str, now_ns: int) -> int:
    """The moment that `text` means, CLOCK_REALTIME ns: so long before `now_ns`, or an ISO 8601 time (UTC unless it
    says otherwise). Raises UsageError."""
    span = seconds_of(text)
    if span is not None:
        return max(1, now_ns - int(span * 1e9))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fix = "10m, 1h30m, 2d, or 2026-11-23T12:00:00Z"
        raise UsageError(f"{text!r} is no time", "it is neither a span nor an ISO 8601 moment", fix) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(1, int(moment.timestamp() * 1e9))
