"""Step 7: everything that will be made or changed, to be written, tried and applied."""

from __future__ import annotations

import re
from dataclasses import replace

from bascule.migration.questions import QUESTIONS
from bascule.migration.wizard_answers import QUESTION, SUBNET
from bascule.migration.wizard_page import PATH, Action, Apply, Field, Gate, Problem, Table
from bascule_console.services.apply import Plan as Rehearsed
from bascule_console.services.apply import check
from bascule_console.services.wizard.made import Made
from bascule_console.services.wizard.manifests import MOST_VMS, VMS, Objects, applies
from bascule_console.services.wizard.parts import ask, faults, plural, problem, shortened, table

_ANSWERED_AT = (("policies:", "policies.how"), ("no flows", "assess.flows"), ("has no trunk", "networks.trunk"))
_SUBNET, _QUESTION = re.compile(r"VLAN (\d+): (?:no )?subnet"), re.compile(r"\(([a-z0-9-]+)\)$")


def fields(made: Made) -> tuple[Field, ...]:
    """Where it is written."""
    text = "a new directory; nothing is overwritten"
    storage = "for Forklift's StorageMap; only when Forklift copies the disks"
    return (
        ask(made, "review.to", "Directory for the manifests", PATH, "", text),
        ask(made, "review.storage", "Storage class", help=storage),
    )


def facts(made: Made, found: Objects) -> tuple[Table, ...]:
    """The files."""
    files = [(name, _kinds(content), len(content)) for name, content in found.files.items()]
    policies = [(name, "policies", number) for name, _, number in (made.policy.files if made.policy else ())]
    listed = [("plan.json", "the plan", 1), *files, *policies]
    return (
        table("files", "What is written", ("file", "kinds", "objects"), listed),
    )  # fmt: skip


def _kinds(content: list[dict[str, object]]) -> list[str]:
    return list(dict.fromkeys(str(each["kind"]) for each in content))


def changes(made: Made, found: Objects, rehearsed: Rehearsed | None) -> tuple[Apply, ...]:
    """Each object with what it changes."""
    return applies(found, made.world, rehearsed) if made.world else ()


def problems(made: Made, found: Objects, rehearsed: Rehearsed | None, stale: str) -> tuple[Problem, ...]:
    """What the server refused, what lint finds, what was not settled."""
    listed = faults(made, "review")
    if stale:
        fix = "write it to another directory, or the run uses what is in this one"
        listed.append(Problem("warning", f"{stale} holds an older plan", "answers changed since", fix, "review.to"))
    for each in rehearsed.refusals if rehearsed else ():
        said = problem(each.error)
        listed.append(replace(said, text=f"{each.document.label}: {said.text}"))
    for change in rehearsed.changes if rehearsed else ():
        fix = "look at its difference before it is applied"
        listed += [Problem("warning", f"{change.document.label}: {text}", "", fix) for text in change.warnings]
    context = (
        [dict(each) for documents in made.world.target.documents.values() for each in documents] if made.world else []
    )
    findings = rehearsed.findings if rehearsed else check(found.applied, context)
    for located in findings:
        one = located.finding
        if one.severity != "info":
            listed.append(Problem(one.severity, f"{one.object}: {one.message}", one.evidence, one.fix))
    for text in made.plan.open if made.plan else ():
        listed.append(Problem("unknown", text, "", "settle it, or go on knowing it", _answered_at(text)))
    more = len(found.files.get(VMS, ())) - MOST_VMS
    if more > 0:
        text = f"{more} VirtualMachines more are made than are shown here"
        listed.append(Problem("unknown", text, "", f"all of them are in {VMS} of the directory"))
    return shortened(listed, "bascule plan show")


def _answered_at(text: str) -> str:
    """The field that settles something that the plan leaves open, "" when none does."""
    if subnet := _SUBNET.match(text):
        return f"{SUBNET}{subnet[1]}"
    if (question := _QUESTION.search(text)) and question[1] in QUESTIONS:
        return QUESTION + question[1]
    return next((name for words, name in _ANSWERED_AT if words in text), "")


def actions(made: Made) -> tuple[Action, ...]:
    """Write, try, apply."""
    where = made.state.answers.get("review.to", "")
    unwritten = "" if where else "name a directory first"
    away = "" if made.cluster else "no cluster was chosen at Assess: write the manifests, and apply them later"
    number = "everything above but the VirtualMachines"
    return (
        Action("write", "Write the manifests", f"plan and manifests into {where or 'a directory'}", blocked=unwritten),
        Action("try", "Try on the server", "a dry run of every object; changes nothing", blocked=away),
        Action("apply", "Apply to the cluster", f"{number}, after a dry run of all of it", blocked=away, danger=True,
               confirm=f"Apply {number} to {made.cluster}?"),
    )  # fmt: skip


def summary(made: Made, found: Objects) -> str:
    """How many objects."""
    number = len(found.applied)
    return f"{plural(number, 'object')}, {plural(len(found.files.get(VMS, ())), 'VirtualMachine')}"


def gate(made: Made) -> Gate:
    """There has to be a plan; what is missing to run it is told at Run."""
    if made.plan is None or not made.plan.moving:
        return Gate(False, "there is nothing to run: go back to Identity")
    return Gate(True, "run the first wave; nothing moves before you start it there")
