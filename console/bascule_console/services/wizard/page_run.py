"""Step 8: wave by wave from the old side to the cluster; what is missing for it, what it does, how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from bascule.errors import BasculeError
from bascule.migration.machine import BACK, BLOCKED, STUCK
from bascule.migration.plan import VmPlan
from bascule.migration.run import ACCEPTED, GOING_BACK, MOVED, MOVING, WAITING, RunRow
from bascule.migration.steps import steps_of
from bascule.migration.wizard_page import URI, Action, Field, Gate, Problem, Progress, Table
from bascule.migration.wizard_progress import COPY, Measured, progress
from bascule.migration.wizard_values import several
from bascule_console.services.wizard.made import Made
from bascule_console.services.wizard.parts import ask, few, plural, problem, table
from bascule_console.services.wizard.running import Running

BACKABLE = (MOVING, MOVED, BLOCKED, STUCK, GOING_BACK)
"""States of a VM that a rollback can take back."""
NEXT = {
    WAITING: "start its wave, or move it alone",
    MOVED: "compare and sign off at Accept, or roll it back",
    BLOCKED: "mend it, then move it again, or roll it back",
    STUCK: "mend it, then roll it back",
    BACK: "move it to try again",
    MOVING: "move it to go on, or roll it back",
    GOING_BACK: "roll it back to go on",
}
"""What leads on, in the words of this page's actions."""


@dataclass(frozen=True, slots=True)
class Stand:
    """Where the run stands: `rows` of the VMs in a wave; `where` the plan that is run; `error` why it is not known;
    `measured` how long its steps took so far."""

    rows: tuple[RunRow, ...] = ()
    where: str = ""
    error: BasculeError | None = None
    measured: Measured = field(default_factory=Measured)


def source_of(made: Made) -> str:
    """The hypervisor that has the VMs now: answered here, else the first that was asked."""
    live = several(made.state.answers.get("source.live", ""))
    return made.state.answers.get("run.source", live[0] if live else "")


def fields(made: Made) -> tuple[Field, ...]:
    """From where."""
    text = "its VMs are shut down and their disks read; a password is asked for, never kept here"
    return (ask(made, "run.source", "Hypervisor that has the VMs now", URI, source_of(made), text),)


def facts(made: Made, stand: Stand, running: Running) -> tuple[Table, ...]:
    """Where each VM stands, what was told, what each step does."""
    rows = [
        (row.wave, row.target, row.state, row.step, row.since, _outage(row), row.why, NEXT.get(row.state, ""))
        for row in stand.rows
    ]
    first = _first(made, stand)
    steps = steps_of(first, made.plan.options.namespace) if first and made.plan else []
    called = first.name if first else ""
    columns = ("wave", "vm", "state", "at step", "since", "away", "why", "what next")
    plan = f", by {stand.where}" if stand.where else ""
    what = ("step", "does", "is sure when", "back")
    done = [(each.id, each.apply, each.verify, each.revert) for each in steps]
    empty = "nothing yet in this session; all that was ever done: bascule journal list"
    found = (
        table("vms", f"Where each VM stands{plan}", columns, rows, "no VM is in a wave"),
        table("news", "What happened, newest first", ("news",), [(line,) for line in reversed(running.lines)], empty),
    )
    return (
        (*found, table("steps", f"What is done to {called}, and how it is taken back", what, done)) if done else found
    )


def _first(made: Made, stand: Stand) -> VmPlan | None:
    """The VM that would be moved next, as the example of what is done."""
    over = {row.target for row in stand.rows if row.state in (MOVED, ACCEPTED)}
    moving = made.plan.moving if made.plan else []
    return next((vm for vm in moving if vm.target not in over), None)


def _outage(row: RunRow) -> str:
    return "" if row.outage_ms is None else f"{row.outage_ms / 1000:.1f} s"


def bars(stand: Stand, running: Running) -> tuple[Progress, ...]:
    """One line for each VM that was begun."""
    found = []
    for row in stand.rows:
        if row.state == WAITING:
            continue
        told = running.last.get(row.target)
        copying = told is not None and told.kind == "progress" and told.step == COPY
        copied = (told.done, told.total, told.rate) if told is not None and copying else None
        found.append(progress(row, stand.measured, copied, running.active))
    return tuple(found)


