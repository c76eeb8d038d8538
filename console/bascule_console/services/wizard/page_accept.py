"""Step 9: who talked to each VM before and who does now, and the operator's word."""

from __future__ import annotations

from bascule.migration.run import ACCEPTED, MOVED
from bascule.migration.wizard_page import PATH, Action, Field, Problem, Table
from bascule_console.services.wizard.comparing import Comparing
from bascule_console.services.wizard.made import Made
from bascule_console.services.wizard.page_run import Stand
from bascule_console.services.wizard.parts import ask, few, plural, shortened, table


def fields(made: Made) -> tuple[Field, ...]:
    """What is before, and what is signed."""
    default = made.state.answers.get("assess.flows", "")
    before = "recordings from before the move; empty asks the agents for what they heard before each VM started"
    missing = "conversations that may stay away, as VM/PEER:PORT of the table"
    return (
        ask(made, "accept.before", "Flows of before", PATH, default, before, many=True),
        ask(made, "accept.missing", "Missing and that is all right", help=missing, many=True),
        ask(made, "accept.reason", "Why that is all right", help="needed for what is missing; it is recorded"),
        ask(made, "accept.note", "Note to sign with", help="for example a ticket; it is recorded with your name"),
    )


def facts(stand: Stand, comparing: Comparing) -> tuple[Table, ...]:
    """VM by VM, then line by line."""
    states = {row.target: row for row in stand.rows}
    if comparing.found is None:
        moved = [(row.target, row.wave, row.state) for row in stand.rows if row.state in (MOVED, ACCEPTED)]
        return (table("moved", "Moved", ("vm", "wave", "state"), moved, "no VM was moved yet"),)
    from bascule.migration.acceptance import CLASSES, rows
    from bascule.migration.acceptance import summary as counted

    targets = {each.vm.name: each.vm.target for each in comparing.found}
    summed = [
        (row["vm"], row["wave"], row["verdict"], *(row[name] for name in CLASSES),
         states[targets[row["vm"]]].state if targets[row["vm"]] in states else "")
        for row in counted(comparing.found)
    ]  # fmt: skip
    lines = [
        (row["vm"], row["status"], row["name"], row["peer_name"], row["before"], row["after"], row["evidence"])
        for row in rows(comparing.found)
    ]
    columns = ("vm", "is", "peer", "called", "frames before", "after", "evidence")
    return (
        table("vms", f"Each VM, compared at {comparing.at}", ("vm", "wave", "verdict", *CLASSES, "state"), summed),
        table("lines", "Who talks to it, before and after", columns, lines, "nobody was heard"),
    )


def problems(made: Made, stand: Stand, comparing: Comparing) -> tuple[Problem, ...]:
    """What stopped, what cannot be told."""
    if comparing.found is None:
        text = "nothing was compared yet"
        return (Problem("unknown", text, "", "give it a few minutes of traffic, then the action compare"),)
    from bascule.migration.acceptance import KEPT, OPEN, STOPPED

    found = []
    signed = {row.target for row in stand.rows if row.state == ACCEPTED}
    for each in comparing.found:
        if each.vm.target in signed:
            continue
        name = each.vm.name
        for verdict, status, words in (
            ("error", STOPPED, f"{name} no longer talks to"),
            ("warning", OPEN, f"it cannot be told whether {name} talks as before to"),
        ):
            lines = each.of(status)
            if lines:
                text = f"{words} {few([line.name for line in lines], 3)}"
                fix = "find out, and compare again; or name it as all right with the reason"
                found.append(Problem(verdict, text, lines[0].evidence, fix, "accept.missing"))
        if not each.of(KEPT) and not each.of(STOPPED):
            text = f"nothing shows that {name} is talked to"
            found.append(Problem("warning", text, "", "wait for traffic, or look at it yourself"))
    return shortened(found, "the table of who talks to it")


def actions(made: Made, stand: Stand, comparing: Comparing) -> tuple[Action, ...]:
    """Compare, sign."""
    moved = tuple(row.target for row in stand.rows if row.state == MOVED)
    waves = tuple(f"wave {number}" for number in sorted({row.wave for row in stand.rows if row.state == MOVED}))
    none = "" if any(row.state in (MOVED, ACCEPTED) for row in stand.rows) else "no VM was moved yet"
    away = none or ("" if made.cluster else "no cluster was chosen at Assess")
    unsigned = "" if moved else none or "every VM that moved was signed off"
    unseen = "compare first: one signs what one has seen" if comparing.found is None else ""
    return (
        Action("compare", "Compare", "reads what was recorded of before and of now", blocked=away),
        Action("sign", "Sign off", "a VM or a wave; it can then no longer be rolled back", (*waves, *moved),
               unsigned or unseen, True, "Sign off? It is recorded with your name, and there is no way back after it."),
    )  # fmt: skip


def summary(stand: Stand) -> str:
    """How many are signed off."""
    moved = sum(1 for row in stand.rows if row.state in (MOVED, ACCEPTED))
    signed = sum(1 for row in stand.rows if row.state == ACCEPTED)
    return f"{signed} of {plural(moved, 'VM')} signed off"
