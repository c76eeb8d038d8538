"""The sign-off of VMs or a wave as a document: who, when, what was compared, what was missing and why that is right.

Signing with something that stopped talking needs a word for each such line: its name, or a reason for all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bascule.errors import RefusedError
from bascule.flows.rows import time_text
from bascule.migration.acceptance import CLASSES, STOPPED, USUAL, Compared, Thresholds, VmAcceptance, summary
from bascule.migration.acceptance_flows import Recorded

FORMAT = "bascule-acceptance/1"
Doc = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Signature:
    """Who accepts, when (ISO 8601 UTC), and what they say. `missing` are names of lines that may have stopped
    (`PEER:PORT`, or `VM/PEER:PORT` for one VM only); a `reason` without any names accepts every one that did."""

    by: str
    at: str
    note: str = ""
    missing: tuple[str, ...] = ()
    reason: str = ""


def unaccepted(found: Sequence[VmAcceptance], signature: Signature) -> list[tuple[VmAcceptance, Compared]]:
    """The lines that stopped and that the signature has no word for."""
    if signature.reason and not signature.missing:
        return []
    return [
        (each, line)
        for each in found
        for line in each.of(STOPPED)
        if line.name not in signature.missing and f"{each.vm.name}/{line.name}" not in signature.missing
    ]


def document(
    found: Sequence[VmAcceptance],
    signature: Signature,
    plan: str = "",
    thresholds: Thresholds = USUAL,
) -> Doc:
    """The signed document, `bascule-acceptance/1`. Raises RefusedError while a line stopped that nobody accepted, or a
    name was accepted that did not stop."""
    left = unaccepted(found, signature)
    if left:
        each, line = left[0]
        more = f", and {len(left) - 1} more" if len(left) > 1 else ""
        fix = f"mend it, or --accept-missing {line.name}, or --reason TEXT for all"
        raise RefusedError(
            f"{each.vm.name} is not accepted: {line.peer_name or line.peer} stopped talking{more}",
            f"{line.name} {line.proto}: {line.evidence}",
            fix,
        )
    stopped = {(each.vm.name, line.name) for each in found for line in each.of(STOPPED)}
    known = {name for _, name in stopped} | {f"{vm}/{name}" for vm, name in stopped}
    unknown = next((name for name in signature.missing if name not in known), None)
    if unknown is not None:
        raise RefusedError(f"{unknown} did not stop talking", "it is accepted as missing, and is not", "leave it out")
    return {
        "format": FORMAT,
        "plan": plan,
        "by": signature.by,
        "at": signature.at,
        "note": signature.note,
        "reason": signature.reason,
        "accepted_missing": sorted(f"{vm}/{name}" for vm, name in stopped),
        **comparison(found, thresholds),
    }


def comparison(found: Sequence[VmAcceptance], thresholds: Thresholds) -> Doc:
    """What was compared, unsigned."""
    return {
        "thresholds": asdict(thresholds),
        "totals": {status: sum(len(each.of(status)) for each in found) for status in CLASSES},
        "vms": [_vm(each, row) for each, row in zip(found, summary(found), strict=True)],
    }


def _vm(each: VmAcceptance, row: Mapping[str, Any]) -> Doc:
    identity = asdict(each.vm)
    return {
        **{name: list(value) if isinstance(value, tuple) else value for name, value in identity.items()},
        "verdict": row["verdict"],
        "counts": {status: row[status] for status in CLASSES},
        "before": window(each.before),
        "after": window(each.after),
        "lines": [{**asdict(line), "name": line.name} for line in each.lines],
    }


def window(recorded: Recorded) -> Doc:
    """A window as JSON: where it is from, when, how long, and what is missing from it."""
    return {
        "source": recorded.source,
        "since": time_text(recorded.since_ns) if recorded.since_ns else "",
        "until": time_text(recorded.until_ns) if recorded.until_ns else "",
        "seconds": round(recorded.seconds, 1),
        "lost": recorded.lost,
        "silent": list(recorded.silent),
        "notes": list(recorded.notes),
    }
