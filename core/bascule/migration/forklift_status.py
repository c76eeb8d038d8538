"""What Forklift says of a running plan: its conditions, and for each VM where it is and how far (calico-l2.md 8.3).

Read from Plan or Migration documents. Written after the field reference; it was not tried against a live Forklift.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bascule.resources.meta import conditions_of
from bascule.resources.read import dig, integer, items, strings, text

ENDS = ("Succeeded", "Failed", "Canceled")
BLOCKING = "Critical"


@dataclass(frozen=True, slots=True)
class StepStatus:
    """One step of the pipeline; `percent` is None when it does not tell."""

    name: str
    phase: str
    percent: int | None
    error: str


@dataclass(frozen=True, slots=True)
class VmStatus:
    """One VM; `state` is pending, running, succeeded, failed or canceled, `step` the one it is in."""

    id: str
    name: str
    state: str
    phase: str
    step: str
    percent: int | None
    started: str
    completed: str
    error: str
    steps: tuple[StepStatus, ...]


@dataclass(frozen=True, slots=True)
class ForkliftStatus:
    """`state` is blocked, ready, running, succeeded, failed, canceled or waiting; `blockers` are critical conditions:
    a plan may say Ready and have one (they are shown all the same)."""

    name: str
    state: str
    blockers: tuple[str, ...]
    warnings: tuple[str, ...]
    vms: tuple[VmStatus, ...]


def read_status(document: Mapping[str, Any]) -> ForkliftStatus:
    """The status of a Plan or a Migration; what is malformed reads as absent."""
    held = {each.type: each for each in conditions_of(document) if each.status == "True"}
    told = [each for each in items(dig(document, "status", "conditions")) if dig(each, "status") == "True"]
    blockers = [_line(each) for each in told if dig(each, "category") in (BLOCKING, "Error")]
    warnings = [_line(each) for each in told if dig(each, "category") == "Warn"]
    listed = items(dig(document, "status", "migration", "vms")) or items(dig(document, "status", "vms"))
    state = next((end.lower() for end in ENDS if end in held), "")
    if not state:
        state = "running" if "Executing" in held or "Running" in held else ""
        state = state or ("blocked" if blockers else "ready" if "Ready" in held else "waiting")
    name = text(dig(document, "metadata", "name"))
    return ForkliftStatus(name, state, tuple(blockers), tuple(warnings), tuple(_vm(each) for each in listed))


def _line(condition: Any) -> str:
    about = ", ".join(strings(dig(condition, "items"))[:5])
    said = text(dig(condition, "message")) or text(dig(condition, "reason"))
    fix = text(dig(condition, "suggestion"))
    parts = (text(dig(condition, "type")), said, f"({about})" if about else "", f"→ {fix}" if fix else "")
    return " ".join(part for part in parts if part)


def _vm(document: Any) -> VmStatus:
    steps = tuple(_step(each) for each in items(dig(document, "pipeline")))
    phase, completed = text(dig(document, "phase")), text(dig(document, "completed"))
    error = "; ".join(strings(dig(document, "error", "reasons"))) or text(dig(document, "error", "phase"))
    kinds = {text(dig(each, "type")) for each in items(dig(document, "conditions")) if dig(each, "status") == "True"}
    state = next((end.lower() for end in ENDS if end in kinds), "")
    if not state:
        done = "failed" if error else "succeeded" if completed else ""
        state = done or ("running" if text(dig(document, "started")) else "pending")
    now = next((step for step in steps if step.phase in ("Running", "Pending") or step.error), None)
    now = now or (steps[-1] if steps else None)
    return VmStatus(
        text(dig(document, "id")),
        text(dig(document, "newName")) or text(dig(document, "name")),
        state,
        phase,
        now.name if now else "",
        now.percent if now else None,
        text(dig(document, "started")),
        completed,
        error,
        steps,
    )


def _step(document: Any) -> StepStatus:
    done, total = integer(dig(document, "progress", "completed")), integer(dig(document, "progress", "total"))
    percent = min(100, 100 * max(done, 0) // total) if done is not None and total and total > 0 else None
    error = "; ".join(strings(dig(document, "error", "reasons")))
    return StepStatus(text(dig(document, "name")), text(dig(document, "phase")), percent, error)
