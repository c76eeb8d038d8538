"""The wizard's state machine: which step one is at, what was answered, and what has to be said after a change.

Pure. `State` is all that is kept between two sessions, as one JSON document (`bascule-wizard/1`); everything else is
made from it anew, so that what is shown is never older than the answers. Secrets are no answers and never in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bascule.migration.errors import MigrationInputError

FORMAT = "bascule-wizard/1"
STEPS = ("source", "assess", "networks", "identity", "policies", "waves", "review", "run", "accept")
ANEW = {
    "source": "the sources were read",
    "assess": "the checks were made",
    "networks": "Networks were planned",
    "identity": "identities were planned",
    "policies": "policies were translated",
    "waves": "waves were planned",
    "review": "manifests were made",
    "run": "the run was planned",
    "accept": "the comparison was made",
}
"""How a note begins."""
MOST_ANSWERS, MOST_TEXT = 5000, 20_000


@dataclass(frozen=True, slots=True)
class State:
    """`step` is where one stands, `reached` the furthest step so far. `answers` is field id → text as typed. `made` is
    step → digest and words of what was made there when it was left; `notes` are step → what changed since then."""

    step: str = STEPS[0]
    reached: str = STEPS[0]
    answers: Mapping[str, str] = field(default_factory=dict)
    made: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)

    def of(self, step: str) -> dict[str, str]:
        """The answers of one step, by the field's name without the step."""
        start = f"{step}."
        return {key[len(start) :]: value for key, value in self.answers.items() if key.startswith(start)}


def number(step: str) -> int:
    """1 for the first step."""
    return STEPS.index(step) + 1


def answered(state: State, identity: str, value: str) -> State:
    """With one answer given; "" takes it back, so that the default counts again."""
    answers = {key: kept for key, kept in state.answers.items() if key != identity}
    if value:
        answers[identity] = value
    return replace(state, answers=dict(sorted(answers.items())))


def forward(state: State) -> State:
    """One step on; the last stays."""
    return at(state, STEPS[min(STEPS.index(state.step) + 1, len(STEPS) - 1)])


def backward(state: State) -> State:
    """One step back; the first stays. What was answered is kept."""
    return at(state, STEPS[max(STEPS.index(state.step) - 1, 0)])


def at(state: State, step: str) -> State:
    """At a step; `reached` never shrinks."""
    return replace(state, step=step, reached=max(step, state.reached, key=STEPS.index))


def shown(state: State, step: str, digest: str, words: str) -> State:
    """A step's page was left by `next`: what was made there counts as seen, and its note is settled."""
    notes = {key: text for key, text in state.notes.items() if key != step}
    return replace(state, made={**state.made, step: f"{digest} {words}"}, notes=notes)


def settled(state: State, made: Mapping[str, tuple[str, str]]) -> State:
    """After an answer changed: `made` is step → (digest, what it is in words). Steps that were seen and are different
    now get a note; one that is again what was seen loses it."""
    notes = dict(state.notes)
    for step, (digest, words) in made.items():
        seen, _, before = state.made.get(step, "").partition(" ")
        if seen and seen != digest:
            was = f"before: {before}" if before != words else "in its details it differs"
            notes[step] = f"{ANEW[step]} anew: {words} ({was})"
        else:
            notes.pop(step, None)
    return replace(state, notes=notes)


def dump(state: State) -> str:
    """The JSON text; the same state is always the same bytes."""
    document = {
        "format": FORMAT,
        "step": state.step,
        "reached": state.reached,
        "answers": dict(sorted(state.answers.items())),
        "made": dict(sorted(state.made.items())),
        "notes": dict(sorted(state.notes.items())),
    }
    return json.dumps(document, indent=1) + "\n"


def load(name: str, data: bytes) -> State:
    """Read what `dump` wrote. Raises MigrationInputError that names what is wrong."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _garbled(name, f"no JSON: {error}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        told = repr(found.get("format"))[:40] if isinstance(found, dict) else "no object"
        raise _garbled(name, f"its format is {told}, not {FORMAT!r}")
    for key in ("step", "reached"):
        if found.get(key) not in STEPS:
            raise _garbled(name, f"{key}: {found.get(key)!r:.40} is no step")
    maps = {key: _texts(name, key, found.get(key)) for key in ("answers", "made", "notes")}
    state = State(found["step"], found["reached"], maps["answers"], maps["made"], maps["notes"])
    return at(state, state.step)


def _texts(name: str, key: str, value: Any) -> dict[str, str]:
    good = isinstance(value, dict) and len(value) <= MOST_ANSWERS
    if not good or not all(isinstance(each, str) and len(each) <= MOST_TEXT for each in value.values()):
        raise _garbled(name, f"{key} is no mapping of texts")
    return dict(value)


def _garbled(name: str, cause: str) -> MigrationInputError:
    return MigrationInputError(f"{name}: no state of the wizard", cause, "begin anew: the file was kept aside")
