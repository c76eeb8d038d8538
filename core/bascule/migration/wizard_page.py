"""One page of the wizard as data: what a screen, the line mode and a test all show and ask, none of them deciding.

Every text stands on its own: whoever reads it walks the wizard for the first time. Texts may hold names from outside;
whoever shows them escapes them.
"""

from __future__ import annotations

from dataclasses import dataclass

TEXT, CHOICE, YES_NO, PATH, URI, NUMBER = "text", "choice", "yes-no", "path", "uri", "number"
KINDS = (TEXT, CHOICE, YES_NO, PATH, URI, NUMBER)


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer of a choice: `value` is what is kept, `label` what it means in words."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Field:
    """Something that may be answered. `id` is `<step>.<name>`; `value` what counts now, `given` False while that is the
    default. `many`: several values in one text, separated by blanks and quoted as in a shell. `error` says why `value`
    cannot be used."""

    id: str
    label: str
    kind: str = TEXT
    value: str = ""
    choices: tuple[Choice, ...] = ()
    help: str = ""
    error: str = ""
    many: bool = False
    given: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Facts: `rows` have as many cells as `columns`; `more` rows were left out; `empty` is what an empty one says."""

    id: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    more: int = 0
    empty: str = "nothing"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something not in order: `verdict` error, warning or unknown; `field` the id of the field that mends it, or ""."""

    verdict: str
    text: str
    evidence: str = ""
    fix: str = ""
    field: str = ""


@dataclass(frozen=True, slots=True)
class Apply:
    """One object that this step would change: `verb` create, change or unchanged; `diff` a unified diff, or the whole
    object where nothing is known of what stands there."""

    object: str
    verb: str
    diff: str


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be done on this page: `wizard.act(id, target)`. `targets` are what it can be done to (names of
    VMs, numbers of waves), empty when it takes none. `blocked` is why not now, "" when it can be. `danger` and
    `confirm`: whether and what to ask before."""

    id: str
    label: str
    help: str
    targets: tuple[str, ...] = ()
    blocked: str = ""
    danger: bool = False
    confirm: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """May one go that way? `text` is what it means when allowed, and why not when it is not."""

    allowed: bool
    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """One VM of the run. `done` and `total` in `unit` (bytes or steps), `rate` per second, `left_s` seconds left or
    None; `how` says how the estimate was made, or why there is none. `state` is a word of migration/machine.py or
    "waiting", "paused"."""

    vm: str
    wave: int
    state: str
    step: str
    done: int = 0
    total: int = 0
    unit: str = "steps"
    rate: float = 0.0
    left_s: float | None = None
    how: str = ""
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """One step of the wizard. `explains` are sentences: what this step is, why, and what happens next. `notes` say what
    was made anew because an earlier answer changed. `summary` is one line for the list of steps."""

    id: str
    number: int
    title: str
    explains: tuple[str, ...]
    summary: str = ""
    notes: tuple[str, ...] = ()
    facts: tuple[Table, ...] = ()
    fields: tuple[Field, ...] = ()
    problems: tuple[Problem, ...] = ()
    applies: tuple[Apply, ...] = ()
    actions: tuple[Action, ...] = ()
    progress: tuple[Progress, ...] = ()
    back: Gate = Gate(False, "this is the first step")
    next: Gate = Gate(False, "")
