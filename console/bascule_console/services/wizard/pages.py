"""Pages put together: the words of each step, and what its module makes of the answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from bascule.migration.wizard import number
from bascule.migration.wizard_page import Action, Field, Gate, Page, Problem, Table
from bascule.migration.wizard_words import WORDS
from bascule_console.services.apply import Plan as Rehearsed
from bascule_console.services.wizard import (
    page_accept,
    page_assess,
    page_identity,
    page_networks,
    page_policies,
    page_review,
    page_run,
    page_source,
    page_waves,
)
from bascule_console.services.wizard.comparing import Comparing
from bascule_console.services.wizard.made import Made
from bascule_console.services.wizard.manifests import Objects
from bascule_console.services.wizard.page_run import Stand
from bascule_console.services.wizard.running import Running


@dataclass(frozen=True)
class Around:
    """What pages show beside what the answers make: the objects, the dry run, the run, the comparison."""

    running: Running
    comparing: Comparing
    objects: Objects = field(default_factory=Objects)
    rehearsed: Rehearsed | None = None
    stale: str = ""
    stand: Stand = field(default_factory=Stand)


_Make = Callable[[Page, Made, Around], Page]


def page_of(step: str, made: Made, around: Around) -> Page:
    """The page of a step."""
    words = WORDS[step]
    note = made.state.notes.get(step, "")
    back = Gate(step != "source", words.back)
    bare = Page(step, number(step), words.title, words.explains, notes=(note,) if note else (), back=back)
    return _PAGES[step](bare, made, around)


class _Answered(Protocol):
    """A module whose page comes from the answers alone."""

    def summary(self, made: Made) -> str: ...
    def facts(self, made: Made) -> tuple[Table, ...]: ...
    def fields(self, made: Made) -> tuple[Field, ...]: ...
    def problems(self, made: Made) -> tuple[Problem, ...]: ...
    def gate(self, made: Made) -> Gate: ...


def _answered(of: _Answered, actions: Callable[[Made], tuple[Action, ...]] = lambda made: ()) -> _Make:
    """How such a page is made; `actions` are what may be done on it."""

    def make(page: Page, made: Made, around: Around) -> Page:
        return replace(
            page,
            summary=of.summary(made),
            facts=of.facts(made),
            fields=of.fields(made),
            problems=of.problems(made),
            actions=actions(made),
            next=of.gate(made),
        )

    return make


def _review(page: Page, made: Made, around: Around) -> Page:
    return replace(
        page,
        summary=page_review.summary(made, around.objects),
        facts=page_review.facts(made, around.objects),
        fields=page_review.fields(made),
        problems=page_review.problems(made, around.objects, around.rehearsed, around.stale),
        applies=page_review.changes(made, around.objects, around.rehearsed),
        actions=page_review.actions(made),
        next=page_review.gate(made),
    )


def _run(page: Page, made: Made, around: Around) -> Page:
    stand, running = around.stand, around.running
    return replace(
        page,
        summary=page_run.summary(stand),
        facts=page_run.facts(made, stand, running),
        fields=page_run.fields(made),
        problems=page_run.problems(made, stand, running),
        actions=page_run.actions(made, stand, running),
        progress=page_run.bars(stand, running),
        back=page_run.back_gate(running, page.back.text),
        next=page_run.gate(stand),
    )


def _accept(page: Page, made: Made, around: Around) -> Page:
    stand, comparing = around.stand, around.comparing
    return replace(
        page,
        summary=page_accept.summary(stand),
        facts=page_accept.facts(stand, comparing),
        fields=page_accept.fields(made),
        problems=page_accept.problems(made, stand, comparing),
        actions=page_accept.actions(made, stand, comparing),
        next=Gate(False, "this is the last step"),
    )


_PAGES: dict[str, _Make] = {
    "source": _answered(page_source, page_source.actions),
    "assess": _answered(page_assess, page_assess.actions),
    "networks": _answered(page_networks),
    "identity": _answered(page_identity),
    "policies": _answered(page_policies),
    "waves": _answered(page_waves),
    "review": _review,
    "run": _run,
    "accept": _accept,
}
