"""Pages put together: the words of each step, and what its module makes of the answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from bascule.migration.wizard import number
from bascule.migration.wizard_page import Gate, Page
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


def page_of(step: str, made: Made, around: Around) -> Page:
    """The page of a step."""
    words = WORDS[step]
    note = made.state.notes.get(step, "")
    back = Gate(step != "source", words.back)
    bare = Page(step, number(step), words.title, words.explains, notes=(note,) if note else (), back=back)
    return _PAGES[step](bare, made, around)


def _source(page: Page, made: Made, around: Around) -> Page:
    return replace(
        page,
        summary=page_source.summary(made),
        facts=page_source.facts(made),
        fields=page_source.fields(made),
        problems=page_source.problems(made),
        actions=page_source.actions(made),
        next=page_source.gate(made),
    )


def _assess(page: Page, made: Made, around: Around) -> Page:
    return replace(
        page,
        summary=page_assess.summary(made),
        facts=page_assess.facts(made),
        fields=page_assess.fields(made),
        problems=page_assess.problems(made),
        actions=page_assess.actions(made),
        next=page_assess.gate(made),
    )


def _networks(page: Page, made: Made, around: Around) -> Page:
    return replace(
        page,
        summary=page_networks.summary(made),
        facts=page_networks.facts(made),
        fields=page_networks.fields(made),
        problems=page_networks.problems(made),
        next=page_networks.gate(made),
    )


def _identity(page: Page, made: Made, around: Around) -> Page:
    return replace(
        page,
        summary=page_identity.summary(made),
        facts=page_identity.facts(made),
        fields=page_identity.fields(made),
        problems=page_identity.problems(made),
        next=page_identity.gate(made),
    )


def _policies(page: Page, made: Made, around: Around) -> Page:
    return replace(
        page,
        summary=page_policies.summary(made),
        facts=page_policies.facts(made),
        fields=page_policies.fields(made),
        problems=page_policies.problems(made),
        next=page_policies.gate(made),
    )


def _waves(page: Page, made: Made, around: Around) -> Page:
    return replace(
        page,
        summary=page_waves.summary(made),
        facts=page_waves.facts(made),
        fields=page_waves.fields(made),
        problems=page_waves.problems(made),
        next=page_waves.gate(made),
    )


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


_PAGES: dict[str, Callable[[Page, Made, Around], Page]] = {
    "source": _source,
    "assess": _assess,
    "networks": _networks,
    "identity": _identity,
    "policies": _policies,
    "waves": _waves,
    "review": _review,
    "run": _run,
    "accept": _accept,
}