def problems(made: Made, stand: Stand, running: Running) -> tuple[Problem, ...]:
    """What is missing to run, and what stopped a VM."""
    found = []
    if stand.error is not None:
        found.append(problem(stand.error, "review.to"))
    if not made.cluster:
        fix = "start the wizard with --context, --kubeconfig or --lab, and choose it at Assess"
        found.append(Problem("error", "no cluster to run on", "files alone were chosen", fix, "assess.cluster"))
    if not source_of(made):
        fix = "name it; without one, move the VMs with Forklift: forklift.yaml is among the manifests"
        why = "files tell what the VMs are, not how to stop and copy them"
        found.append(Problem("error", "no hypervisor to take the VMs from", why, fix, "run.source"))
    if running.error is not None:
        found.append(problem(running.error))
    for row in stand.rows:
        if row.state in (BLOCKED, STUCK):
            found.append(Problem("error", f"{row.target} is {row.state} at {row.step}", row.why, NEXT[row.state]))
    return tuple(found)


def missing(made: Made, stand: Stand) -> str:
    """Why nothing can be run now, "" when it can."""
    if stand.error is not None:
        return stand.error.message
    if not made.cluster:
        return "there is no cluster to run on"
    return "" if source_of(made) else "there is no hypervisor to take the VMs from"


def actions(made: Made, stand: Stand, running: Running) -> tuple[Action, ...]:
    """Start, pause, one VM, back."""
    why = missing(made, stand)
    busy = why or (f"{running.what} runs: pause it first" if running.active else "")
    waves = _waves(stand.rows)
    single = tuple(row.target for row in stand.rows if row.state not in (MOVED, ACCEPTED))
    back = tuple(row.target for row in stand.rows if row.state in BACKABLE)
    first = f"wave {waves[0]}" if waves else "a wave"
    none = "" if waves else "every VM is over"
    pause = "" if running.active and not running.pausing else "it pauses already" if running.active else "nothing runs"
    return (
        Action("rehearse", "Check a wave", "only asks: is everything as it has to be? changes nothing", waves,
               busy or none),
        Action("start", "Start a wave", f"without a number: {first}; goes on where it was interrupted", waves,
               busy or none, True, f"Shut its VMs down on the old side and start them on {made.cluster}?"),
        Action("move", "Start one VM", "moves it, or tries it again", single, busy or ("" if single else none), True,
               "Shut this VM down on the old side and start it on the cluster?"),
        Action("pause", "Pause", "ends the actions under way, begins no other", (), pause),
        Action("rollback", "Roll one VM back", "the VM runs on the old side again; what it wrote since it was moved is"
               " lost", back, busy or ("" if back else "no VM is moved that was not signed off"), True,
               "Stop this VM on the cluster and start it on the old side, without what it wrote since?"),
    )  # fmt: skip


def _waves(rows: Sequence[RunRow]) -> tuple[str, ...]:
    """Waves with a VM that is not over, in their order; one that was taken back is moved by its name."""
    return tuple(str(wave) for wave in sorted({row.wave for row in rows if row.state not in (MOVED, ACCEPTED, BACK)}))


def summary(stand: Stand) -> str:
    """How many are over."""
    over = sum(1 for row in stand.rows if row.state in (MOVED, ACCEPTED))
    return f"{over} of {plural(len(stand.rows), 'VM')} moved"


def underway(stand: Stand) -> str:
    """VMs that are between both sides: while there are any, the plan that they follow must not change."""
    return few([row.target for row in stand.rows if row.state in (MOVING, BLOCKED, STUCK, GOING_BACK)])


def back_gate(running: Running, text: str) -> Gate:
    """Not while something runs: what it does should be seen."""
    return Gate(False, f"{running.what} runs: pause it first") if running.active else Gate(True, text)


def gate(stand: Stand) -> Gate:
    """Something has to have moved."""
    if not any(row.state in (MOVED, ACCEPTED) for row in stand.rows):
        return Gate(False, "no VM was moved yet")
    return Gate(True, "compare who talks to the VMs with before")
