"""What the wizard says around a page: the steps with their marks, where one stands, what is being done. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap

from bascule.errors import BasculeError
from bascule.migration.wizard import STEPS, State
from bascule.migration.wizard_page import Page, Problem
from bascule_console.widgets.detail import fact
from bascule_console.widgets.glyphs import Glyphs
from bascule_console.widgets.lines import Parts

DONE, HERE, WRONG, CHANGED, LATER = "done", "here", "problem", "changed", "later"
TONES = {DONE: "good", HERE: "strong", WRONG: "bad", CHANGED: "busy", LATER: "muted"}
MEANS = {DONE: "done", HERE: "you are here", WRONG: "has an error", CHANGED: "look again", LATER: "not yet"}
RAIL = 32  # cells of the list of steps
VERDICT_TONES = {"error": "bad", "warning": "busy", "unknown": "unknown", "ok": "good"}


def name(step: str) -> str:
    """A step as people read it."""
    return step.capitalize()


def standing(state: State, step: str, problems: Mapping[str, int]) -> str:
    """How it stands with a step; `problems` is step → number of its errors, as far as they are known."""
    if step == state.step:
        return HERE
    if STEPS.index(step) > STEPS.index(state.reached):
        return LATER
    if step in state.notes:
        return CHANGED
    return WRONG if problems.get(step) else DONE


def mark(standing_: str, glyphs: Glyphs) -> str:
    """The sign of a standing."""
    signs = {DONE: glyphs.good, HERE: glyphs.into, WRONG: glyphs.bad, CHANGED: glyphs.busy, LATER: glyphs.off}
    return signs[standing_]


def strip(state: State, problems: Mapping[str, int], glyphs: Glyphs) -> Parts:
    """The nine steps in one line of 73 cells."""
    parts: Parts = []
    for step in STEPS:
        how = standing(state, step, problems)
        parts.append((f"{mark(how, glyphs)}{name(step)} ", TONES[how]))
    return parts


def rail(state: State, problems: Mapping[str, int], summaries: Mapping[str, str], glyphs: Glyphs) -> list[Parts]:
    """The nine steps one under the other, each with what is known about it."""
    lines: list[Parts] = []
    for at, step in enumerate(STEPS, 1):
        how = standing(state, step, problems)
        lines.append([(f"{at} {mark(how, glyphs)} {name(step)}", TONES[how])])
        lines += [[(f"    {part}", "muted")] for part in wrap(summaries.get(step) or MEANS[how], RAIL - 4)]
    return lines


def chooser(state: State, problems: Mapping[str, int], summaries: Mapping[str, str], glyphs: Glyphs) -> list[Parts]:
    """The nine steps to choose from, a line each."""
    lines: list[Parts] = []
    for at, step in enumerate(STEPS, 1):
        how = standing(state, step, problems)
        told = summaries.get(step) or MEANS[how]
        lines.append([(f"{at} {mark(how, glyphs)} {name(step):<11}", TONES[how]), (told, "muted")])
    return lines


def complaint(error: BasculeError, glyphs: Glyphs) -> list[Parts]:
    """An error as message, cause and fix."""
    lines: list[Parts] = [[(f"{glyphs.bad} {error.message}", "bad")]]
    lines += [fact("cause", error.cause)] if error.cause else []
    return [*lines, *([fact("fix", error.fix)] if error.fix else [])]


def counts(problems: Sequence[Problem], glyphs: Glyphs) -> Parts:
    """How many problems of each verdict, the worst first."""
    parts: Parts = []
    for verdict, sign in (("error", glyphs.bad), ("warning", glyphs.busy), ("unknown", glyphs.unknown)):
        found = sum(1 for each in problems if each.verdict == verdict)
        if found:
            plural = "s" if found > 1 and verdict != "unknown" else ""
            parts.append((f"{sign} {found} {verdict}{plural}  ", VERDICT_TONES[verdict]))
    return parts


def head(page: Page | None, busy: str, waited_s: float, glyphs: Glyphs) -> tuple[Parts, Parts]:
    """Where one stands: number and title on the left; on the right what is being done, else what is wrong."""
    left: Parts = [(" Migration wizard", "strong")]
    if page is not None:
        left = [(f" {page.number} of {len(STEPS)}  {page.title}", "strong"), (f"  {page.summary}", "")]
    if busy:
        since = f", {waited_s:.0f} s" if waited_s >= 1 else ""
        return left, [(f"{glyphs.busy} {busy}{since} ", "busy")]
    return left, counts(page.problems, glyphs) if page else []


def explained(page: Page, glyphs: Glyphs) -> list[Parts]:
    """The page in plain words, and what became different since it was last seen."""
    lines: list[Parts] = [[(" ".join(page.explains), "")]] if page.explains else []
    return [*lines, *([(f"{glyphs.busy} {note}", "busy")] for note in page.notes)]


def onward(page: Page | None, key: str, glyphs: Glyphs) -> Parts:
    """What the next step means, or why there is none yet; `key` is the one that goes there now."""
    if page is None or not page.next.text:
        return []
    if page.number == len(STEPS):
        return [(f" {page.next.text}", "muted")]
    if page.next.allowed:
        return [(f" {glyphs.arrow} {key}: ", "key"), (page.next.text, "")]
    return [(f" {glyphs.bad} not further yet: ", "bad"), (page.next.text, "")]
