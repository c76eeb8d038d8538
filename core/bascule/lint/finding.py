"""What a rule has found, and how values are shown as evidence."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from reprlib import Repr
from typing import Any, Literal, NamedTuple

Severity = Literal["error", "warning", "info"]
_SHORT = Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 3, 60, 60


class Problem(NamedTuple):
    """What a rule yields: where (`spec.l2Bridge.vlans[1].vlan.id`), what, the value that shows it, one sentence."""

    field: str
    message: str
    evidence: str
    fix: str


@dataclass(frozen=True, slots=True)
class Finding:
    """`object` is `Kind/name` or `Kind/namespace/name`; `id` is listed in docs/findings.md."""

    id: str
    severity: Severity
    object: str
    field: str
    message: str
    evidence: str
    fix: str

    def as_dict(self) -> dict[str, str]:
        """The JSON form that scripts may rely on (DESIGN section 6)."""
        return asdict(self)


def show(value: Any) -> str:
    """A value of a document in one short line: as JSON where that is short, else cut."""
    if value is None or isinstance(value, (str, bool, float)):
        return json.dumps(value)[:80]
    if isinstance(value, int) and value.bit_length() > 128:
        return f"a number of {value.bit_length()} bits"
    return _SHORT.repr(value) if not isinstance(value, int) else str(value)
