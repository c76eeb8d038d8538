"""Which action of a VM is next, from a list of what was done: so that a crash at any moment can be resumed from.

Forward each step is checked, applied, verified. A check that fails stops before anything was changed; an apply or
verify that fails, and a rollback that is asked for, turn around: every applied step is reverted, the last first.
Actions are idempotent: one that was begun and not recorded is done again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CHECK, APPLY, VERIFY, REVERT = "check", "apply", "verify", "revert"
FORWARD = (CHECK, APPLY, VERIFY)
ROLLBACK = "rollback"
RUNNING, DONE, BACK, BLOCKED, STUCK = "running", "done", "rolled back", "blocked", "stuck"


@dataclass(frozen=True, slots=True)
class Event:
    """One action that ended. `step` "" and action ROLLBACK is the operator's wish to go back."""

    step: str
    action: str
    ok: bool


@dataclass(frozen=True, slots=True)
class Next:
    """What to do; `step` and `action` are "" when there is nothing: then `state` says why.

    blocked: a check failed and may be tried again; stuck: a revert failed and needs a hand.
    """

    state: str
    step: str = ""
    action: str = ""


def following(steps: Sequence[str], events: Sequence[Event]) -> Next:
    """The next action after `events`, which were recorded in their order."""
    begun: list[str] = []
    reverted: set[str] = set()
    turned = False
    last: Event | None = None
    verified: set[str] = set()
    for event in events:
        last = event
        if event.action == ROLLBACK:
            turned = True
        elif event.action == APPLY:
            begun += [event.step] if event.step not in begun else []
            turned = turned or not event.ok
        elif event.action == VERIFY:
            turned = turned or not event.ok
            if event.ok:
                verified.add(event.step)
        elif event.action == REVERT and event.ok:
            reverted.add(event.step)
    if turned:
        left = [step for step in reversed(begun) if step not in reverted]
        if not left:
            return Next(BACK)
        stuck = last is not None and last.action == REVERT and not last.ok
        return Next(STUCK if stuck else RUNNING, left[0], REVERT)
    return _forward(steps, begun, verified, last)


def _forward(steps: Sequence[str], begun: Sequence[str], verified: set[str], last: Event | None) -> Next:
    for step in steps:
        if step in verified:
            continue
        if step in begun:
            return Next(RUNNING, step, VERIFY)
        if last is not None and last.step == step and last.action == CHECK:
            return Next(RUNNING, step, APPLY) if last.ok else Next(BLOCKED, step, CHECK)
        return Next(RUNNING, step, CHECK)
    return Next(DONE)
